//! The way into the cluster's etcd: look, decide, do one step, look again, until this node's disk holds its part.

use super::control_plane::Membership;
use super::identity::Identity;
use super::marks::{Mark, Marks};
use super::{Node, Pause, agent, disk, membership, observe, retire};
use crate::node::call::Credentials;
use crate::node::decision::{Action, Observation, Waiting, decide};
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
        let observation = observe::observe(node, identity.as_ref()).await?;
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
            // Only whoever has data retires, and that boots first.
            (Action::Join | Action::Resume | Action::Replace, None) | (Action::Retire, _) => pause.look().await,
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

/// How often a node looks for its majority before it asks the others again whether it is still a member.
const LOOKS: u32 = 10;

/// Waits until this node's etcd is one of a majority. Gives `false` where that will never be, because the cluster has taken this
/// member out: its data is then out of the way, and the node has to enter anew.
pub(super) async fn wait_for_majority(node: &Node, marks: &mut Marks) -> Result<bool, NodeError> {
    let identity = Identity::issue(&node.file)?;
    let credentials = identity.credentials();
    let mut pause = Pause::default();
    while !agent::own_view(node, &credentials).await.is_some_and(|view| view.quorate) {
        node.teller.waiting("reach etcd", "this node's etcd to be one of a majority");
        pause.look().await;
        if pause.attempts.is_multiple_of(LOOKS)
            && decide(&doubted(node, &credentials).await?) == Action::Retire
            && membership::has_lost(node, &identity).await?
        {
            retire::retire(node, marks).await?;
            return Ok(false);
        }
    }
    marks.change(&[], &[Mark::Entering])?;
    Ok(true)
}

/// What a node with data sees that no longer trusts it.
async fn doubted(node: &Node, credentials: &Credentials) -> Result<Observation, NodeError> {
    Ok(Observation { peers: observe::others(node, credentials).await, ..observe::observe(node, None).await? })
}
