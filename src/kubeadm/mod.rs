//! kubeadm's configuration files, for every version from 1.14 on.
//!
//! Each master gets one file to form the cluster with, all with the same full membership of etcd (symmetric bootstrap);
//! the same without that membership, which is what the cluster may store and later joiners inherit; and one to join with.
//! Workers get only the last.

mod types;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use crate::cluster::{Bootstrap, Cluster, Cni, Dns, EtcdMode, KubeProxy, Node, Role};
use crate::kubernetes::KubernetesVersion;
use crate::kubernetes::{KubeadmApi, quirks};
use crate::secrets::{Secrets, SecretsError};
use types::{
    ApiEndpoint, ApiServer, Args, BootstrapToken, ClusterConfiguration, Component, Conntrack, Discovery, DnsAddon,
    Document, Etcd, ExternalEtcd, InitConfiguration, JoinConfiguration, JoinControlPlane, KubeProxyConfiguration,
    KubeletConfiguration, LocalEtcd, Networking, NodeRegistration, Timeouts, TokenDiscovery,
};

/// Port of every API server.
pub const API_PORT: u16 = 6443;

/// Port of etcd's clients.
pub const ETCD_CLIENT_PORT: u16 = 2379;

/// Port between etcd's members.
pub const ETCD_PEER_PORT: u16 = 2380;

const PKI: &str = "/etc/kubernetes/pki";
const DISCOVERY_TIMEOUT: &str = "5m0s";

/// An image's name in two parts, as kubeadm wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// Everything before the last `/`.
    pub repository: String,
    /// Everything after the last `:`.
    pub tag: String,
}

/// The names of images on a node, from the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Common prefix of Kubernetes' own images.
    pub repository: String,
    /// etcd, unless that runs elsewhere.
    pub etcd: Option<ImageName>,
    /// CoreDNS, unless there is none.
    pub coredns: Option<ImageName>,
    /// The whole name of the sandbox image.
    pub pause: String,
}

/// Everything that the files are made of.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Its exact version.
    pub version: KubernetesVersion,
    /// Names of the images on the node.
    pub images: &'a Images,
    /// Directory of the network plugins on the node.
    pub cni_bin: &'a str,
    /// Token and CA.
    pub secrets: &'a Secrets,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum KubeadmError {
    /// The image list lacks one.
    #[error("the lock holds no {name} image for Kubernetes {version}")]
    NoImage {
        /// Which.
        name: &'static str,
        /// The version.
        version: KubernetesVersion,
    },
    /// The CA cannot be pinned.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The serializer refused.
    #[error("cannot write {kind} as YAML")]
    Yaml {
        /// Kind of the document.
        kind: &'static str,
        /// The serializer's reason.
        source: serde_saphyr::SerializeError,
    },
}

impl Settings<'_> {
    /// What a master forms the cluster with: holds the token.
    ///
    /// # Errors
    /// An image is missing in the lock.
    pub fn init(&self, node: &Node) -> Result<String, KubeadmError> {
        let init = InitConfiguration {
            bootstrap_tokens: vec![BootstrapToken {
                token: self.secrets.token.expose().to_owned(),
                description: "khimg: joins the nodes of the cluster file".to_owned(),
                ttl: go_duration(self.cluster.token_life.min(self.cluster.join_until)),
                usages: vec!["signing", "authentication"],
                groups: vec!["system:bootstrappers:kubeadm:default-node-token"],
            }],
            local_api_endpoint: local_endpoint(node),
            node_registration: self.registration(node),
            timeouts: self.timeouts(),
        };
        let mut text = self.document("InitConfiguration", init)?;
        text.push_str("---\n");
        let cluster = self.cluster_configuration(self.cluster.bootstrap == Bootstrap::Symmetric)?;
        text.push_str(&self.cluster_documents(cluster)?);
        Ok(text)
    }

    /// What the cluster may store: the shared configuration without etcd's first membership, which a later joining
    /// master would inherit and fail with, and without feature gates, which a later kubeadm may not know. Holds no secret.
    ///
    /// # Errors
    /// An image is missing in the lock.
    pub fn stored(&self) -> Result<String, KubeadmError> {
        let cluster = self.cluster_configuration(false)?;
        self.cluster_documents(ClusterConfiguration { feature_gates: BTreeMap::new(), ..cluster })
    }

    /// What a node joins with, as a control plane if it is a master: holds the token.
    ///
    /// # Errors
    /// The CA's certificate cannot be read.
    pub fn join(&self, node: &Node) -> Result<String, KubeadmError> {
        let api = self.api();
        let join = JoinConfiguration {
            discovery: Discovery {
                bootstrap_token: TokenDiscovery {
                    token: self.secrets.token.expose().to_owned(),
                    api_server_endpoint: self.endpoint(),
                    ca_cert_hashes: vec![self.secrets.ca_hash()?],
                },
                timeout: (!api.has_timeouts()).then_some(DISCOVERY_TIMEOUT),
            },
            node_registration: self.registration(node),
            control_plane: (node.role == Role::Master)
                .then(|| JoinControlPlane { local_api_endpoint: local_endpoint(node) }),
            timeouts: self.timeouts(),
        };
        self.document("JoinConfiguration", join)
    }

    fn api(&self) -> KubeadmApi {
        self.cluster.compat.kubeadm_api.unwrap_or_else(|| quirks::kubeadm_api(self.version))
    }

    fn endpoint(&self) -> String {
        host_port(self.cluster.endpoint.address, self.cluster.endpoint.port)
    }

    fn timeouts(&self) -> Option<Timeouts> {
        self.api().has_timeouts().then_some(Timeouts { discovery: DISCOVERY_TIMEOUT })
    }

    fn document<T: Serialize>(&self, kind: &'static str, body: T) -> Result<String, KubeadmError> {
        document(self.api().name(), kind, body)
    }

    /// The three documents that the cluster stores.
    fn cluster_documents(&self, cluster: ClusterConfiguration) -> Result<String, KubeadmError> {
        let mut text = self.document("ClusterConfiguration", cluster)?;
        text.push_str("---\n");
        text.push_str(&document("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration", self.kubelet())?);
        text.push_str("---\n");
        text.push_str(&document("kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration", self.kube_proxy())?);
        Ok(text)
    }

    fn cluster_configuration(&self, first_membership: bool) -> Result<ClusterConfiguration, KubeadmError> {
        let (cluster, api) = (self.cluster, self.api());
        let mut sans = vec![cluster.endpoint.address.to_string()];
        sans.extend(cluster.endpoint.names.iter().cloned());
        for master in cluster.nodes_of(Role::Master) {
            sans.extend([master.name.clone(), master.ip().to_string()]);
        }
        sans.extend(["localhost".to_owned(), "127.0.0.1".to_owned()]);
        let mut manager = BTreeMap::new();
        if cluster.network.cni == Cni::Bridge {
            // Each node's pod network is fixed by the bridge's own configuration; the manager would announce others.
            manager.insert("allocate-node-cidrs".to_owned(), "false".to_owned());
        }
        Ok(ClusterConfiguration {
            kubernetes_version: format!("v{}", self.version),
            cluster_name: cluster.name.clone(),
            control_plane_endpoint: self.endpoint(),
            certificates_dir: PKI,
            image_repository: self.images.repository.clone(),
            encryption_algorithm: api.has_encryption_algorithm().then_some("ECDSA-P256"),
            feature_gates: quirks::ecdsa_gate(self.version, api).map(|gate| (gate, true)).into_iter().collect(),
            networking: Networking {
                service_subnet: cluster.network.service_subnet.to_string(),
                pod_subnet: cluster.network.pod_subnet.to_string(),
                dns_domain: cluster.network.dns_domain.clone(),
            },
            api_server: ApiServer { cert_sans: sans, extra_args: None },
            controller_manager: (!manager.is_empty()).then(|| Component { extra_args: Args::encode(api, manager) }),
            etcd: self.etcd(first_membership)?,
            dns: self.dns()?,
        })
    }

    fn etcd(&self, first_membership: bool) -> Result<Etcd, KubeadmError> {
        if self.cluster.etcd == EtcdMode::External {
            let members = self.cluster.nodes_of(Role::Etcd);
            return Ok(Etcd::External(ExternalEtcd {
                endpoints: members.map(|node| url(node.ip(), ETCD_CLIENT_PORT)).collect(),
                ca_file: "/etc/kubernetes/pki/etcd/ca.crt",
                cert_file: "/etc/kubernetes/pki/apiserver-etcd-client.crt",
                key_file: "/etc/kubernetes/pki/apiserver-etcd-client.key",
            }));
        }
        let image = self.images.etcd.clone().ok_or(KubeadmError::NoImage { name: "etcd", version: self.version })?;
        let mut arguments = BTreeMap::new();
        if first_membership {
            arguments.insert("initial-cluster".to_owned(), membership(self.cluster.nodes_of(Role::Master)));
            arguments.insert("initial-cluster-state".to_owned(), "new".to_owned());
            arguments.insert("initial-cluster-token".to_owned(), self.cluster.name.clone());
        }
        Ok(Etcd::Local(LocalEtcd {
            image_repository: image.repository,
            image_tag: image.tag,
            data_dir: "/var/lib/etcd",
            extra_args: Args::encode(self.api(), arguments),
        }))
    }

    fn dns(&self) -> Result<Option<DnsAddon>, KubeadmError> {
        let api = self.api();
        if self.cluster.network.dns == Dns::None {
            return Ok(api.can_disable_dns().then_some(DnsAddon {
                kind: None,
                image_repository: None,
                image_tag: None,
                disabled: Some(true),
            }));
        }
        let image =
            self.images.coredns.clone().ok_or(KubeadmError::NoImage { name: "coredns", version: self.version })?;
        let repository = match quirks::coredns_is_nested(self.version) {
            true => image.repository.strip_suffix("/coredns").unwrap_or(&image.repository),
            false => &image.repository,
        };
        Ok(Some(DnsAddon {
            kind: api.has_dns_type().then_some("CoreDNS"),
            image_repository: Some(repository.to_owned()),
            image_tag: Some(image.tag),
            disabled: None,
        }))
    }

    fn registration(&self, node: &Node) -> NodeRegistration {
        let (runtime, api) = (self.cluster.runtime, self.api());
        let mut kubelet = BTreeMap::from([("node-ip".to_owned(), node.ip().to_string())]);
        if quirks::kubelet_starts_sandboxes(runtime, self.version) {
            kubelet.insert("pod-infra-container-image".to_owned(), self.images.pause.clone());
            // kubeadm sets this too, but only for the one spelling of the socket that it compares with.
            kubelet.insert("network-plugin".to_owned(), "cni".to_owned());
            kubelet.insert("cni-bin-dir".to_owned(), self.cni_bin.to_owned());
        }
        // A cluster of masters alone runs its pods on them.
        let untainted = node.role == Role::Master && self.cluster.nodes_of(Role::Worker).next().is_none();
        if node.role == Role::Master && !untainted {
            // kubeadm taints it later; until then it would take pods of users.
            let taints = quirks::control_plane_taints(self.version).iter().map(|key| format!("{key}=:NoSchedule"));
            kubelet.insert("register-with-taints".to_owned(), taints.collect::<Vec<_>>().join(","));
        }
        NodeRegistration {
            name: node.name.clone(),
            cri_socket: quirks::cri_socket(runtime, self.version),
            taints: untainted.then(Vec::new),
            kubelet_extra_args: Args::encode(api, kubelet),
            image_pull_policy: api.has_image_pull_policy().then_some("Never"),
        }
    }

    fn kubelet(&self) -> KubeletConfiguration {
        KubeletConfiguration {
            cgroup_driver: quirks::cgroup_driver(self.version).name(),
            cluster_dns: vec![nth_address(self.cluster.network.service_subnet, 10).to_string()],
            cluster_domain: self.cluster.network.dns_domain.clone(),
            fail_cgroup_v1: None,
            image_gc_high_threshold_percent: 100,
            node_status_update_frequency: format!("{}s", status_seconds(self.cluster.nodes.len())),
            node_status_report_frequency: "5m",
        }
    }

    fn kube_proxy(&self) -> KubeProxyConfiguration {
        KubeProxyConfiguration {
            mode: match self.cluster.network.kube_proxy {
                KubeProxy::Iptables => "iptables",
                KubeProxy::Ipvs => "ipvs",
            },
            cluster_cidr: self.cluster.network.pod_subnet.to_string(),
            conntrack: Conntrack { max_per_core: 0 },
        }
    }
}

/// `name=https://address:2380,…`, as etcd's `--initial-cluster` takes it.
pub fn membership<'a>(nodes: impl Iterator<Item = &'a Node>) -> String {
    let members: Vec<String> = nodes.map(|node| format!("{}={}", node.name, url(node.ip(), ETCD_PEER_PORT))).collect();
    members.join(",")
}

/// `address:port`, with brackets around an IPv6 address.
pub fn host_port(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

fn url(address: IpAddr, port: u16) -> String {
    format!("https://{}", host_port(address, port))
}

fn local_endpoint(node: &Node) -> ApiEndpoint {
    ApiEndpoint { advertise_address: node.ip().to_string(), bind_port: API_PORT }
}

/// The `n`th address of a subnet; the subnet's own address counts as number 0.
pub fn nth_address(subnet: IpNet, n: u32) -> IpAddr {
    match subnet.network() {
        IpAddr::V4(first) => IpAddr::V4(first.to_bits().wrapping_add(n).into()),
        IpAddr::V6(first) => IpAddr::V6(first.to_bits().wrapping_add(n.into()).into()),
    }
}

/// How often a kubelet looks how its node is, in seconds. Each time it asks an API server: all together not more often than 25
/// times a second, as 250 nodes do with the default of 10 s (k/k pkg/kubelet/apis/config/v1beta1/defaults.go).
fn status_seconds(nodes: usize) -> usize {
    nodes.div_ceil(25).clamp(2, 10)
}

/// As Go's `time.ParseDuration` reads it; whole seconds, and nothing below zero.
fn go_duration(duration: jiff::SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn document<T: Serialize>(api_version: &'static str, kind: &'static str, body: T) -> Result<String, KubeadmError> {
    serde_saphyr::to_string(&Document { api_version, kind, body }).map_err(|source| KubeadmError::Yaml { kind, source })
}

#[cfg(test)]
mod tests;
