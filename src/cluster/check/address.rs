//! Addresses of machines: each by itself, and none twice.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Check, Refusal};
use crate::cluster::file::ClusterFile;
use crate::cluster::{Mac, Uuid};

/// An address without a prefix length that one machine can have.
pub(super) fn plain(text: &str) -> Result<IpAddr, Refusal> {
    let address: IpAddr = text.parse().map_err(|_| match text.split_once('/') {
        Some((address, _)) if address.parse::<IpAddr>().is_ok() => Refusal::new(
            format!("{text:?} has a prefix length where only the address belongs"),
            format!("write {address}"),
        ),
        _ => Refusal::new(format!("{text:?} is not an IP address"), "write an address such as 192.168.30.1"),
    })?;
    unicast(address).map(|()| address)
}

/// An address with the prefix length of its subnet, such as `192.168.30.11/24`.
pub(super) fn node(text: &str) -> Result<IpNet, Refusal> {
    if text.parse::<IpAddr>().is_ok() {
        return Err(Refusal::new(
            format!("{text:?} lacks the prefix length of its subnet"),
            format!("write {text}/24, or whatever the length of the subnet is"),
        ));
    }
    let malformed = || format!("{text:?} is not an address with a prefix length");
    let net = net(text).ok_or_else(|| Refusal::new(malformed(), "write an address such as 192.168.30.11/24"))?;
    unicast(net.addr())?;
    if let Some(what) = reserved(&net, net.addr()) {
        let message = format!("{} is the {what} address of its own subnet {}", net.addr(), net.trunc());
        return Err(Refusal::new(message, "use another address of the subnet"));
    }
    Ok(net)
}

/// An address and a prefix length, as strict as the standard library: with leading zeros, some readers take octal numbers.
pub(super) fn net(text: &str) -> Option<IpNet> {
    let (address, prefix) = text.split_once('/')?;
    let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
    let prefix = prefix.parse().ok().filter(|_| digits && (prefix == "0" || !prefix.starts_with('0')))?;
    IpNet::new(address.parse().ok()?, prefix).ok()
}

/// An Ethernet address that one machine can have.
pub(super) fn mac(text: &str) -> Result<Mac, Refusal> {
    let help = "write six pairs of hex digits in quotes, such as \"52:54:00:00:00:11\"";
    let mac: Mac =
        text.parse().map_err(|error: crate::cluster::node::ParseMacError| Refusal::new(error.to_string(), help))?;
    if mac.is_unicast() {
        Ok(mac)
    } else {
        Err(Refusal::new(format!("{mac} is a group address, which no machine has"), help))
    }
}

fn unicast(address: IpAddr) -> Result<(), Refusal> {
    let special = match address {
        _ if address.is_unspecified() => Some("the unspecified address"),
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_multicast() => Some("a multicast address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("the broadcast address"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("a link-local address"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address"),
        _ => None,
    };
    match special {
        Some(what) => Err(Refusal::new(format!("{address} is {what}"), "use an address that other machines can reach")),
        None => Ok(()),
    }
}

/// What `address` is in `subnet` if no machine may have it: `network` or `broadcast`.
pub(super) fn reserved(subnet: &IpNet, address: IpAddr) -> Option<&'static str> {
    // A /31 has neither (RFC 3021), a /32 is a single machine. IPv6 has no broadcast, but the subnet-router address (RFC 4291 §2.6.1).
    if subnet.max_prefix_len() - subnet.prefix_len() < 2 {
        return None;
    }
    match subnet {
        _ if address == subnet.network() => Some("network"),
        IpNet::V4(v4) if address == v4.broadcast() => Some("broadcast"),
        _ => None,
    }
}

/// `IPv4` or `IPv6`.
pub(super) fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// Everything that concerns several machines, or a machine and its gateway.
pub(super) fn check_nodes(check: &mut Check<'_>, file: &ClusterFile) {
    let mut names = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    let mut macs = BTreeMap::new();
    let (mut serials, mut uuids) = (BTreeMap::new(), BTreeMap::new());
    for (index, written) in file.nodes.iter().enumerate() {
        if let Some(first) = names.insert(&written.name, index) {
            names.insert(&written.name, first);
            let message = format!("two nodes are called {:?}", written.name);
            twice(check, index, first, "name", message, "give each node a name of its own");
        }
        if let Some(mac) = written.mac.as_deref().and_then(|text| mac(text).ok())
            && let Some(first) = macs.insert(mac, index)
        {
            macs.insert(mac, first);
            twice(
                check,
                index,
                first,
                "mac",
                format!("two nodes have the MAC address {mac}"),
                "give each node its own",
            );
        }
        if let Some(serial) = &written.serial
            && let Some(first) = serials.insert(serial, index)
        {
            serials.insert(serial, first);
            let message = format!("two nodes have the serial number {serial:?}");
            twice(check, index, first, "serial", message, "give each node its own");
        }
        if let Some(uuid) = written.uuid.as_deref().and_then(|text| text.parse::<Uuid>().ok())
            && let Some(first) = uuids.insert(uuid, index)
        {
            uuids.insert(uuid, first);
            twice(check, index, first, "uuid", format!("two nodes have the UUID {uuid}"), "give each node its own");
        }
        let Ok(net) = node(&written.address) else { continue };
        if let Some(first) = addresses.insert(net.addr(), index) {
            addresses.insert(net.addr(), first);
            let message = format!("two nodes have the address {}", net.addr());
            twice(check, index, first, "address", message, "give each node an address of its own");
        }
        if let Some(gateway) = written.gateway.as_deref().and_then(|text| plain(text).ok()) {
            check_gateway(check, index, &net, gateway);
        }
    }
    check_subnets(check, file);
}

fn twice(check: &mut Check<'_>, index: usize, first: usize, key: &str, message: String, help: &str) {
    check.clash(
        &format!("/nodes/{index}/{key}"),
        &format!("/nodes/{first}/{key}"),
        "first here",
        message,
        help.to_owned(),
    );
}

fn check_gateway(check: &mut Check<'_>, index: usize, net: &IpNet, gateway: IpAddr) {
    let pointer = format!("/nodes/{index}/gateway");
    let subnet = net.trunc();
    if !subnet.contains(&gateway) {
        let help = format!("use an address in {subnet}, or correct the prefix length of the node's address");
        check.clash(
            &pointer,
            &format!("/nodes/{index}/address"),
            "the node's address",
            format!("the gateway {gateway} lies outside the node's subnet {subnet}"),
            help,
        );
    } else if gateway == net.addr() {
        check.bad(
            &pointer,
            format!("the gateway {gateway} is the node itself"),
            "use the router's address, or remove `gateway`".to_owned(),
        );
    } else if let Some(what) = reserved(&subnet, gateway) {
        check.bad(
            &pointer,
            format!("the gateway {gateway} is the {what} address of {subnet}"),
            "use the router's address".to_owned(),
        );
    }
}

/// One address family, and a route between all machines.
fn check_subnets(check: &mut Check<'_>, file: &ClusterFile) {
    let nets: Vec<(usize, IpNet)> = file
        .nodes
        .iter()
        .enumerate()
        .filter_map(|(index, written)| Some((index, node(&written.address).ok()?)))
        .collect();
    let Some((first, base)) = nets.first().copied() else { return };
    for (index, net) in nets.iter().skip(1) {
        let pointer = format!("/nodes/{index}/address");
        let other = format!("/nodes/{first}/address");
        if family(net.addr()) != family(base.addr()) {
            let message =
                format!("{} is {}, but the first node has {}", net.addr(), family(net.addr()), family(base.addr()));
            check.clash(
                &pointer,
                &other,
                "the first node",
                message,
                "give all nodes addresses of one family".to_owned(),
            );
        }
    }
    // A subnet that contains the lowest and the highest address contains all.
    let ends = |v4: bool| {
        let kin = || nets.iter().filter(move |(_, net)| net.addr().is_ipv4() == v4);
        [kin().min_by_key(|(_, net)| net.addr()), kin().max_by_key(|(_, net)| net.addr())]
    };
    let (ends_v4, ends_v6) = (ends(true), ends(false));
    for (index, net) in &nets {
        let Some(written) = file.nodes.get(*index).filter(|written| written.gateway.is_none()) else { continue };
        let ends = if net.addr().is_ipv4() { &ends_v4 } else { &ends_v6 };
        let Some((far, other)) = ends.iter().flatten().find(|(_, other)| !net.contains(&other.addr())) else {
            continue;
        };
        let message =
            format!("{} has no gateway, but {} lies outside its subnet {}", written.name, other.addr(), net.trunc());
        let help = "add `gateway`, or put both nodes into one subnet".to_owned();
        let (pointer, other) = (format!("/nodes/{index}/address"), format!("/nodes/{far}/address"));
        check.clash(&pointer, &other, "out of its reach", message, help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_addresses() {
        for good in ["192.168.30.11/24", "10.0.0.0/31", "10.0.0.1/32", "fd00::1/64"] {
            assert!(node(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "192.168.30.11",
            "192.168.30/24",
            "192.168.30.0/24",
            "192.168.30.255/24",
            "192.168.30.11/33",
            "127.0.0.1/8",
            "192.168.30.11/+24",
            "192.168.30.11/024",
            "224.0.0.1/24",
            "0.0.0.0/0",
            "169.254.1.1/16",
            "fd00::/64",
            "fe80::1/64",
            "::1/128",
            "192.168.030.011/24",
        ] {
            assert!(node(bad).is_err(), "{bad}");
        }
        assert!(plain("192.168.30.1/24").is_err() && plain("router").is_err() && plain("fd00::1").is_ok());
        assert!(mac("52-54-00-00-00-11").is_ok() && mac("01:00:5e:00:00:01").is_err() && mac("0:0:0:0:0:0").is_err());
    }
}
