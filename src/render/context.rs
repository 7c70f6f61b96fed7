//! What templates can see. Three contexts, each seeing more: a role's (the same on all its nodes), a node's, and a
//! secret file's. A template that asks for more than its file's declaration allows meets an undefined value.

use std::collections::BTreeMap;

use ipnet::IpNet;
use minijinja::Value;
use minijinja::value::Serde;
use serde::Serialize;

use super::balancer::{Vrrp, balancers, seconds};
use super::error::RenderError;
use super::images::Names;
use super::node_file;
use super::pods;
use crate::catalog::{Catalog, Component, feature};
use crate::cluster::{Cluster, Cni, Compat, Coredns, EtcdMode, Node, Role};
use crate::inventory::Inventory;
use crate::kubeadm;
use crate::kubernetes::quirks;
use crate::kubernetes::{KubernetesVersion, Runtime};
use crate::secrets::Secrets;
use crate::target::Target;

/// Where haproxy says on the loopback interface that it is alive.
const MONITOR_PORTS: [u16; 2] = [8404, 8405];

/// Component → feature → whether its version on the target has it.
type Features<'a> = BTreeMap<&'a str, BTreeMap<&'a str, bool>>;

/// Everything that all nodes of one role on one target share.
#[derive(Serialize)]
pub(super) struct RoleContext<'a> {
    cluster: ClusterView<'a>,
    kubernetes: KubernetesView,
    role: &'static str,
    target: TargetView<'a>,
    runtime: &'static str,
    runtime_unit: &'static str,
    endpoint: EndpointView<'a>,
    etcd: EtcdView,
    network: NetworkView<'a>,
    nodes: Vec<Peer<'a>>,
    masters: Vec<Peer<'a>>,
    balancers: Vec<Peer<'a>>,
    images: &'a Names,
    has: Features<'a>,
    compat: &'a Compat,
}

#[derive(Serialize)]
struct ClusterView<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct KubernetesView {
    version: String,
    health_path: &'static str,
    cgroup_driver: &'static str,
    cri_socket: &'static str,
    pod_security: bool,
    priority_classes_anywhere: bool,
    coredns_is_bounded: bool,
    coredns_tells_ready: bool,
    api_port: u16,
}

#[derive(Serialize)]
struct TargetView<'a> {
    os: &'a str,
    family: &'a str,
    arch: &'static str,
    machine: &'static str,
}

#[derive(Serialize)]
struct EndpointView<'a> {
    mode: &'static str,
    address: String,
    host_port: String,
    port: u16,
    interface: &'a str,
    virtual_router_id: u8,
    has_vip: bool,
    names: &'a [String],
    host_prefix: u8,
    /// Seconds between adverts, where they are asked for.
    advert: Option<String>,
    monitor_port: u16,
}

#[derive(Serialize)]
struct EtcdView {
    mode: &'static str,
    initial_cluster: String,
    client_port: u16,
    peer_port: u16,
    data_dir: &'static str,
    pki: &'static str,
}

#[derive(Serialize)]
struct NetworkView<'a> {
    pod_subnet: String,
    service_subnet: String,
    dns_domain: &'a str,
    cni: &'static str,
    kube_proxy: &'static str,
    cni_bin: &'static str,
    coredns: &'a Coredns,
    /// Interfaces that carry the addresses of nodes with pods, each once.
    interfaces: std::collections::BTreeSet<&'a str>,
}

/// A node as others see it.
#[derive(Serialize)]
pub(super) struct Peer<'a> {
    name: &'a str,
    address: String,
    /// As it stands in front of `:port`.
    host: String,
}

/// What is known of one node beside its role's.
#[derive(Serialize)]
struct NodeView<'a> {
    name: &'a str,
    address: String,
    host: String,
    interface: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    vrrp: Option<Vrrp<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pods: Option<Pods<'a>>,
}

#[derive(Serialize)]
struct Pods<'a> {
    subnet: String,
    routes: Vec<Route<'a>>,
}

#[derive(Serialize)]
struct Route<'a> {
    node: &'a str,
    subnet: String,
    via: String,
}

#[derive(Serialize)]
struct SecretView<'a> {
    vrrp_password: &'a str,
    token: &'a str,
}

impl<'a> RoleContext<'a> {
    pub(super) fn new(
        (cluster, catalog, inventory): (&'a Cluster, &'a Catalog, &'a Inventory),
        (role, target): (Role, &'a Target),
        (version, images): (KubernetesVersion, &'a Names),
    ) -> Self {
        let endpoint = &cluster.endpoint;
        let monitor_port = MONITOR_PORTS.into_iter().find(|port| *port != endpoint.port).unwrap_or(MONITOR_PORTS[0]);
        let family = catalog.systems.get(&target.os).map_or("debian", |system| system.family.name());
        Self {
            cluster: ClusterView { name: &cluster.name },
            kubernetes: KubernetesView {
                version: version.to_string(),
                health_path: quirks::health_path(version),
                cgroup_driver: quirks::cgroup_driver(version).name(),
                cri_socket: quirks::cri_socket(cluster.runtime, version),
                pod_security: quirks::has_pod_security(version),
                priority_classes_anywhere: quirks::has_priority_classes_anywhere(version),
                coredns_is_bounded: quirks::coredns_is_bounded(version),
                coredns_tells_ready: quirks::coredns_tells_ready(version),
                api_port: kubeadm::API_PORT,
            },
            role: role.name(),
            target: TargetView { os: &target.os, family, arch: target.arch.name(), machine: target.arch.machine() },
            runtime: match cluster.runtime {
                Runtime::Containerd => "containerd",
                Runtime::Docker => "docker",
            },
            runtime_unit: quirks::runtime_unit(cluster.runtime, version),
            endpoint: EndpointView {
                mode: endpoint.mode.name(),
                address: endpoint.address.to_string(),
                host_port: kubeadm::host_port(endpoint.address, endpoint.port),
                port: endpoint.port,
                interface: &endpoint.interface,
                virtual_router_id: endpoint.virtual_router_id,
                has_vip: endpoint.mode.has_vip(),
                names: &endpoint.names,
                advert: cluster.compat.keepalived.advert.as_deref().and_then(seconds),
                host_prefix: if endpoint.address.is_ipv4() { 32 } else { 128 },
                monitor_port,
            },
            etcd: EtcdView {
                mode: match cluster.etcd {
                    EtcdMode::Stacked => "stacked",
                    EtcdMode::External => "external",
                },
                initial_cluster: kubeadm::membership(cluster.nodes_of(match cluster.etcd {
                    EtcdMode::Stacked => Role::Master,
                    EtcdMode::External => Role::Etcd,
                })),
                client_port: kubeadm::ETCD_CLIENT_PORT,
                peer_port: kubeadm::ETCD_PEER_PORT,
                data_dir: node_file::ETCD_DATA,
                pki: node_file::ETCD_PKI,
            },
            network: NetworkView {
                pod_subnet: cluster.network.pod_subnet.to_string(),
                service_subnet: cluster.network.service_subnet.to_string(),
                dns_domain: &cluster.network.dns_domain,
                cni: cluster.network.cni.name(),
                kube_proxy: match cluster.network.kube_proxy {
                    crate::cluster::KubeProxy::Iptables => "iptables",
                    crate::cluster::KubeProxy::Ipvs => "ipvs",
                },
                cni_bin: cni_bin(inventory, target),
                coredns: &cluster.network.coredns,
                interfaces: cluster
                    .nodes
                    .iter()
                    .filter(|node| matches!(node.role, Role::Master | Role::Worker))
                    .map(|node| node.interface.as_str())
                    .collect(),
            },
            nodes: cluster.nodes.iter().map(Peer::of).collect(),
            masters: cluster.nodes_of(Role::Master).map(Peer::of).collect(),
            balancers: balancers(cluster).into_iter().map(Peer::of).collect(),
            images,
            has: features(catalog, inventory, target),
            compat: &cluster.compat,
        }
    }

    /// As templates see it.
    pub(super) fn value(&self) -> Value {
        Value::from(Serde(self))
    }
}

/// `role` and what is known of `node`.
pub(super) fn with_node(role: &Value, cluster: &Cluster, node: &Node) -> Result<Value, RenderError> {
    let view = NodeView {
        name: &node.name,
        address: node.ip().to_string(),
        host: host(node),
        interface: &node.interface,
        vrrp: Vrrp::of(cluster, node),
        pods: pods_of(cluster, node)?,
    };
    Ok(minijinja::context! { node => Value::from(Serde(view)), ..role.clone() })
}

/// `node` and the secrets, for a file that is declared to hold one.
pub(super) fn with_secrets(node: &Value, secrets: &Secrets) -> Value {
    let view = SecretView { vrrp_password: secrets.vrrp_password.expose(), token: secrets.token.expose() };
    minijinja::context! { secrets => Value::from(Serde(view)), ..node.clone() }
}

fn features<'a>(catalog: &'a Catalog, inventory: &Inventory, target: &Target) -> Features<'a> {
    let of = |component: &'a Component| {
        let version = inventory.version(component, target).unwrap_or("*");
        component.since.iter().map(|(name, since)| (name.as_str(), feature::reaches(version, since))).collect()
    };
    let components = catalog.components.iter().filter(|(_, component)| !component.since.is_empty());
    components.map(|(name, component)| (name.as_str(), of(component))).collect()
}

fn pods_of<'a>(cluster: &'a Cluster, node: &Node) -> Result<Option<Pods<'a>>, RenderError> {
    if cluster.network.cni != Cni::Bridge || !matches!(node.role, Role::Master | Role::Worker) {
        return Ok(None);
    }
    let shares = pods::shares(cluster)?;
    let route = |(peer, subnet): &(&'a Node, IpNet)| Route {
        node: &peer.name,
        subnet: subnet.to_string(),
        via: peer.ip().to_string(),
    };
    Ok(Some(Pods {
        subnet: pods::share(cluster, node)?.to_string(),
        routes: shares.iter().filter(|(peer, _)| peer.name != node.name).map(route).collect(),
    }))
}

/// Where network plugins lie: the `kubernetes-cni` package and the plain files use `/opt/cni/bin`, Debian's own package
/// does not.
pub(super) fn cni_bin(inventory: &Inventory, target: &Target) -> &'static str {
    let has = |name: &str| inventory.has_package(target, name);
    if has("containernetworking-plugins") && !has("kubernetes-cni") { "/usr/lib/cni" } else { "/opt/cni/bin" }
}

fn host(node: &Node) -> String {
    match node.ip() {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    }
}

impl<'a> Peer<'a> {
    pub(super) fn of(node: &'a Node) -> Self {
        Self { name: &node.name, address: node.ip().to_string(), host: host(node) }
    }
}
