//! The cluster file as its author writes it. What its values mean together, [`check`](super::check) tells.
//!
//! Addresses, versions and the like are texts here, so that one pass over them can report all that are wrong.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::addon::AddonFile;
use super::seeding::ReportsFile;
use super::{
    Bootstrap, Cni, Compat, ComponentChoice, Coredns, Disc, Dns, EndpointMode, EtcdMode, ImageChoice, KubeProxy,
    Platform, Role, Runtime,
};
use crate::arch::Arch;

/// A cluster: what it is called, what it runs, how it is reached, and its machines.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "khimg cluster file")]
pub struct ClusterFile {
    /// The version of this file format.
    #[serde(default)]
    pub api_version: ApiVersion,
    /// The cluster's name, a DNS label.
    #[serde(default = "default::name")]
    pub name: String,
    /// The Kubernetes version: exact such as 1.34.2, or a minor such as 1.34 whose patch the lock pins.
    #[serde(default = "default::kubernetes")]
    pub kubernetes: String,
    /// What the machines run, unless a node says otherwise.
    #[serde(default)]
    pub target: TargetFile,
    /// The container runtime of every node.
    #[serde(default = "default::runtime")]
    pub runtime: Runtime,
    /// How the API server is reached.
    #[serde(default)]
    pub endpoint: EndpointFile,
    /// Where etcd runs.
    #[serde(default)]
    pub etcd: EtcdFile,
    /// How the first control planes come up.
    #[serde(default = "default::bootstrap")]
    pub bootstrap: Bootstrap,
    /// Pod and service networks.
    #[serde(default)]
    pub network: NetworkFile,
    /// Names of mirrors in the order in which they are tried.
    #[serde(default = "default::mirrors")]
    pub mirrors: Vec<String>,
    /// Your own mirrors: for each name, the base URL of each source that it serves.
    #[serde(default)]
    pub mirror_definitions: BTreeMap<String, BTreeMap<String, String>>,
    /// Whom to trust for a source, instead of the keys in the catalogue.
    #[serde(default)]
    pub trust: BTreeMap<String, TrustFile>,
    /// Versions and forms of single components, instead of the catalogue's choice.
    #[serde(default)]
    pub components: BTreeMap<String, ComponentChoice>,
    /// Settings of keepalived, haproxy and kubeadm that khimg would choose otherwise.
    #[serde(default)]
    pub compat: Compat,
    /// Manifests that the first master applies to the cluster, in this order.
    #[serde(default)]
    #[schemars(length(max = 50))]
    pub addons: Vec<AddonFile>,
    /// URLs where nodes look for their bundles, in order: of web servers, or oci://HOST/NAME; nodes with local media need none.
    #[serde(default)]
    pub depots: Vec<String>,
    /// Who hands the machines their user-data; its size is held to the platform's limit.
    #[serde(default)]
    pub platform: Platform,
    /// How seeds get onto machines.
    #[serde(default)]
    pub seed: SeedFile,
    /// What khimg image puts into images of machines beside their bundle.
    #[serde(default)]
    pub image: ImageChoice,
    /// How long after the cluster's formation a seed may still join: a number with m, h or d, such as 30d.
    #[serde(default = "default::join_until")]
    pub join_until: String,
    /// How long the token of all seeds lives while no master renews it, which they do until joinUntil has passed.
    #[serde(default = "default::token_life")]
    pub token_life: String,
    /// The machines, at most 5000: beyond that Kubernetes itself is not tested (its documentation, "Considerations for large clusters").
    #[schemars(length(min = 1, max = 5000))]
    pub nodes: Vec<NodeFile>,
}

impl ClusterFile {
    /// The files that it names, as they are written there: relative to its directory.
    pub fn companions(&self) -> Vec<&str> {
        let keys = self.trust.values().filter_map(|trust| match trust {
            TrustFile::Keys(trusted) => Some(&trusted.keys),
            TrustFile::Unsigned(_) => None,
        });
        let addons = self.addons.iter().filter_map(|addon| addon.file.as_ref());
        let ca = self.seed.reports.as_ref().and_then(|reports| reports.ca.as_ref());
        keys.flatten().chain(&self.seed.user_data).chain(ca).chain(addons).map(String::as_str).collect()
    }
}

/// The version of the file format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The only one so far.
    #[default]
    #[serde(rename = "khimg/v1")]
    V1,
}

/// A base system, or the part of it that differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetFile {
    /// An operating system of the catalogue, such as debian-12.
    #[serde(default)]
    pub os: Option<String>,
    /// The machine's architecture.
    #[serde(default)]
    pub arch: Option<Arch>,
}

/// How the API server is reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointFile {
    /// Who answers at the address.
    #[serde(default = "default::endpoint_mode")]
    pub mode: EndpointMode,
    /// A free address in the nodes' subnet, for the modes stacked, vip-only and dedicated.
    #[serde(default)]
    pub vip: Option<String>,
    /// The address that answers already, for the mode external; in single-lb that of the lb node.
    #[serde(default)]
    pub address: Option<String>,
    /// The port: by default 8443, or 6443 in the modes vip-only and external.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// The network interface that carries the virtual address and the nodes' own.
    #[serde(default = "default::interface")]
    pub interface: String,
    /// The VRRP id, unique among all clusters on the same network segment.
    #[serde(default = "default::virtual_router_id")]
    #[schemars(range(min = 1, max = 255))]
    pub virtual_router_id: u8,
    /// Further names of the address: nodes know them, and the API server's certificate is valid for them.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub names: Vec<String>,
}

impl Default for EndpointFile {
    fn default() -> Self {
        Self {
            mode: default::endpoint_mode(),
            vip: None,
            address: None,
            port: None,
            interface: default::interface(),
            virtual_router_id: default::virtual_router_id(),
            names: Vec::new(),
        }
    }
}

/// How seeds get onto machines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedFile {
    /// A disc image for each node. none; seed: with its seed; bundle: with its bundle too.
    #[serde(default)]
    pub disc: Disc,
    /// URL below which dist/secret is served: where nodes get user-data that their platform has no room for.
    #[serde(default)]
    pub url: Option<String>,
    /// Files with further parts of every node's user-data, relative to the cluster file.
    #[serde(default)]
    pub user_data: Vec<String>,
    /// Where nodes say how far they are. Default: nowhere.
    #[serde(default)]
    pub reports: Option<ReportsFile>,
}

/// Where etcd runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EtcdFile {
    /// stacked: on the masters; external: on nodes of role etcd.
    #[serde(default = "default::etcd_mode")]
    pub mode: EtcdMode,
}

impl Default for EtcdFile {
    fn default() -> Self {
        Self { mode: default::etcd_mode() }
    }
}

/// Pod and service networks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkFile {
    /// Addresses of pods.
    #[serde(default = "default::pod_subnet")]
    pub pod_subnet: String,
    /// Addresses of services.
    #[serde(default = "default::service_subnet")]
    pub service_subnet: String,
    /// The suffix of the names of services.
    #[serde(default = "default::dns_domain")]
    pub dns_domain: String,
    /// The network plugin.
    #[serde(default = "default::cni")]
    pub cni: Cni,
    /// The cluster's DNS server.
    #[serde(default = "default::dns")]
    pub dns: Dns,
    /// How services reach their pods.
    #[serde(default = "default::kube_proxy")]
    pub kube_proxy: KubeProxy,
    /// How much CoreDNS may do, where that is not what kubeadm sets.
    #[serde(default)]
    pub coredns: Coredns,
}

impl Default for NetworkFile {
    fn default() -> Self {
        Self {
            pod_subnet: default::pod_subnet(),
            service_subnet: default::service_subnet(),
            dns_domain: default::dns_domain(),
            cni: default::cni(),
            dns: default::dns(),
            kube_proxy: default::kube_proxy(),
            coredns: Coredns::default(),
        }
    }
}

/// Whom to trust for a source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TrustFile {
    /// Nobody: the explicit word that no signature is wanted.
    Unsigned(Unsigned),
    /// The owners of these keys.
    Keys(TrustedKeys),
}

/// The word for a source without signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unsigned {
    /// No signature at all; the manifest repeats it.
    Unsigned,
}

/// Keys whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustedKeys {
    /// Files with ASCII-armoured public keys, relative to the cluster file.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Full fingerprints of the primary keys, in hex.
    #[schemars(length(min = 1))]
    pub fingerprints: Vec<String>,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeFile {
    /// Its host name, a DNS label, unique in the cluster.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its address with the prefix length of its subnet, such as 192.168.30.11/24.
    pub address: String,
    /// Its default gateway.
    #[serde(default)]
    pub gateway: Option<String>,
    /// Its name servers.
    #[serde(default)]
    pub nameservers: Vec<String>,
    /// Its Ethernet address, by which network boot and cloud-init recognise it.
    #[serde(default)]
    pub mac: Option<String>,
    /// Its serial number, as its firmware tells it (SMBIOS, chassis or system): another way to recognise it over the network.
    #[serde(default)]
    pub serial: Option<String>,
    /// Its UUID, as its firmware tells it (SMBIOS): another way to recognise it over the network.
    #[serde(default)]
    pub uuid: Option<String>,
    /// The interface that carries the address, where that is not the endpoint's.
    #[serde(default)]
    pub interface: Option<String>,
    /// Its own base system, where that differs from the cluster's.
    #[serde(default)]
    pub target: Option<TargetFile>,
}

/// What a key means that is not written.
pub mod default {
    use crate::arch::Arch;
    use crate::cluster::{Bootstrap, Cni, Dns, EndpointMode, EtcdMode, KubeProxy};
    use crate::kubernetes::Runtime;

    /// `name`.
    pub fn name() -> String {
        "demo".to_owned()
    }
    /// `kubernetes`.
    pub fn kubernetes() -> String {
        "1.34".to_owned()
    }
    /// `target.os`.
    pub fn os() -> String {
        "debian-12".to_owned()
    }
    /// `target.arch`.
    pub fn arch() -> Arch {
        Arch::Amd64
    }
    /// `runtime`.
    pub fn runtime() -> Runtime {
        Runtime::Containerd
    }
    /// `endpoint.mode`.
    pub fn endpoint_mode() -> EndpointMode {
        EndpointMode::Stacked
    }
    /// `endpoint.port`: where nothing stands before the API server, its own.
    pub fn port(mode: EndpointMode) -> u16 {
        match mode {
            EndpointMode::Stacked | EndpointMode::Dedicated | EndpointMode::SingleLb => 8443,
            EndpointMode::VipOnly | EndpointMode::External => super::super::endpoint::API_SERVER_PORT,
        }
    }
    /// `endpoint.interface`.
    pub fn interface() -> String {
        "eth0".to_owned()
    }
    /// `endpoint.virtualRouterId`.
    pub fn virtual_router_id() -> u8 {
        50
    }
    /// `etcd.mode`.
    pub fn etcd_mode() -> EtcdMode {
        EtcdMode::Stacked
    }
    /// `bootstrap`.
    pub fn bootstrap() -> Bootstrap {
        Bootstrap::Symmetric
    }
    /// `network.podSubnet`: flannel's own default.
    pub fn pod_subnet() -> String {
        "10.244.0.0/16".to_owned()
    }
    /// `network.serviceSubnet`: kubeadm's own default.
    pub fn service_subnet() -> String {
        "10.96.0.0/12".to_owned()
    }
    /// `network.dnsDomain`.
    pub fn dns_domain() -> String {
        "cluster.local".to_owned()
    }
    /// `network.cni`.
    pub fn cni() -> Cni {
        Cni::Flannel
    }
    /// `network.dns`.
    pub fn dns() -> Dns {
        Dns::Coredns
    }
    /// `network.kubeProxy`.
    pub fn kube_proxy() -> KubeProxy {
        KubeProxy::Iptables
    }
    /// `mirrors`.
    pub fn mirrors() -> Vec<String> {
        ["aliyun", "tuna", "ustc", "system", "upstream"].map(str::to_owned).to_vec()
    }
    /// `joinUntil`.
    pub fn join_until() -> String {
        "30d".to_owned()
    }
    /// `tokenLife`: kubeadm's own default.
    pub fn token_life() -> String {
        "24h".to_owned()
    }
}
