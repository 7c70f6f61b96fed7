//! `/etc/khimg/node.yaml`: what `khimg node` has to know of its machine and its cluster. Public; the secret part lies in
//! kubeadm's configurations and in the PKI.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::cluster::{Bootstrap, Cluster, Cni, Dns, EndpointMode, EtcdMode, Node, Role};
use crate::digest::Digest;
use crate::kubernetes::{KubernetesVersion, Runtime};
use crate::secrets::Usage;
use crate::target::Target;

/// Where it lies.
pub const PATH: &str = "/etc/khimg/node.yaml";

/// The data of a member of an external etcd.
pub const ETCD_DATA: &str = "/var/lib/etcd/default";

/// Where such a member has its certificates: the authority's from the seed (`ca`), those of [`NodeFile::etcd_certificates`] issued on
/// the node itself.
pub const ETCD_PKI: &str = "/etc/etcd/pki";

/// A certificate that a member of an external etcd issues for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdCertificate {
    /// Name of the pair of files in [`ETCD_PKI`], without `.crt` and `.key`.
    pub stem: &'static str,
    /// Its common name.
    pub common_name: String,
    /// Names and addresses that it is valid for.
    pub names: Vec<String>,
    /// What it may be used for.
    pub usage: Usage,
}

/// What a node knows of itself and its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeFile {
    /// Version of the format; 1.
    pub version: u32,
    /// The cluster's name.
    pub cluster: String,
    /// Digest of the cluster's CA key, `sha256:…`: the identity of the cluster, whatever its name.
    pub ca_hash: Digest,
    /// This node's name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its address with the prefix length of its subnet.
    pub address: IpNet,
    /// The base system that its bundle is for.
    pub target: Target,
    /// The exact Kubernetes version; none on a node that carries no Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesVersion>,
    /// The container runtime.
    pub runtime: Runtime,
    /// How the first control planes come up.
    pub bootstrap: Bootstrap,
    /// Where etcd runs.
    pub etcd: EtcdMode,
    /// The network plugin.
    pub cni: Cni,
    /// The cluster's DNS server.
    pub dns: Dns,
    /// How the API is reached.
    pub endpoint: EndpointAddress,
    /// For how many seconds after the cluster's formation a node may still join with the seed's token.
    pub join_seconds: u64,
    /// For how many seconds that token lives while no master renews it.
    #[serde(default = "day")]
    pub token_seconds: u64,
    /// The nodes that others talk to: all but the workers, in the order of the cluster file. With thousands of workers in each of
    /// thousands of seeds, these would not fit anywhere.
    pub nodes: Vec<Member>,
}

/// In files of an older khimg.
fn day() -> u64 {
    24 * 60 * 60
}

/// How the API is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointAddress {
    /// Who answers there.
    pub mode: EndpointMode,
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

/// One node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its address.
    pub address: IpAddr,
}

impl NodeFile {
    /// What a member of an external etcd needs beside its data: to serve clients, to talk to the other members, and to be asked on the
    /// machine itself (kubernetes/website, setup-ha-etcd-with-kubeadm).
    pub fn etcd_certificates(&self) -> [EtcdCertificate; 3] {
        let mut names = vec![self.name.clone(), self.address.addr().to_string()];
        names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        let own = |stem, usage, names| EtcdCertificate { stem, common_name: self.name.clone(), names, usage };
        [
            own("server", Usage::Server, names.clone()),
            own("peer", Usage::Server, names),
            own("client", Usage::Client, Vec::new()),
        ]
    }

    /// What `node` has to know.
    pub(super) fn new(cluster: &Cluster, node: &Node, version: Option<KubernetesVersion>, ca_hash: Digest) -> Self {
        Self {
            version: 1,
            cluster: cluster.name.clone(),
            ca_hash,
            name: node.name.clone(),
            role: node.role,
            address: node.address,
            target: cluster.target_of(node).clone(),
            kubernetes: version,
            runtime: cluster.runtime,
            bootstrap: cluster.bootstrap,
            etcd: cluster.etcd,
            cni: cluster.network.cni,
            dns: cluster.network.dns,
            endpoint: EndpointAddress {
                mode: cluster.endpoint.mode,
                address: cluster.endpoint.address,
                port: cluster.endpoint.port,
            },
            join_seconds: u64::try_from(cluster.join_until.as_secs()).unwrap_or_default(),
            token_seconds: u64::try_from(cluster.token_life.as_secs()).unwrap_or_default(),
            nodes: cluster
                .nodes
                .iter()
                .filter(|node| node.role != Role::Worker)
                .map(|node| Member { name: node.name.clone(), role: node.role, address: node.ip() })
                .collect(),
        }
    }
}
