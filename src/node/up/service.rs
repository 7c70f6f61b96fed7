//! Nodes that do what systemd starts, and nothing more: load balancers.

use std::sync::Arc;

use super::{Node, Pause};
use crate::node::command;
use crate::node::error::NodeError;
use crate::node::record::Installed;

/// Units that make a load balancer.
const UNITS: [&str; 2] = ["haproxy.service", "keepalived.service"];

/// Starts a unit, if it does not run, and does not wait until it has.
pub(super) fn start(unit: &str) -> Result<(), NodeError> {
    tokio::task::block_in_place(|| command::output("systemctl", &["start", "--no-block", unit]).map(drop))
}

/// Starts a unit anew, and does not wait until it has.
pub(super) fn restart(unit: &str) -> Result<(), NodeError> {
    tokio::task::block_in_place(|| command::output("systemctl", &["restart", "--no-block", unit]).map(drop))
}

/// Stops a unit.
pub(super) fn stop(unit: &str) -> Result<(), NodeError> {
    tokio::task::block_in_place(|| command::output("systemctl", &["stop", unit]).map(drop))
}

/// Whether a unit runs.
fn is_active(unit: &str) -> bool {
    tokio::task::block_in_place(|| command::output("systemctl", &["is-active", unit])).is_ok()
}

pub(super) async fn up(node: &Arc<Node>) -> Result<(), NodeError> {
    let enabled = Installed::read(&node.state)?.current().map(|current| current.units.enable.clone());
    let wanted: Vec<String> = enabled.into_iter().flatten().filter(|unit| UNITS.contains(&unit.as_str())).collect();
    let step = "start the load balancer";
    let mut pause = Pause::default();
    loop {
        node.teller.working(step);
        match wanted.iter().try_for_each(|unit| start(unit)) {
            Ok(()) if wanted.iter().all(|unit| is_active(unit)) => break,
            Ok(()) => node.teller.waiting(step, format!("{} to be active", wanted.join(" and "))),
            Err(error) => node.teller.failed(step, &error),
        }
        pause.retry().await;
    }
    node.teller.ready();
    Ok(())
}
