//! kubeadm's configuration as types: one shape that each of v1beta1 to v1beta4 reads, told apart by [`Args`] and by
//! fields that are left out.
//!
//! Field names and meanings: kubernetes/website, reference/config-api/kubeadm-config.v1beta3 and v1beta4, and
//! cmd/kubeadm/app/apis/kubeadm/{v1beta1,v1beta2}/types.go of Kubernetes 1.20. None of the types can be printed: some hold
//! a token.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::kubernetes::KubeadmApi;

/// Command-line arguments of a component: a map until v1beta3, a list of names and values from v1beta4.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Args {
    /// `{name: value}`.
    Map(BTreeMap<String, String>),
    /// `[{name: …, value: …}]`, in order of the names.
    List(Vec<Arg>),
}

/// One argument.
#[derive(Serialize)]
pub struct Arg {
    /// Without leading dashes.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl Args {
    /// `arguments` as `api` writes them; `None` where there are none.
    pub fn encode(api: KubeadmApi, arguments: BTreeMap<String, String>) -> Option<Self> {
        if arguments.is_empty() {
            return None;
        }
        Some(if api.arguments_are_a_list() {
            Self::List(arguments.into_iter().map(|(name, value)| Arg { name, value }).collect())
        } else {
            Self::Map(arguments)
        })
    }
}

/// What every document begins with.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document<T> {
    /// Group and version.
    pub api_version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// The rest.
    #[serde(flatten)]
    pub body: T,
}

/// What only `kubeadm init` needs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InitConfiguration {
    /// Tokens to create.
    pub bootstrap_tokens: Vec<BootstrapToken>,
    /// This node's API server.
    #[serde(rename = "localAPIEndpoint")]
    pub local_api_endpoint: ApiEndpoint,
    /// This node.
    pub node_registration: NodeRegistration,
    /// Waiting times, from v1beta4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
}

/// What a joining node needs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinConfiguration {
    /// How it finds the cluster, and knows that it is the right one.
    pub discovery: Discovery,
    /// This node.
    pub node_registration: NodeRegistration,
    /// Present on a node that becomes a control plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane: Option<JoinControlPlane>,
    /// Waiting times, from v1beta4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
}

/// What the whole cluster shares; kubeadm stores it in the cluster.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterConfiguration {
    /// With a leading `v`.
    pub kubernetes_version: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// Where all clients find the API: `host:port`.
    pub control_plane_endpoint: String,
    /// Where the PKI lies.
    pub certificates_dir: &'static str,
    /// Prefix of the images' names.
    pub image_repository: String,
    /// Kind of kubeadm's own keys, from v1beta4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_algorithm: Option<&'static str>,
    /// What is off by default and is to be on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub feature_gates: BTreeMap<&'static str, bool>,
    /// Pod and service networks.
    pub networking: Networking,
    /// The API server.
    pub api_server: ApiServer,
    /// The controller manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller_manager: Option<Component>,
    /// etcd.
    pub etcd: Etcd,
    /// The DNS add-on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsAddon>,
}

/// A token that joins nodes.
#[derive(Serialize)]
pub struct BootstrapToken {
    /// The token itself.
    pub token: String,
    /// What it is for.
    pub description: String,
    /// How long from its creation on.
    pub ttl: String,
    /// What it may be used for.
    pub usages: Vec<&'static str>,
    /// Groups that its user belongs to.
    pub groups: Vec<&'static str>,
}

/// An API server's own address.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiEndpoint {
    /// The address that it tells others.
    pub advertise_address: String,
    /// Its port.
    pub bind_port: u16,
}

/// A node's own settings.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeRegistration {
    /// The node's name.
    pub name: String,
    /// The container runtime's socket.
    pub cri_socket: &'static str,
    /// Absent: kubeadm's default. Empty: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taints: Option<Vec<BTreeMap<String, String>>>,
    /// Arguments of the kubelet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubelet_extra_args: Option<Args>,
    /// Whether kubeadm pulls images, from v1beta3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<&'static str>,
}

/// How a joining node finds the cluster.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Discovery {
    /// By a token.
    pub bootstrap_token: TokenDiscovery,
    /// For how long to try, until v1beta3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<&'static str>,
}

/// Discovery by a token and a pinned CA.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenDiscovery {
    /// The token.
    pub token: String,
    /// `host:port` of the API.
    pub api_server_endpoint: String,
    /// Pins of the CA: the cluster is believed only if its CA has one of them.
    pub ca_cert_hashes: Vec<String>,
}

/// What a joining control plane needs beside the rest.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinControlPlane {
    /// This node's API server.
    #[serde(rename = "localAPIEndpoint")]
    pub local_api_endpoint: ApiEndpoint,
}

/// Pod and service networks.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Networking {
    /// Addresses of services.
    pub service_subnet: String,
    /// Addresses of pods.
    pub pod_subnet: String,
    /// Suffix of services' names.
    pub dns_domain: String,
}

/// The API server.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiServer {
    /// Names and addresses that its certificate is valid for, beside kubeadm's own.
    #[serde(rename = "certSANs")]
    pub cert_sans: Vec<String>,
    /// Arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_args: Option<Args>,
}

/// A component with arguments.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// Arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_args: Option<Args>,
}

/// Where etcd runs.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Etcd {
    /// On this node, as a static pod.
    Local(LocalEtcd),
    /// Elsewhere.
    External(ExternalEtcd),
}

/// etcd on the masters.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalEtcd {
    /// Prefix of the image's name.
    pub image_repository: String,
    /// Tag of the image.
    pub image_tag: String,
    /// Where its data lies.
    pub data_dir: &'static str,
    /// Arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_args: Option<Args>,
}

/// etcd on machines of its own.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalEtcd {
    /// URLs of its members.
    pub endpoints: Vec<String>,
    /// The CA of its servers.
    pub ca_file: &'static str,
    /// The API server's certificate.
    pub cert_file: &'static str,
    /// Its key.
    pub key_file: &'static str,
}

/// The DNS add-on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsAddon {
    /// `CoreDNS`, until v1beta2.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// Prefix of the image's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_repository: Option<String>,
    /// Tag of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_tag: Option<String>,
    /// Not installed at all, from v1beta4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// Waiting times, from v1beta4.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// For the cluster to be found.
    pub discovery: &'static str,
}

/// The kubelet's configuration (`kubelet.config.k8s.io/v1beta1`), as far as khimg sets it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KubeletConfiguration {
    /// Must equal the runtime's.
    pub cgroup_driver: &'static str,
    /// Address of the cluster's DNS service.
    #[serde(rename = "clusterDNS")]
    pub cluster_dns: Vec<String>,
    /// Suffix of services' names.
    pub cluster_domain: String,
    /// Whether cgroup version 1 is refused; only where the target has nothing newer.
    #[serde(rename = "failCgroupV1", skip_serializing_if = "Option::is_none")]
    pub fail_cgroup_v1: Option<bool>,
    /// 100 turns the kubelet's clean-up of images off: a node without a registry could not fetch them again.
    #[serde(rename = "imageGCHighThresholdPercent")]
    pub image_gc_high_threshold_percent: u8,
    /// How often the kubelet looks how its node is. What it says first of a node that has just started is that it does not know.
    pub node_status_update_frequency: String,
    /// How often it writes that down although nothing has changed: without this, as often as it looks. This is the default.
    pub node_status_report_frequency: &'static str,
}

/// kube-proxy's configuration (`kubeproxy.config.k8s.io/v1alpha1`), as far as khimg sets it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KubeProxyConfiguration {
    /// `iptables` or `ipvs`.
    pub mode: &'static str,
    /// Addresses of pods.
    #[serde(rename = "clusterCIDR")]
    pub cluster_cidr: String,
    /// Limits of connection tracking.
    pub conntrack: Conntrack,
}

/// Limits of connection tracking.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conntrack {
    /// 0 leaves the kernel's limit alone: the base layer sets it, and in a container nobody may.
    pub max_per_core: u32,
}
