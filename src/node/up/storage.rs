//! What a kubelet tells the cluster of its drivers for storage, the CSINode. A kubelet that has an API server but is not known
//! there yet cannot make that object, and looks again after 0.1, 0.6, 4 and then 23 s; its node is not ready before (k/k
//! pkg/volume/csi/csi_plugin.go, `initializeCSINode`). On a master, which starts its API server itself, this is the rule.
//! A kubelet that finds the object takes it.

use serde_json::{Value, json};

use super::Node;
use crate::kubernetes::KubernetesVersion;
use crate::kubernetes::quirks;
use crate::node::error::NodeError;
use crate::node::kube::{Kube, Reply};

/// All objects of that kind.
const PATH: &str = "/apis/storage.k8s.io/v1/csinodes";

/// Makes the object of a node without drivers, unless there is one.
pub(super) async fn offer(node: &Node, version: KubernetesVersion, kube: &Kube) -> Result<(), NodeError> {
    if quirks::kubelet_waits_for_storage(version) {
        kube.create(PATH, &object(&node.file.name)).await?;
    }
    Ok(())
}

/// Lets the object go with its node, as one that a kubelet makes does.
pub(super) async fn adopt(node: &Node, version: KubernetesVersion, kube: &Kube) -> Result<(), NodeError> {
    if !quirks::kubelet_waits_for_storage(version) {
        return Ok(());
    }
    let Reply::Done(owner) = kube.get(&node.object()).await? else { return Ok(()) };
    kube.patch(&format!("{PATH}/{}", node.file.name), &owned(&node.file.name, &owner["metadata"]["uid"])).await?;
    Ok(())
}

fn object(name: &str) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSINode",
        "metadata": {"name": name},
        "spec": {"drivers": []},
    })
}

fn owned(name: &str, uid: &Value) -> Value {
    json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}]}})
}
