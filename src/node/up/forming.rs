//! What a whole cluster needs once: its configuration, the right to join, addons, the network. The master whose API server is
//! there first does it, and holds the Lease `kube-system/khimg-forming` meanwhile. The others follow, one after another, if it
//! does not come to an end. Each step may be done twice, so nothing depends on clocks, nor on the Lease.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::addons::Manifests;
use super::configuration;
use super::program::phase;
use super::{Node, RECORD, TURN};
use crate::clock;
use crate::cluster::Dns;
use crate::node::error::NodeError;
use crate::node::kube::{Kube, Reply};
use crate::node::lease::{self, LEASES, holder};
use crate::node::token;
use crate::render::INIT_PATH;

const LEASE: &str = "khimg-forming";

/// Returns when the cluster has all of it. `controllers` starts this master's controllers, of which a cluster that is set up needs
/// some: those of the other masters would only take time from what comes first.
pub(super) async fn form(
    node: &Node,
    kube: &Kube,
    controllers: impl AsyncFnOnce() -> Result<(), NodeError>,
) -> Result<(), NodeError> {
    let begun = Instant::now();
    let is_done = async || Ok::<_, NodeError>(matches!(kube.get(RECORD).await?, Reply::Done(_)));
    loop {
        if is_done().await? {
            return Ok(());
        }
        if is_first(node, kube).await? || begun.elapsed() >= TURN * (1 + node.rank()) {
            // Another may have come to its end in between.
            if is_done().await? {
                kube.delete(&lease::path(LEASE), None).await?;
                return Ok(());
            }
            break;
        }
        node.teller.waiting("set up the cluster", "another master, which does it first");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    controllers().await?;
    node.wait_for_endpoint("set up the cluster").await;
    node.teller.working("set up the cluster");
    let (own, stored) = (Path::new(INIT_PATH), configuration::stored()?);
    // Whoever wants to join waits for these. The last one goes on to wait until this node is known.
    let invitation = async {
        tokio::try_join!(
            phase(&["bootstrap-token", "--skip-token-print"], own),
            phase(&["upload-config", "kubeadm"], &stored),
        )?;
        token::invite(kube, &token::of_this_node()?).await
    };
    tokio::try_join!(invitation, phase(&["upload-config", "kubelet"], &stored))?;
    phase(&["addon", "kube-proxy"], &stored).await?;
    if node.file.dns != Dns::None {
        phase(&["addon", "coredns"], &stored).await?;
    }
    let manifests = Manifests::read()?;
    manifests.apply_required().await?;
    let mut record = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "khimg", "namespace": "kube-system"},
        "data": manifests.outstanding(),
    });
    record["data"]["formedAt"] = clock::now().to_string().into();
    record["data"]["khimg"] = env!("CARGO_PKG_VERSION").into();
    // Whoever was faster has done the same.
    kube.create("/api/v1/namespaces/kube-system/configmaps", &record).await?;
    kube.delete(&lease::path(LEASE), None).await?;
    Ok(())
}

/// Whether this master is the first to ask, now or before it was cut off. While the namespace is still missing, nobody is.
async fn is_first(node: &Node, kube: &Kube) -> Result<bool, NodeError> {
    let lease = lease::new(LEASE, &json!({"holderIdentity": node.file.name}));
    Ok(match kube.create(LEASES, &lease).await? {
        Reply::Done(_) => true,
        Reply::Missing => false,
        Reply::Conflict => {
            let held = kube.get(&lease::path(LEASE)).await?.done();
            held.as_ref().and_then(holder) == Some(node.file.name.as_str())
        }
    })
}
