//! The address and port at which the API server is reached.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Check, address, name};
use crate::cluster::endpoint::API_SERVER_PORT;
use crate::cluster::file::{ClusterFile, default};
use crate::cluster::{Endpoint, EndpointMode, Role};

/// Ports that something on a master already listens on, and what that is (Kubernetes documentation, "Ports and Protocols"; etcd's
/// metrics, kubelet's and kube-proxy's health from their default flags).
const MASTER_PORTS: [(u16, &str); 11] = [
    (22, "sshd"),
    (2379, "etcd"),
    (2380, "etcd"),
    (2381, "etcd's metrics"),
    (API_SERVER_PORT, "the API server"),
    (10248, "the kubelet"),
    (10249, "kube-proxy"),
    (10250, "the kubelet"),
    (10256, "kube-proxy"),
    (10257, "the controller manager"),
    (10259, "the scheduler"),
];

/// The ports that services may take on every node (`--service-node-port-range`).
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;

pub(super) fn check(check: &mut Check<'_>, file: &ClusterFile, interface: Option<String>) -> Option<Endpoint> {
    let endpoint = &file.endpoint;
    let port = endpoint.port.unwrap_or_else(|| default::port(endpoint.mode));
    check_port(check, endpoint.mode, port);
    let names = names(check, file);
    let address = match endpoint.mode {
        EndpointMode::Stacked | EndpointMode::VipOnly | EndpointMode::Dedicated => virtual_address(check, file),
        EndpointMode::SingleLb => balancer_address(check, file),
        EndpointMode::External => external_address(check, file),
    };
    Some(Endpoint {
        mode: endpoint.mode,
        address: address?,
        port,
        interface: interface?,
        virtual_router_id: endpoint.virtual_router_id,
        names: names?,
    })
}

/// Names of the address: domains that no machine has.
fn names(check: &mut Check<'_>, file: &ClusterFile) -> Option<Vec<String>> {
    let mut names = Some(Vec::new());
    for (index, text) in file.endpoint.names.iter().enumerate() {
        let pointer = format!("/endpoint/names/{index}");
        let name = check.accept(&pointer, name::dns_domain(text));
        if let Some(other) = file.nodes.iter().position(|node| node.name == *text) {
            let message = format!("{text:?} is the name of a node");
            let help = "use a name that no machine has".to_owned();
            check.clash(&pointer, &format!("/nodes/{other}/name"), "the node", message, help);
        }
        names = names.zip(name).map(|(mut all, one)| {
            all.push(one);
            all
        });
    }
    names
}

fn check_port(check: &mut Check<'_>, mode: EndpointMode, port: u16) {
    let taken = |ports: &[(u16, &'static str)]| ports.iter().find(|(taken, _)| *taken == port).map(|(_, by)| *by);
    match mode {
        EndpointMode::Stacked => {
            if let Some(by) = taken(&MASTER_PORTS) {
                let message = format!("port {port} belongs to {by} on every master, where haproxy listens too");
                check.bad("/endpoint/port", message, "use a free port such as 8443".to_owned());
            } else if NODE_PORTS.contains(&port) {
                let message = format!("port {port} may be taken by a service of type NodePort on every master");
                check.bad("/endpoint/port", message, "use a port outside 30000 to 32767, such as 8443".to_owned());
            }
        }
        EndpointMode::VipOnly if port != API_SERVER_PORT => {
            let message =
                format!("nothing listens on port {port}: in the mode vip-only clients reach the API server itself");
            check.bad("/endpoint/port", message, format!("write `port: {API_SERVER_PORT}`, or `mode: stacked`"));
        }
        EndpointMode::Dedicated | EndpointMode::SingleLb if port == 22 => {
            check.bad("/endpoint/port", "port 22 belongs to sshd", "use a free port such as 8443".to_owned());
        }
        _ => {}
    }
}

/// The address of the mode's key, and complaints about the key of the other modes.
fn written(check: &mut Check<'_>, file: &ClusterFile, virtual_mode: bool) -> Option<IpAddr> {
    let (endpoint, mode) = (&file.endpoint, file.endpoint.mode.name());
    let (mine, mine_key, other, other_key) = if virtual_mode {
        (&endpoint.vip, "vip", &endpoint.address, "address")
    } else {
        (&endpoint.address, "address", &endpoint.vip, "vip")
    };
    if other.is_some() {
        let message = format!("`{other_key}` means nothing in the mode {mode}");
        let help = if mine.is_none() { format!("rename it to `{mine_key}`") } else { format!("remove `{other_key}`") };
        check.bad_key(&format!("/endpoint/{other_key}"), message, help);
    }
    let text = mine.as_deref()?;
    let pointer = format!("/endpoint/{mine_key}");
    let accepted = address::plain(text);
    check.accept(&pointer, accepted)
}

fn virtual_address(check: &mut Check<'_>, file: &ClusterFile) -> Option<IpAddr> {
    let mode = file.endpoint.mode;
    let carrier = if mode == EndpointMode::Dedicated { Role::Lb } else { Role::Master };
    let carriers: Vec<(usize, IpNet)> = file
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.role == carrier)
        .filter_map(|(index, node)| Some((index, address::node(&node.address).ok()?)))
        .collect();
    let subnet = carriers.first().map(|(_, net)| net.trunc());
    let vip = written(check, file, true);
    let Some(vip) = vip else {
        if file.endpoint.vip.is_none() && file.endpoint.address.is_none() {
            let place = subnet.map_or_else(|| "the nodes' subnet".to_owned(), |subnet| subnet.to_string());
            let message = format!("the mode {} needs a virtual address, and `vip` is missing", mode.name());
            check.bad("/endpoint", message, format!("add `vip:` with a free address in {place}"));
        }
        return None;
    };
    let outside = carriers.iter().find(|(_, net)| !net.contains(&vip));
    if let Some((index, net)) = outside {
        let subnet = net.trunc();
        let message =
            format!("the virtual address {vip} lies outside the subnet {subnet} of the {carrier} that may carry it");
        let help = format!("use a free address in {subnet}");
        check.clash("/endpoint/vip", &format!("/nodes/{index}/address"), "a node that may carry it", message, help);
    } else if let Some(what) = subnet.as_ref().and_then(|subnet| address::reserved(subnet, vip)) {
        check.bad(
            "/endpoint/vip",
            format!("{vip} is the {what} address of the nodes' subnet"),
            "use a free address".to_owned(),
        );
    }
    for (index, node) in file.nodes.iter().enumerate() {
        if address::node(&node.address).is_ok_and(|net| net.addr() == vip) {
            let message = format!("the virtual address {vip} is {}'s own", node.name);
            let help = "use an address that no machine has: it moves between the nodes".to_owned();
            check.clash("/endpoint/vip", &format!("/nodes/{index}/address"), "the node's address", message, help);
        }
    }
    let gateway = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<IpAddr>().ok());
    if let Some(index) = file.nodes.iter().position(|node| gateway(&node.gateway) == Some(vip)) {
        let message = format!("the virtual address {vip} is the gateway");
        let help = "use an address that no machine has: it moves between the nodes".to_owned();
        check.clash("/endpoint/vip", &format!("/nodes/{index}/gateway"), "a gateway", message, help);
    }
    Some(vip)
}

fn balancer_address(check: &mut Check<'_>, file: &ClusterFile) -> Option<IpAddr> {
    let own = written(check, file, false);
    let (index, node) = file.nodes.iter().enumerate().find(|(_, node)| node.role == Role::Lb)?;
    let balancer = address::node(&node.address).ok()?.addr();
    if let Some(own) = own.filter(|own| *own != balancer) {
        let message = format!("the endpoint's address {own} is not that of {}, which answers there", node.name);
        let help = format!("remove `address`, or write {balancer}");
        check.clash("/endpoint/address", &format!("/nodes/{index}/address"), "the lb node's address", message, help);
    }
    Some(balancer)
}

fn external_address(check: &mut Check<'_>, file: &ClusterFile) -> Option<IpAddr> {
    let address = written(check, file, false);
    if file.endpoint.address.is_none() && file.endpoint.vip.is_none() {
        let help = "add `address:` with the IP address of your load balancer".to_owned();
        check.bad("/endpoint", "the mode external needs the address that answers, and `address` is missing", help);
    }
    address
}
