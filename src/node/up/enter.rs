//! The way into the cluster's etcd: look, decide, do one step, look again, until this node's disk holds its part.

use super::control_plane::Membership;
use super::identity::Identity;
use super::marks::{Mark, Marks};
use super::observe::observe;
use super::{Node, Pause, agent, disk, membership};
use crate::node::decision::{Action, Waiting, decide};
use crate::node::error::NodeError;

/// Decides and acts until etcd has data here, or until it is clear that it never will. `start` starts it on an empty disk.
pub(super) async fn enter(
    node: &Node,
    marks: &mut Marks,
    mut start: impl AsyncFnMut(&mut Marks, Membership) -> Result<(), NodeError>,
) -> Result<(), NodeError> {
    let identity = if disk::holds_etcd(&node.file) { Some(Identity::issue(&node.file)?) } else { None };
    let mut pause = Pause::default();
    loop {
        let observation = observe(node, identity.as_ref()).await?;
        let action = decide(&observation);
        match (action, &identity) {
            (Action::Boot, _) => return Ok(()),
            // Its data lies elsewhere: the steps that follow are all there is.
            (Action::Form, None) => return Ok(()),
            (Action::Form, Some(_)) => {
                node.teller.note("starting as one of the first members");
                start(marks, Membership::First).await?;
            }
            (Action::Join, Some(identity)) => {
                node.teller.working("join etcd");
                let members = membership::add(node, identity, marks).await?;
                start(marks, Membership::Entering(members)).await?;
            }
            (Action::Resume, Some(identity)) => {
                node.teller.working("join etcd");
                let members = membership::current(node, identity).await?;
                start(marks, Membership::Entering(members)).await?;
            }
            (Action::Replace, Some(identity)) => {
                node.teller.working("replace the former member");
                membership::remove(node, identity).await?;
            }
            (Action::Wait(waiting), _) => {
                node.teller.waiting("enter the cluster", wanted(waiting));
                pause.look().await;
            }
            (Action::Join | Action::Resume | Action::Replace, None) => pause.look().await,
        }
    }
}

fn wanted(waiting: Waiting) -> String {
    match waiting {
        Waiting::Peers { heard, needed } => {
            format!("other nodes to say whether there is a cluster already: {heard} answered, {needed} must")
        }
        Waiting::Quorum => "a majority of the cluster's etcd, which counts this node in".to_owned(),
        Waiting::First => "the first master, which begins".to_owned(),
        Waiting::Endpoint => "an API server behind the endpoint".to_owned(),
    }
}

/// Waits until this node's etcd is one of a majority.
pub(super) async fn wait_for_majority(node: &Node, marks: &mut Marks) -> Result<(), NodeError> {
    let credentials = Identity::issue(&node.file)?.credentials();
    let mut pause = Pause::default();
    while !agent::own_view(node, &credentials).await.is_some_and(|view| view.quorate) {
        node.teller.waiting("reach etcd", "this node's etcd to be one of a majority");
        pause.look().await;
    }
    marks.change(&[], &[Mark::Entering])
}
