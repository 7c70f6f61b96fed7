//! A master on its way: look, decide, do one step, look again; then complete the control plane, and stay.

use std::sync::Arc;
use std::time::Duration;

use super::control_plane::{ControlPlane, Membership};
use super::identity::Identity;
use super::marks::{Mark, Marks};
use super::observe::observe;
use super::{Node, Pause, agent, disk, is_ready, membership, tokens};
use crate::kubernetes::quirks;
use crate::node::decision::{Action, Waiting, decide};
use crate::node::error::NodeError;
use crate::node::kube::Kube;

/// How often a master that is ready looks after itself.
const ROUND: Duration = Duration::from_secs(10);

pub(super) async fn up(node: &Arc<Node>) -> Result<(), NodeError> {
    let control_plane = ControlPlane { node, version: node.version()? };
    let mut pause = Pause::default();
    if disk::holds_etcd(&node.file) {
        tokio::spawn(agent::serve(Arc::clone(node)));
    }
    loop {
        match become_ready(&control_plane).await {
            Ok(()) => pause = Pause::default(),
            Err((step, error)) => node.teller.failed(step, &error),
        }
        pause.retry().await;
    }
}

/// From whatever there is to a master that is ready; then looks after it until something is amiss.
async fn become_ready(control_plane: &ControlPlane<'_>) -> Result<(), (&'static str, NodeError)> {
    let at = |step: &'static str| move |error: NodeError| (step, error);
    let node = control_plane.node;
    let mut marks = Marks::read(&node.state).map_err(at("read the marks"))?;
    control_plane.credentials(&mut marks).await.map_err(at("issue certificates"))?;
    enter(control_plane, &mut marks).await.map_err(at("enter the cluster"))?;
    control_plane.start(&mut marks).await.map_err(at("start the control plane"))?;
    wait_for_etcd(node, &mut marks).await.map_err(at("reach etcd"))?;
    let kube = control_plane.own_server().map_err(at("reach the API server"))?;
    wait_for_server(control_plane, &kube).await;
    control_plane.cluster(&kube).await.map_err(at("set up the cluster"))?;
    let remain = async {
        control_plane.known(&kube, &mut marks).await.map_err(at("register this node"))?;
        node.wait_until_ready(&kube).await;
        node.teller.ready();
        stay(control_plane, &kube).await;
        Ok(())
    };
    // The others need their tokens whether this node is ready or not.
    tokio::select! {
        remained = remain => remained,
        never = tokens::keep(node, &kube) => match never {},
    }
}

/// Decides and acts until etcd has data here.
async fn enter(control_plane: &ControlPlane<'_>, marks: &mut Marks) -> Result<(), NodeError> {
    let node = control_plane.node;
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
                control_plane.start_etcd(marks, &Membership::First).await?;
            }
            (Action::Join, Some(identity)) => {
                node.teller.working("join etcd");
                let members = membership::add(node, identity, marks).await?;
                control_plane.start_etcd(marks, &Membership::Entering(members)).await?;
            }
            (Action::Resume, Some(identity)) => {
                node.teller.working("join etcd");
                let members = membership::current(node, identity).await?;
                control_plane.start_etcd(marks, &Membership::Entering(members)).await?;
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
            format!("other masters to say whether there is a cluster already: {heard} answered, {needed} must")
        }
        Waiting::Quorum => "a majority of the cluster's etcd, which counts this node in".to_owned(),
        Waiting::First => "the first master, which begins".to_owned(),
        Waiting::Endpoint => "an API server behind the endpoint".to_owned(),
    }
}

async fn wait_for_etcd(node: &Node, marks: &mut Marks) -> Result<(), NodeError> {
    if !disk::holds_etcd(&node.file) {
        return Ok(());
    }
    let credentials = Identity::issue(&node.file)?.credentials();
    let mut pause = Pause::default();
    while !agent::own_view(node, &credentials).await.is_some_and(|view| view.quorate) {
        node.teller.waiting("reach etcd", "this node's etcd to be one of a majority");
        pause.look().await;
    }
    marks.change(&[], &[Mark::Entering])
}

async fn wait_for_server(control_plane: &ControlPlane<'_>, kube: &Kube) {
    let mut pause = Pause::default();
    while !kube.healthy(quirks::health_path(control_plane.version)).await.unwrap_or(false) {
        control_plane.node.teller.waiting("reach the API server", "this node's API server to be well");
        pause.look().await;
    }
}

/// Looks after a node that is ready, until it is not.
async fn stay(control_plane: &ControlPlane<'_>, kube: &Kube) {
    let path = control_plane.node.object();
    loop {
        tokio::time::sleep(ROUND).await;
        if !matches!(is_ready(kube, &path).await, Ok(None)) {
            return;
        }
    }
}
