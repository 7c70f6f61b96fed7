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

/// How much CoreDNS may do, where that is not what kubeadm sets. Templates see it as it is, with names in snake case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"), deny_unknown_fields)]
pub struct Coredns {
    /// How many of it run; kubeadm's default is 2.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: Option<u16>,
    /// How much memory one of it may have, such as 512Mi; kubeadm's default is 170Mi.
    #[serde(default)]
    pub memory: Option<String>,
    /// How many answers it remembers; CoreDNS' default is 9984.
    #[serde(default)]
    #[schemars(range(min = 1024, max = 1000000))]
    pub cache_size: Option<u32>,
    /// For how many seconds it remembers an answer at most; kubeadm's default is 30.
    #[serde(default)]
    #[schemars(range(min = 1, max = 3600))]
    pub cache_seconds: Option<u16>,
    /// How many questions it has open at the servers above it, from Kubernetes 1.19 on; kubeadm's default is 1000.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100000))]
    pub max_concurrent: Option<u32>,
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
    /// How much CoreDNS may do, where that is not kubeadm's default.
    pub coredns: Coredns,
}
