//! A worker on its way: it waits for the endpoint, joins with the seed's token and the pinned CA, and is ready.

use std::path::Path;
use std::sync::Arc;

use tokio::process::Command;

use super::control_plane::flush;
use super::program::run;
use super::{Node, Pause, disk, service};
use crate::node::durable;
use crate::node::error::NodeError;
use crate::node::kubeconfig::{KUBELET, Kubeconfig};
use crate::render::JOIN_PATH;

/// What an attempt that was cut off may have left behind, and kubeadm would take for whole.
const LEFT: [&str; 3] = ["/etc/kubernetes/bootstrap-kubelet.conf", KUBELET, "/etc/kubernetes/pki/ca.crt"];

pub(super) async fn up(node: &Arc<Node>) -> Result<(), NodeError> {
    let mut pause = Pause::default();
    while !disk::has_data(&node.file) {
        node.wait_for_endpoint("join").await;
        node.teller.working("join");
        match join().await {
            Ok(()) => break,
            Err(error) => node.teller.failed("join", &error),
        }
        pause.retry().await;
    }
    loop {
        match service::start("kubelet.service").and_then(|()| Ok(Kubeconfig::read(Path::new(KUBELET))?.connect()?)) {
            Ok(kube) => {
                node.wait_until_ready(&kube).await;
                node.teller.ready();
                return Ok(());
            }
            Err(error) => node.teller.failed("start the kubelet", &error),
        }
        pause.retry().await;
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
