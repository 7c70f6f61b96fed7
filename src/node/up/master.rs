//! A master on its way: look, decide, do one step, look again; then complete the control plane, and stay.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::control_plane::ControlPlane;
use super::marks::{Mark, Marks};
use super::{Node, Pause, addons, agent, disk, enter, forming, storage, tokens};
use crate::node::error::NodeError;
use crate::node::kube::Kube;

/// How often a master that is ready looks after itself.
const ROUND: Duration = Duration::from_secs(10);

pub(super) async fn up(node: &Arc<Node>) -> Result<(), NodeError> {
    let control_plane = ControlPlane::of(node)?;
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
    control_plane.refresh(&mut marks).await.map_err(at("replace certificates"))?;
    // Before etcd counts this node in, so that it can begin at once. On other masters, the kubelet's credentials say that the node is
    // part of a cluster.
    if disk::holds_etcd(&node.file) {
        control_plane.credentials(&mut marks).await.map_err(at("issue certificates"))?;
    }
    let start = async |marks: &mut Marks, membership| control_plane.start_etcd(marks, &membership).await;
    enter::enter(node, &mut marks, start).await.map_err(at("enter the cluster"))?;
    control_plane.credentials(&mut marks).await.map_err(at("issue certificates"))?;
    control_plane.start(&mut marks).await.map_err(at("start the control plane"))?;
    if disk::holds_etcd(&node.file) && !enter::wait_for_majority(node, &mut marks).await.map_err(at("reach etcd"))? {
        return Ok(());
    }
    let kube = control_plane.own_server().map_err(at("reach the API server"))?;
    wait_for_server(control_plane, &kube).await;
    if !marks.has(Mark::Known) {
        storage::offer(node, control_plane.version, &kube).await.map_err(at("reach the API server"))?;
    }
    let controllers = async || control_plane.clients(&mut marks).await;
    forming::form(node, &kube, controllers).await.map_err(at("set up the cluster"))?;
    control_plane.clients(&mut marks).await.map_err(at("start the control plane"))?;
    let remain = async {
        control_plane.known(&kube, &mut marks).await.map_err(at("register this node"))?;
        node.wait_until_ready(&kube).await;
        node.teller.ready();
        stay(control_plane, &kube).await;
        Ok(())
    };
    // The others need their tokens, and the cluster what the user wants in it, whether this node is ready or not.
    let beside = async {
        addons::keep(node, &kube).await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        remained = remain => remained,
        never = tokens::keep(node, &kube) => match never {},
        never = beside => match never {},
    }
}

async fn wait_for_server(control_plane: &ControlPlane<'_>, kube: &Kube) {
    let mut pause = Pause::default();
    while !kube.healthy(control_plane.health_path()).await.unwrap_or(false) {
        control_plane.node.teller.waiting("reach the API server", "this node's API server to be well");
        pause.look().await;
    }
}

/// Looks after a node that is ready, until it is not.
async fn stay(control_plane: &ControlPlane<'_>, kube: &Kube) {
    loop {
        tokio::time::sleep(ROUND).await;
        if !matches!(control_plane.node.is_ready(kube).await, Ok(None)) {
            return;
        }
    }
}
