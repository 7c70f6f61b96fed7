//! Which pod addresses belong to which node, for the `bridge` network plugin: there each node's share is fixed when the
//! files are rendered, and every other node has a static route to it.
//!
//! A node's share follows from its own address and not from its place in the cluster file, so that adding or removing a
//! node never moves another.

use std::net::IpAddr;

use ipnet::IpNet;

use super::error::RenderError;
use crate::cluster::{Cluster, Node, Role};

/// Prefix length of a node's share, for IPv4 and IPv6.
const SHARE: (u8, u8) = (24, 64);

/// The share of `node`: the one whose number is the host part of the node's address.
pub(super) fn share(cluster: &Cluster, node: &Node) -> Result<IpNet, RenderError> {
    let failed = |reason: String| RenderError::PodNetwork { node: node.name.clone(), reason };
    let pods = cluster.network.pod_subnet;
    let (length, number) = match (pods, node.address) {
        (IpNet::V4(_), IpNet::V4(own)) => (SHARE.0, u128::from(u32::from(own.addr()) & u32::from(own.hostmask()))),
        (IpNet::V6(_), IpNet::V6(own)) => (SHARE.1, u128::from(own.addr()) & u128::from(own.hostmask())),
        _ => return Err(failed(format!("its address and the pod subnet {pods} are of different families"))),
    };
    let bits = length
        .checked_sub(pods.prefix_len())
        .ok_or_else(|| failed(format!("the pod subnet {pods} is smaller than one /{length}")))?;
    if number >> bits != 0 {
        return Err(failed(format!(
            "its host number {number} is beyond the {} shares of /{length} in {pods}",
            1_u128.checked_shl(bits.into()).unwrap_or(u128::MAX)
        )));
    }
    let base = match pods.network() {
        IpAddr::V4(first) => IpAddr::V4((u32::from(first) | ((number as u32) << (32 - length))).into()),
        IpAddr::V6(first) => IpAddr::V6((u128::from(first) | (number << (128 - length))).into()),
    };
    IpNet::new(base, length).map_err(|error| failed(error.to_string()))
}

/// All nodes that run pods, each with its share.
pub(super) fn shares(cluster: &Cluster) -> Result<Vec<(&Node, IpNet)>, RenderError> {
    let mut shares: Vec<(&Node, IpNet)> = Vec::new();
    for node in cluster.nodes.iter().filter(|node| matches!(node.role, Role::Master | Role::Worker)) {
        let own = share(cluster, node)?;
        if let Some((other, _)) = shares.iter().find(|(_, taken)| *taken == own) {
            let reason = format!("its share {own} would be that of {} too", other.name);
            return Err(RenderError::PodNetwork { node: node.name.clone(), reason });
        }
        shares.push((node, own));
    }
    Ok(shares)
}
