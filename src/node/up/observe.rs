//! The world as one node sees it: its own disk, and what the others say.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;

use super::agent::{self, Answer};
use super::identity::Identity;
use super::marks::{Mark, Marks};
use super::{Node, disk, view};
use crate::cluster::{Bootstrap, EtcdMode, Role};
use crate::node::call::{CallError, Caller, Credentials, parsed};
use crate::node::decision::{Observation, Peer};
use crate::node::error::NodeError;
use crate::render::node_file::Member;

/// How long another node may take to answer.
const TIME: Duration = Duration::from_secs(14);

/// Largest answer, in bytes.
const LIMIT: usize = 4 << 10;

/// Looks around.
pub(super) async fn observe(node: &Node, identity: Option<&Identity>) -> Result<Observation, NodeError> {
    let file = &node.file;
    let has_data = disk::has_data(file);
    // Whoever has data needs no advice, and whoever does not hold etcd gives none.
    let peers = match identity {
        Some(identity) if !has_data => others(node, &identity.credentials()).await,
        _ => Vec::new(),
    };
    Ok(Observation {
        role: file.role,
        // Masters take turns only where etcd is theirs; members of an external etcd are all equal.
        bootstrap: if file.role == Role::Etcd { Bootstrap::Symmetric } else { file.bootstrap },
        etcd: file.etcd,
        is_first: file.nodes.iter().find(|member| member.role == Role::Master).is_some_and(|one| one.name == file.name),
        has_data,
        has_asked: Marks::read(&node.state)?.has(Mark::Asked),
        peers,
        endpoint_answers: !has_data && needs_endpoint(node) && node.endpoint_answers().await,
    })
}

/// What each of the others says that hold the cluster's etcd.
pub(super) async fn others(node: &Node, credentials: &Credentials) -> Vec<Peer> {
    join_all(node.others().map(|peer| ask(node, peer, credentials))).await
}

/// Whether anything depends on the endpoint.
fn needs_endpoint(node: &Node) -> bool {
    node.file.role == Role::Worker || node.file.role == Role::Master && node.file.etcd == EtcdMode::External
}

async fn ask(node: &Node, peer: &Member, credentials: &Credentials) -> Peer {
    match ask_agent(peer, credentials).await {
        Ok(answer) => answer.into(),
        // It is there, and does not know.
        Err(CallError::Refused { .. }) => Peer::Silent,
        // Its etcd may run where khimg does not; but only what a majority confirms can be taken from there.
        Err(_) => match view::latest(peer.address, credentials).await {
            Ok(Some(view)) => view.answer(node.file.address.addr()),
            Ok(None) | Err(_) => Peer::Silent,
        },
    }
}

async fn ask_agent(peer: &Member, credentials: &Credentials) -> Result<Answer, CallError> {
    let url = view::url(peer.address, agent::PORT, agent::PATH)?;
    let (status, body) = Caller::new(credentials)?.call(Method::GET, &url, None, TIME, LIMIT).await?;
    if !status.is_success() {
        return Err(crate::node::call::refused(&url, status, &body));
    }
    parsed(&url, &body)
}
