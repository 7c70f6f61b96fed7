//! The lab's network: a namespace with bridges, and one namespace for each node, connected by a pair of interfaces.
//!
//! ```text
//! khimg-ID: br0 ── node0 ─┐   ┌─ ens160 in khimg-ID-master-1
//!           br1   node1 ──┼───┴─ ens160 in khimg-ID-master-2          nothing leads out, unless it was asked for
//! ```
//!
//! A node on `br1` is cut off from those on `br0`, and its cable is still plugged in.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::error::LabError;
use super::machine::{Delivery, Machine};
use super::place::Place;
use super::program;
use crate::digest::Digest;

/// Where `ip netns` keeps its namespaces (ip-netns(8)).
pub(super) const NAMESPACES: &str = "/run/netns";

/// The bridge that nodes are on.
const BRIDGE: &str = "br0";

/// The bridge of those that are cut off.
const ISLAND: &str = "br1";

/// The addresses that the lab itself takes: every gateway that a node names, and in subnets without one the highest address
/// that nobody has.
pub(super) fn addresses(delivery: &Delivery) -> Vec<IpNet> {
    let mut own: Vec<IpNet> = Vec::new();
    for machine in &delivery.machines {
        let subnet = machine.address.trunc();
        let gateway = machine.gateway.filter(|gateway| subnet.contains(gateway));
        let address = gateway.or_else(|| {
            let served = own.iter().any(|net| net.trunc() == subnet);
            if served { None } else { free(&subnet, delivery) }
        });
        let address = address.and_then(|address| IpNet::new(address, subnet.prefix_len()).ok());
        own.extend(address.filter(|address| !own.contains(address)));
    }
    own
}

fn free(subnet: &IpNet, delivery: &Delivery) -> Option<IpAddr> {
    let taken = |address: &IpAddr| {
        *address == delivery.endpoint || delivery.machines.iter().any(|machine| machine.address.addr() == *address)
    };
    let below_broadcast = |offset: u32| match subnet.broadcast() {
        IpAddr::V4(last) => IpAddr::V4((last.to_bits().wrapping_sub(offset)).into()),
        IpAddr::V6(last) => IpAddr::V6((last.to_bits().wrapping_sub(offset.into())).into()),
    };
    (1..=64).map(below_broadcast).find(|address| subnet.contains(address) && !taken(address))
}

/// Makes the lab's own namespace with both bridges.
pub(super) fn make(place: &Place, addresses: &[IpNet]) -> Result<(), LabError> {
    let namespace = place.namespace();
    ip(&["netns", "add", &namespace])?;
    let inside = |arguments: &[&str]| ip(&[&["-n", &namespace], arguments].concat());
    inside(&["link", "set", "lo", "up"])?;
    for bridge in [BRIDGE, ISLAND] {
        inside(&["link", "add", bridge, "type", "bridge"])?;
        inside(&["link", "set", bridge, "up"])?;
    }
    for address in addresses {
        // No wait for duplicates: the lab knows all addresses that there are.
        let nodad: &[&str] = if address.addr().is_ipv6() { &["nodad"] } else { &[] };
        inside(&[&["address", "add", &address.to_string(), "dev", BRIDGE], nodad].concat())?;
    }
    // Frames between nodes are none of netfilter's business here, and nodes in several subnets reach each other through their
    // gateways.
    write_inside(place, "net/bridge/bridge-nf-call-iptables", "0")?;
    write_inside(place, "net/bridge/bridge-nf-call-ip6tables", "0")?;
    write_inside(place, "net/ipv4/ip_forward", "1")?;
    write_inside(place, "net/ipv6/conf/all/forwarding", "1")
}

/// Makes a fresh network namespace for a node: what an earlier one of the same node held is gone.
pub(super) fn plug(place: &Place, index: usize, machine: &Machine) -> Result<(), LabError> {
    unplug(place, index, machine)?;
    let (lab, own) = (place.namespace(), place.node_namespace(&machine.name));
    ip(&["netns", "add", &own])?;
    let port = port(index);
    let mac = machine.mac.clone().unwrap_or_else(|| made_up_mac(place, &machine.name));
    let peer = ["type", "veth", "peer", "name", &machine.interface, "address", &mac, "netns", &own];
    ip(&[&["-n", &lab, "link", "add", &port][..], &peer[..]].concat())?;
    ip(&["-n", &lab, "link", "set", &port, "master", BRIDGE, "up"])?;
    Ok(())
}

/// Pulls the cable and removes the node's namespace, if they are there.
pub(super) fn unplug(place: &Place, index: usize, machine: &Machine) -> Result<(), LabError> {
    let own = place.node_namespace(&machine.name);
    if !path(&own).exists() {
        return Ok(());
    }
    let (lab, port) = (place.namespace(), port(index));
    // The kernel takes its time with a namespace; the cable must be gone at once.
    if ip(&["-n", &lab, "link", "show", &port]).is_ok() {
        ip(&["-n", &lab, "link", "delete", &port])?;
    }
    ip(&["netns", "delete", &own]).map(drop)
}

/// Puts a node's end of the cable on the island, or back.
pub(super) fn isolate(place: &Place, index: usize, cut_off: bool) -> Result<(), LabError> {
    let bridge = if cut_off { ISLAND } else { BRIDGE };
    ip(&["-n", &place.namespace(), "link", "set", &port(index), "master", bridge]).map(drop)
}

/// Which nodes' cables are on the island.
pub(super) fn isolated(place: &Place, index: usize) -> bool {
    ip(&["-n", &place.namespace(), "link", "show", "master", ISLAND])
        .is_ok_and(|text| text.contains(&format!(" {}@", port(index))))
}

/// Whether the lab's namespace sends what it cannot place to `interface`.
pub(super) fn has_route(place: &Place, interface: &str) -> bool {
    ip(&["-n", &place.namespace(), "route", "show", "default", "dev", interface]).is_ok_and(|text| !text.is_empty())
}

/// Delays every frame that a node sends or receives; 0 ends it.
pub(super) fn delay(place: &Place, index: usize, machine: &Machine, milliseconds: u32) -> Result<(), LabError> {
    let ends = [(place.namespace(), port(index)), (place.node_namespace(&machine.name), machine.interface.clone())];
    for (namespace, interface) in ends {
        let tc = |arguments: &[&str]| program::run("tc", &[&["-n", &namespace, "qdisc"], arguments].concat());
        if milliseconds == 0 {
            // There may be none.
            let _ = tc(&["delete", "dev", &interface, "root"]);
            continue;
        }
        let delay = format!("{milliseconds}ms");
        tc(&["replace", "dev", &interface, "root", "netem", "delay", &delay, "limit", "10000"]).map_err(|error| {
            let remedy = "load sch_netem, or boot a kernel that has it (CONFIG_NET_SCH_NETEM)".to_owned();
            LabError::Unsupported { what: format!("this kernel cannot delay: {error}"), remedy: Some(remedy) }
        })?;
    }
    Ok(())
}

/// Removes every namespace of the lab.
pub(super) fn remove(place: &Place) -> Result<(), LabError> {
    let (lab, nodes) = (place.namespace(), place.node_namespace(""));
    // The directory is there only where some namespace has a name.
    let Ok(entries) = std::fs::read_dir(NAMESPACES) else { return Ok(()) };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    for name in names.filter(|name| *name == lab || name.starts_with(&nodes)) {
        ip(&["netns", "delete", &name])?;
    }
    Ok(())
}

/// The file that stands for a namespace.
pub(super) fn path(namespace: &str) -> PathBuf {
    Path::new(NAMESPACES).join(namespace)
}

/// The lab's end of a node's cable.
fn port(index: usize) -> String {
    format!("node{index}")
}

/// Locally administered, and the same at every boot.
fn made_up_mac(place: &Place, node: &str) -> String {
    let hex = Digest::of(format!("{}/{node}", place.id()).as_bytes()).hex();
    let mut mac = "02".to_owned();
    for at in 0..5 {
        mac.push(':');
        mac.push_str(hex.get(at * 2..at * 2 + 2).unwrap_or("00"));
    }
    mac
}

fn ip(arguments: &[&str]) -> Result<String, LabError> {
    program::run("ip", arguments)
}

/// Sets a kernel parameter of the lab's namespace, where there is such a one.
fn write_inside(place: &Place, name: &str, value: &str) -> Result<(), LabError> {
    let namespace = format!("--net={}", path(&place.namespace()).display());
    let script = r#"[ ! -e "/proc/sys/$1" ] || echo "$2" >"/proc/sys/$1""#;
    program::run("nsenter", &[&namespace, "sh", "-c", script, "sh", name, value]).map(drop)
}
