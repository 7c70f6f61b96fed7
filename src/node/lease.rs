//! Leases in `kube-system`, by which masters agree who does what only one should do.

use serde_json::{Value, json};

/// Where they are.
pub(super) const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";

/// The path of one.
pub(super) fn path(name: &str) -> String {
    format!("{LEASES}/{name}")
}

/// One that is yet to be made.
pub(super) fn new(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": spec,
    })
}

/// Who holds it.
pub(super) fn holder(lease: &Value) -> Option<&str> {
    lease.pointer("/spec/holderIdentity").and_then(Value::as_str).filter(|name| !name.is_empty())
}
