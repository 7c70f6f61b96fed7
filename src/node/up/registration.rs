//! What kubeadm remembers of each node, for its later upgrades and resets: written here, because a node that joins by
//! khimg's own steps does not pass kubeadm's.

use serde_json::{Value, json};

use super::Node;
use crate::kubeadm::API_PORT;
use crate::kubernetes::KubernetesVersion;
use crate::kubernetes::quirks;
use crate::node::error::NodeError;
use crate::node::kube::{Kube, Reply};

/// What kubeadm remembers a node's runtime by (k/k cmd/kubeadm/app/constants, `AnnotationKubeadmCRISocket`).
const SOCKET: &str = "kubeadm.alpha.kubernetes.io/cri-socket";

/// Where kubeadm keeps the cluster's configuration.
const CONFIGURATION: &str = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config";

/// How often a change is tried that others make at the same time.
const TRIES: u32 = 20;

/// Notes the runtime's socket and, where kubeadm wants it, the API server's address.
pub(super) async fn register(node: &Node, version: KubernetesVersion, kube: &Kube) -> Result<(), NodeError> {
    let socket = quirks::cri_socket(node.file.runtime, version);
    kube.patch(&node.object(), &json!({"metadata": {"annotations": {SOCKET: socket}}})).await?;
    if !quirks::has_cluster_status(version) {
        return Ok(());
    }
    for _ in 0..TRIES {
        let Reply::Done(mut stored) = kube.get(CONFIGURATION).await? else { return Ok(()) };
        let Some(status) = stored.pointer_mut("/data/ClusterStatus") else { return Ok(()) };
        let text = status.as_str().unwrap_or_default();
        match with_endpoint(text, &node.file.name, &node.file.address.addr().to_string()) {
            Some(changed) => *status = Value::from(changed),
            None => return Ok(()),
        }
        if kube.update(CONFIGURATION, &stored).await? != Reply::Conflict {
            return Ok(());
        }
    }
    Err(NodeError::Contended { what: "ConfigMap kube-system/kubeadm-config", tries: TRIES })
}

/// The status with this master's address in it; `None` where there is nothing to change.
fn with_endpoint(text: &str, name: &str, address: &str) -> Option<String> {
    let mut status: Value = serde_saphyr::from_str(text).ok()?;
    let endpoints = status.as_object_mut()?.entry("apiEndpoints").or_insert_with(|| json!({})).as_object_mut()?;
    let own = json!({"advertiseAddress": address, "bindPort": API_PORT});
    if endpoints.get(name) == Some(&own) {
        return None;
    }
    endpoints.insert(name.to_owned(), own);
    serde_saphyr::to_string(&status).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_master_adds_itself_once() {
        let before = "apiEndpoints:\n  m1:\n    advertiseAddress: 10.0.0.11\n    bindPort: 6443\nkind: ClusterStatus\n";
        let after = with_endpoint(before, "m2", "10.0.0.12").expect("changed");
        let read: Value = serde_saphyr::from_str(&after).expect("YAML");
        assert_eq!(read["apiEndpoints"]["m1"]["advertiseAddress"], "10.0.0.11");
        assert_eq!(read["apiEndpoints"]["m2"], json!({"advertiseAddress": "10.0.0.12", "bindPort": 6443}));
        assert_eq!(read["kind"], "ClusterStatus");
        assert_eq!(with_endpoint(&after, "m2", "10.0.0.12"), None);
        assert!(with_endpoint("kind: ClusterStatus\n", "m2", "10.0.0.12").is_some());
    }
}
