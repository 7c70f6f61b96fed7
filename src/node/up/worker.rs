//! A worker on its way: it waits for the endpoint, joins with the seed's token and the pinned CA, and is ready. One whose
//! certificate ended while it was off joins once more.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::process::Command;

use super::control_plane::flush;
use super::program::run;
use super::{Node, Pause, disk, expired, service};
use crate::node::durable;
use crate::node::error::NodeError;
use crate::node::kubeconfig::{KUBELET, Kubeconfig};
use crate::node::token;
use crate::render::JOIN_PATH;

/// What an attempt that was cut off may have left behind, and kubeadm would take for whole.
const LEFT: [&str; 4] =
    ["/etc/kubernetes/bootstrap-kubelet.conf", KUBELET, disk::KUBELET_CERTIFICATE, "/etc/kubernetes/pki/ca.crt"];

/// How long the cluster's signature for the holders of this node's token may take to be there.
const INVITATION: Duration = Duration::from_secs(20);

pub(super) async fn up(node: &Arc<Node>) -> Result<(), NodeError> {
    let mut pause = Pause::default();
    loop {
        if !disk::has_data(&node.file) {
            node.wait_for_endpoint("join").await;
            wait_for_invitation(node).await;
            node.teller.working("join");
            if let Err(error) = join().await {
                node.teller.failed("join", &error);
                pause.retry().await;
                continue;
            }
        }
        match service::start("kubelet.service").and_then(|()| Ok(Kubeconfig::read(Path::new(KUBELET))?.connect()?)) {
            Ok(kube) => tokio::select! {
                () = node.wait_until_ready(&kube) => {
                    node.teller.ready();
                    return Ok(());
                }
                () = expired::refused(node) => {
                    node.teller.note("the kubelet's certificate has ended: this node joins once more");
                    // What is of no use any more is what made this node part of the cluster.
                    if let Err(error) = durable::remove(Path::new(KUBELET)) {
                        node.teller.failed("join", &error);
                    }
                }
            },
            Err(error) => node.teller.failed("start the kubelet", &error),
        }
        pause.retry().await;
    }
}

/// Waits until the cluster offers a way in to holders of this node's token, as it does a moment after its API answers first:
/// kubeadm looks for it only every five seconds. If that does not come, kubeadm says why.
async fn wait_for_invitation(node: &Node) {
    let (Ok(endpoint), Ok(token)) = (node.endpoint(), token::of_this_node()) else { return };
    let (end, mut pause) = (Instant::now() + INVITATION, Pause::default());
    while Instant::now() < end {
        if token::is_invited(&endpoint, &token).await.unwrap_or(false) {
            return;
        }
        node.teller.waiting("join", "the cluster to offer a way in to holders of this node's token");
        pause.look().await;
    }
}

/// kubeadm's own preflight is left out: it wants crictl, and files of an earlier attempt to be absent. khimg has looked at
/// the machine before.
async fn join() -> Result<(), NodeError> {
    for path in LEFT {
        durable::remove(Path::new(path))?;
    }
    let mut command = Command::new("kubeadm");
    command.args(["join", "--skip-phases=preflight", "--config", JOIN_PATH]);
    run(command).await?;
    flush("/etc/kubernetes")?;
    flush("/var/lib/kubelet")
}
