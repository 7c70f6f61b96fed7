//! The nodes between which keepalived moves the endpoint's address, and who among them comes first.

use serde::Serialize;

use super::context::Peer;
use crate::cluster::compat::milliseconds;
use crate::cluster::{Cluster, EndpointMode, Node, Role};

/// Priorities of keepalived lie this far apart where they can: the gap is what keeps two backups from taking over at once.
const PRIORITY_STEP: usize = 50;
const HIGHEST_PRIORITY: usize = 250;

/// One of them, as its configuration needs it.
#[derive(Serialize)]
pub(super) struct Vrrp<'a> {
    priority: usize,
    is_first: bool,
    peers: Vec<Peer<'a>>,
}

impl<'a> Vrrp<'a> {
    /// `None` for a node that never carries the address.
    pub(super) fn of(cluster: &'a Cluster, node: &Node) -> Option<Self> {
        let balancers = balancers(cluster);
        let place = balancers.iter().position(|balancer| balancer.name == node.name)?;
        let step = ((HIGHEST_PRIORITY - 1) / balancers.len()).clamp(1, PRIORITY_STEP);
        let asked = cluster.compat.keepalived.priorities.get(place).map(|priority| usize::from(*priority));
        Some(Self {
            priority: asked.unwrap_or_else(|| HIGHEST_PRIORITY.saturating_sub(place * step).max(1)),
            is_first: place == 0,
            peers: balancers.into_iter().filter(|peer| peer.name != node.name).map(Peer::of).collect(),
        })
    }
}

/// All of them, in the order of the cluster file.
pub(super) fn balancers(cluster: &Cluster) -> Vec<&Node> {
    match cluster.endpoint.mode {
        EndpointMode::Stacked | EndpointMode::VipOnly => cluster.nodes_of(Role::Master).collect(),
        EndpointMode::Dedicated => cluster.nodes_of(Role::Lb).collect(),
        EndpointMode::SingleLb | EndpointMode::External => Vec::new(),
    }
}

/// A time in seconds as keepalived reads it, to hundredths.
pub(super) fn seconds(text: &str) -> Option<String> {
    let hundredths = milliseconds(text)? / 10;
    Some(match hundredths % 100 {
        0 => (hundredths / 100).to_string(),
        rest => format!("{}.{rest:02}", hundredths / 100),
    })
}
