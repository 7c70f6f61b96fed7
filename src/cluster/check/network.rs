//! The networks of pods and services, and that they leave each other and the nodes alone.

use ipnet::IpNet;

use super::{Check, Refusal, address, name};
use crate::cluster::file::{ClusterFile, NetworkFile};
use crate::cluster::{Coredns, Dns, Network, Role};

pub(super) fn check(check: &mut Check<'_>, file: &ClusterFile) -> Option<Network> {
    let written = &file.network;
    let pods = check.accept("/network/podSubnet", subnet(&written.pod_subnet));
    let services = check.accept("/network/serviceSubnet", subnet(&written.service_subnet));
    let dns_domain = check.accept("/network/dnsDomain", name::dns_domain(&written.dns_domain));
    check_coredns(check, written);
    if let Some(services) = &services {
        check_services(check, services);
    }
    if let Some(pods) = &pods {
        check_pods(check, file, pods);
    }
    let both = pods.zip(services);
    if let Some((pods, services)) = &both
        && overlap(pods, services)
    {
        let message = format!("the service subnet {services} overlaps the pod subnet {pods}");
        check.clash("/network/serviceSubnet", "/network/podSubnet", "the pod subnet", message, APART.to_owned());
    }
    for (key, label, net) in [("podSubnet", "pod", &pods), ("serviceSubnet", "service", &services)] {
        if let Some(net) = net {
            check_against_nodes(check, file, key, label, net);
        }
    }
    let (pod_subnet, service_subnet) = both?;
    Some(Network {
        pod_subnet,
        service_subnet,
        dns_domain: dns_domain?,
        cni: written.cni,
        dns: written.dns,
        kube_proxy: written.kube_proxy,
        coredns: written.coredns.clone(),
    })
}

fn check_coredns(check: &mut Check<'_>, written: &NetworkFile) {
    let wanted = &written.coredns;
    if written.dns == Dns::None && *wanted != Coredns::default() {
        let help = "remove `coredns`, or write `dns: coredns`".to_owned();
        check.bad_key("/network/coredns", "there is no CoreDNS with `dns: none`", help);
    }
    if let Some(text) = &wanted.memory {
        check.accept("/network/coredns/memory", mebibytes(text));
    }
}

/// An amount of memory as Kubernetes writes it, in Mi or Gi: CoreDNS does not start with less than 64 MiB, and nobody means more
/// than 64 GiB.
fn mebibytes(text: &str) -> Result<(), Refusal> {
    let help = "write a whole number with Mi or Gi, between 64Mi and 64Gi, such as 512Mi";
    let units = [("Mi", 1_u64), ("Gi", 1024)];
    let amount = units.iter().find_map(|(unit, factor)| {
        let digits = text.strip_suffix(unit).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<u64>().ok()?.checked_mul(*factor)
    });
    match amount {
        Some(64..=65_536) => Ok(()),
        _ => Err(Refusal::new(format!("{text:?} is not an amount of memory that CoreDNS can have"), help)),
    }
}

const APART: &str =
    "choose subnets that have no address in common, such as 10.244.0.0/16 for pods and 10.96.0.0/12 for services";

fn subnet(text: &str) -> Result<IpNet, Refusal> {
    let malformed = || format!("{text:?} is not a subnet");
    let net = address::net(text).ok_or_else(|| Refusal::new(malformed(), "write one such as 10.244.0.0/16"))?;
    if net.trunc() != net {
        return Err(Refusal::new(format!("{net} has bits set after its prefix"), format!("write {}", net.trunc())));
    }
    if net.addr().is_multicast() || net.addr().is_loopback() || net.addr().is_unspecified() {
        return Err(Refusal::new(
            format!("{net} is not a subnet that machines can have"),
            "write one such as 10.244.0.0/16",
        ));
    }
    Ok(net)
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

/// The API server takes at most 20 bits of host addresses (`maxCIDRBits` in kube-apiserver's `validation.go`), kubeadm wants at
/// least ten addresses (`MinimumAddressesInServiceSubnet`), since the DNS server gets the tenth.
fn check_services(check: &mut Check<'_>, net: &IpNet) {
    let host_bits = net.max_prefix_len() - net.prefix_len();
    let (widest, narrowest) = (net.max_prefix_len() - 20, net.max_prefix_len() - 4);
    if host_bits > 20 {
        let help = format!("use a prefix of /{widest} or longer, such as {}/{widest}", net.addr());
        check.bad(
            "/network/serviceSubnet",
            format!("the service subnet {net} is too large: the API server takes at most /{widest}"),
            help,
        );
    } else if host_bits < 4 {
        let help = format!("use a prefix between /{widest} and /{narrowest}");
        check.bad(
            "/network/serviceSubnet",
            format!("the service subnet {net} is too small: kubeadm wants ten addresses at least"),
            help,
        );
    }
}

/// Each node gets a /24 (IPv6: /64) of the pod subnet, and the controller manager takes at most 16 bits of such pieces
/// (kubeadm's `podSubnetNodeMaskMaxDiff`).
fn check_pods(check: &mut Check<'_>, file: &ClusterFile, net: &IpNet) {
    let piece: u8 = if net.max_prefix_len() == 32 { 24 } else { 64 };
    let prefix = net.prefix_len();
    let nodes = file.nodes.iter().filter(|node| matches!(node.role, Role::Master | Role::Worker)).count();
    let pieces = piece.checked_sub(prefix).map(|bits| 1_u64.checked_shl(bits.into()).unwrap_or(u64::MAX));
    match pieces {
        None => {
            let message = format!("the pod subnet {net} is too small: every node gets a /{piece} of it");
            check.bad("/network/podSubnet", message, format!("use a prefix between /{} and /{piece}", piece - 16));
        }
        Some(_) if piece - prefix > 16 => {
            let message =
                format!("the pod subnet {net} is too large: the controller manager takes at most /{}", piece - 16);
            check.bad("/network/podSubnet", message, format!("use {}/{}", net.addr(), piece - 16));
        }
        Some(pieces) if pieces < nodes as u64 => {
            let message =
                format!("the pod subnet {net} has room for {pieces} nodes with a /{piece} each, but there are {nodes}");
            check.bad("/network/podSubnet", message, "use a shorter prefix".to_owned());
        }
        Some(_) => {}
    }
}

fn check_against_nodes(check: &mut Check<'_>, file: &ClusterFile, key: &str, label: &str, net: &IpNet) {
    let pointer = format!("/network/{key}");
    let nodes = file.nodes.iter().enumerate();
    let nets: Vec<(usize, IpNet)> =
        nodes.filter_map(|(index, node)| Some((index, address::node(&node.address).ok()?))).collect();
    if let Some((index, first)) = nets.first()
        && address::family(first.addr()) != address::family(net.addr())
    {
        let message = format!(
            "the {label} subnet {net} is {}, but the nodes have {}",
            address::family(net.addr()),
            address::family(first.addr())
        );
        let help = "use one address family for everything".to_owned();
        check.clash(&pointer, &format!("/nodes/{index}/address"), "a node's address", message, help);
    } else if let Some((index, node)) = nets.iter().find(|(_, node)| overlap(net, &node.trunc())) {
        let message = format!("the {label} subnet {net} overlaps the nodes' subnet {}", node.trunc());
        check.clash(&pointer, &format!("/nodes/{index}/address"), "a node's subnet", message, APART.to_owned());
    }
    let endpoint = file.endpoint.address.as_deref().and_then(|text| address::plain(text).ok());
    if let Some(endpoint) = endpoint.filter(|endpoint| net.contains(endpoint)) {
        let message = format!("the {label} subnet {net} contains the endpoint's address {endpoint}");
        check.clash(&pointer, "/endpoint/address", "the endpoint's address", message, APART.to_owned());
    }
}
