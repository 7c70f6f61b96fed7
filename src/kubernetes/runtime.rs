//! What the kubelet runs containers with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The container runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// containerd, through its CRI plugin.
    Containerd,
    /// Docker Engine, through dockershim until Kubernetes 1.23 and cri-dockerd from 1.24.
    Docker,
}
