//! Pod and service networks.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The network plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Cni {
    /// flannel with VXLAN.
    Flannel,
    /// calico.
    Calico,
    /// cilium.
    Cilium,
    /// The reference `bridge` plugin with one /24 per node and static routes: one layer-2 segment only, no image needed.
    Bridge,
    /// None: the user brings one.
    None,
}

impl Cni {
    /// The name in the cluster file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flannel => "flannel",
            Self::Calico => "calico",
            Self::Cilium => "cilium",
            Self::Bridge => "bridge",
            Self::None => "none",
        }
    }
}

/// The cluster's DNS server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dns {
    /// CoreDNS, of the version that belongs to the Kubernetes version.
    Coredns,
    /// None.
    None,
}

/// kube-proxy's mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KubeProxy {
    /// iptables rules.
    Iptables,
    /// The kernel's IP virtual server.
    Ipvs,
}

/// Pod and service networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Addresses of pods.
    pub pod_subnet: IpNet,
    /// Addresses of services.
    pub service_subnet: IpNet,
    /// Suffix of the names of services, such as `cluster.local`.
    pub dns_domain: String,
    /// The network plugin.
    pub cni: Cni,
    /// The cluster's DNS server.
    pub dns: Dns,
    /// kube-proxy's mode.
    pub kube_proxy: KubeProxy,
}
