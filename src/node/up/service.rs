//! Nodes that do what systemd starts, and nothing more: load balancers, and members of an external etcd.

use std::sync::Arc;

use super::{Node, Pause};
use crate::cluster::Role;
use crate::node::command;
use crate::node::error::NodeError;
use crate::node::record::Installed;

/// Units that make a node of its role.
const UNITS: [&str; 3] = ["haproxy.service", "keepalived.service", "etcd.service"];

/// Starts a unit, if it does not run.
pub(super) fn start(unit: &str) -> Result<(), NodeError> {
    tokio::task::block_in_place(|| command::output("systemctl", &["start", unit]).map(drop))
}

pub(super) async fn up(node: &Arc<Node>) -> Result<(), NodeError> {
    let enabled = Installed::read(&node.state)?.current().map(|current| current.units.enable.clone());
    let wanted: Vec<String> = enabled.into_iter().flatten().filter(|unit| UNITS.contains(&unit.as_str())).collect();
    let step = if node.file.role == Role::Etcd { "start etcd" } else { "start the load balancer" };
    let mut pause = Pause::default();
    loop {
        node.teller.working(step);
        match wanted.iter().try_for_each(|unit| start(unit)) {
            Ok(()) => break,
            Err(error) => node.teller.failed(step, &error),
        }
        pause.retry().await;
    }
    node.teller.ready();
    Ok(())
}
