//! How the nodes of a lab are, by what they say themselves.

use std::fs;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::error::LabError;
use super::machine::Machine;
use super::record::Lab;
use super::{boot, enter, network};
use crate::cluster::Role;

/// Where stage 0 says how far it is, below a node's root.
const STAGE0_STATUS: &str = "var/lib/khimg/stage0.json";

/// Where a bundle puts khimg, below a node's root.
const KHIMG: &str = "usr/bin/khimg";

/// How one node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its address with the prefix length of its subnet.
    pub address: String,
    /// Whether it has power.
    pub on: bool,
    /// Whether it is cut off from the others.
    pub isolated: bool,
    /// Whether it is where it is meant to be.
    pub ready: bool,
    /// What it is at, for people.
    pub state: String,
}

/// Asks every node.
///
/// # Errors
/// The lab's cgroups cannot be read.
pub fn status(lab: &Lab) -> Result<Vec<NodeStatus>, LabError> {
    let nodes = lab.record.machines.iter().enumerate();
    nodes.map(|(index, machine)| node(lab, index, machine)).collect()
}

fn node(lab: &Lab, index: usize, machine: &Machine) -> Result<NodeStatus, LabError> {
    let on = enter::leader(lab, &machine.name)?.is_some();
    let (ready, state) = if on { ask(lab, &machine.name) } else { (false, "off".to_owned()) };
    Ok(NodeStatus {
        name: machine.name.clone(),
        role: machine.role,
        address: machine.address.to_string(),
        on,
        isolated: on && network::isolated(&lab.place, index),
        ready,
        state,
    })
}

/// `khimg node status` on the node, or what came before it.
fn ask(lab: &Lab, node: &str) -> (bool, String) {
    let root = lab.root(node);
    if !root.join(KHIMG).exists() {
        let stage0 = fs::read(root.join(STAGE0_STATUS)).ok();
        let said: Option<Value> = stage0.and_then(|text| serde_json::from_slice(&text).ok());
        let state = said.as_ref().and_then(|said| text(said, "message"));
        return (false, state.map_or_else(|| "booting".to_owned(), |state| format!("stage 0: {state}")));
    }
    let asked = enter::output(lab, node, &["khimg", "node", "status", "--json"]);
    let said: Option<Value> = asked.ok().and_then(|output| serde_json::from_slice(&output.stdout).ok());
    let powered = boot::powered(lab, node).unwrap_or_default();
    said.map_or_else(|| (false, "does not say".to_owned()), |said| judge(&said, powered))
}

/// What `khimg node status --json` means on a node that has had power since `powered`.
fn judge(said: &Value, powered: Timestamp) -> (bool, String) {
    let part = |name: &str| said.get(name).filter(|part| part.is_object());
    let Some(cluster) = part("cluster") else {
        let Some(last) = part("last") else { return (false, "installing".to_owned()) };
        let (command, step) = (text(last, "command").unwrap_or_default(), text(last, "step").unwrap_or_default());
        let state = match text(last, "phase").as_deref() {
            Some("failed") => format!("{command} failed: {}", reason(last)),
            Some("done") => "installed".to_owned(),
            _ => format!("{command}: {step}"),
        };
        return (false, state);
    };
    let step = text(cluster, "step").unwrap_or_default();
    let since = text(cluster, "since").and_then(|since| since.parse::<Timestamp>().ok());
    match text(cluster, "phase").as_deref() {
        // What it said before it lost its power says nothing.
        _ if since.is_none_or(|since| since < powered) => (false, "starting again".to_owned()),
        Some("ready") => (true, "ready".to_owned()),
        Some("waiting") => (false, format!("{step}: waiting for {}", text(cluster, "waitingFor").unwrap_or_default())),
        Some("retrying") => (false, format!("{step}: {}", reason(cluster))),
        _ => (false, step),
    }
}

fn reason(part: &Value) -> String {
    let reasons = part.get("reason").and_then(Value::as_array);
    let reasons = reasons.into_iter().flatten().filter_map(Value::as_str);
    reasons.collect::<Vec<_>>().join(": ")
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(said: Value) -> (bool, String) {
        judge(&said, "2026-01-01T00:00:10Z".parse().expect("a time"))
    }

    #[test]
    fn says_how_far_a_node_is() {
        let no = |state: &str| (false, state.to_owned());
        assert_eq!(judged(json!({"last": null, "cluster": null})), no("installing"));
        let last = |phase: &str| json!({"command": "install", "phase": phase, "step": "units", "reason": ["a", "b"]});
        assert_eq!(judged(json!({"last": last("working")})), no("install: units"));
        assert_eq!(judged(json!({"last": last("failed")})), no("install failed: a: b"));
        assert_eq!(judged(json!({"last": last("done")})), no("installed"));
        let cluster = |phase: &str, second: u8| {
            json!({"last": last("done"), "cluster": {"phase": phase, "step": "join", "waitingFor": "the API",
                "reason": ["a", "b"], "since": format!("2026-01-01T00:00:{second:02}Z")}})
        };
        assert_eq!(judged(cluster("working", 11)), no("join"));
        assert_eq!(judged(cluster("waiting", 11)), no("join: waiting for the API"));
        assert_eq!(judged(cluster("retrying", 11)), no("join: a: b"));
        assert_eq!(judged(cluster("ready", 11)), (true, "ready".to_owned()));
    }

    #[test]
    fn what_a_node_said_before_a_power_cut_does_not_count() {
        let cluster = json!({"phase": "ready", "step": "ready", "since": "2026-01-01T00:00:09Z"});
        assert_eq!(judged(json!({"cluster": cluster})), (false, "starting again".to_owned()));
    }
}
