//! How the nodes of a lab are, by what they say themselves.

use std::fs;

use serde::Serialize;
use serde_json::Value;

use super::error::LabError;
use super::machine::Machine;
use super::record::Lab;
use super::{enter, network};
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
    said.map_or_else(|| (false, "does not say".to_owned()), |said| judge(&said))
}

/// What `khimg node status --json` means.
fn judge(said: &Value) -> (bool, String) {
    let Some(last) = said.get("last").filter(|last| last.is_object()) else {
        return (false, "installing".to_owned());
    };
    let word = |key: &str| text(last, key).unwrap_or_default();
    let (command, phase, step) = (word("command"), word("phase"), word("step"));
    let reason = last.get("reason").and_then(|reasons| reasons.get(0)).and_then(Value::as_str);
    match (phase.as_str(), reason) {
        ("done", _) => (true, format!("{command} done")),
        ("failed", Some(reason)) => (false, format!("{command} failed: {reason}")),
        _ => (false, format!("{command}: {step}")),
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}
