//! Changes of etcd's membership through members that are alive, each one step that can be done again.

use super::identity::Identity;
use super::marks::{Mark, Marks};
use super::view::{self, View};
use super::{Node, disk};
use crate::node::error::NodeError;
use crate::node::etcd::{Etcd, wal};

/// A server that has a majority, and what it knows.
struct Living {
    etcd: Etcd,
    view: View,
}

async fn living(node: &Node, identity: &Identity) -> Result<Living, NodeError> {
    let credentials = identity.credentials();
    let mut last = None;
    for peer in node.others() {
        match view::latest(peer.address, &credentials).await {
            Ok(Some(view)) => return Ok(Living { etcd: view::server(peer.address, &credentials)?, view }),
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or(NodeError::NoMajority, NodeError::from))
}

/// Whether the living cluster is the one that this node's data is of, and has its member no more. Another cluster with the same
/// authority is one that was brought back from a copy: what to do with this data then is for somebody else to say.
pub(super) async fn has_lost(node: &Node, identity: &Identity) -> Result<bool, NodeError> {
    let data = disk::etcd_data(&node.file);
    let Some(owner) = wal::owner(data).map_err(NodeError::io("read", data))? else { return Ok(false) };
    let Living { view, .. } = living(node, identity).await?;
    Ok(view.cluster == Some(owner.cluster) && view.members.iter().all(|member| member.id != owner.member))
}

/// Takes out the member that this node was.
pub(super) async fn remove(node: &Node, identity: &Identity) -> Result<(), NodeError> {
    let Living { etcd, view } = living(node, identity).await?;
    if let Some(stale) = view.member(node.file.address.addr()) {
        node.teller.note(format!("taking the former member {} of this node out of etcd", stale.id));
        etcd.remove(stale.id).await?;
    }
    Ok(())
}

/// Adds this node, and gives the membership that it is to start with.
pub(super) async fn add(node: &Node, identity: &Identity, marks: &mut Marks) -> Result<String, NodeError> {
    let Living { etcd, .. } = living(node, identity).await?;
    // Before asking: from here on a member without a name may be this very disk's.
    marks.change(&[Mark::Asked], &[])?;
    etcd.add(&[view::peer_url(node.file.address.addr())], false).await?;
    current(node, identity).await
}

/// The membership that this node is to start with, after it was added: the latest, or, where the majority waits for this
/// very member, what the others have on disk.
pub(super) async fn current(node: &Node, identity: &Identity) -> Result<String, NodeError> {
    let own = node.file.address.addr();
    if let Ok(Living { view, .. }) = living(node, identity).await
        && view.member(own).is_some()
    {
        return Ok(initial_cluster(node, &view));
    }
    let credentials = identity.credentials();
    for peer in node.others() {
        if let Ok(view) = view::on_disk(peer.address, &credentials).await
            && view.member(own).is_some()
        {
            return Ok(initial_cluster(node, &view));
        }
    }
    Err(NodeError::NoMajority)
}

/// `name=URL,…`, as etcd's `--initial-cluster` takes it. It compares the URLs; the names of others need only be there.
fn initial_cluster(node: &Node, view: &View) -> String {
    let own = view::peer_url(node.file.address.addr());
    let mut members = Vec::new();
    for member in &view.members {
        for url in &member.peer_urls {
            let name = match member.name.as_str() {
                _ if *url == own => node.file.name.clone(),
                "" => member.id.to_string(),
                name => name.to_owned(),
            };
            members.push(format!("{name}={url}"));
        }
    }
    members.join(",")
}
