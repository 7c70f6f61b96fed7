//! A kubelet's own certificate that ended while its machine was off. A kubelet renews it only as long as it is good; after
//! that it never comes back by itself.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;

use super::{Node, disk};
use crate::clock;
use crate::input;
use crate::node::call::CallError;
use crate::node::kubeconfig::{KUBELET, Kubeconfig};
use crate::node::validity::Validity;

/// Largest certificate with its key, in bytes.
const LIMIT: u64 = 1 << 20;

/// How often to ask.
const ROUND: Duration = Duration::from_secs(10);

/// Whether one of the certificates that the kubelet shows has ended at `now`.
pub(super) fn is_over(now: Timestamp) -> bool {
    let current = input::read(Path::new(disk::KUBELET_CERTIFICATE), LIMIT).ok();
    let named = Kubeconfig::read(Path::new(KUBELET)).ok().map(|read| read.certificate);
    [current, named].into_iter().flatten().filter_map(|pem| Validity::of(&pem)).any(|validity| validity.ends <= now)
}

/// Returns when the certificate has ended by this machine's clock and an API server, which proved who it is by the same
/// clock, does not know who shows it: a wrong clock alone must not cost a node its identity.
pub(super) async fn refused(node: &Node) {
    loop {
        if is_over(clock::now()) && is_unknown(node).await {
            return;
        }
        tokio::time::sleep(ROUND).await;
    }
}

async fn is_unknown(node: &Node) -> bool {
    let Ok(kube) = Kubeconfig::read(Path::new(KUBELET)).and_then(|read| read.connect()) else { return false };
    let asked = kube.get(&node.object()).await;
    matches!(asked, Err(CallError::Refused { status: StatusCode::UNAUTHORIZED, .. })) && node.endpoint_answers().await
}
