//! `network-config`, version 2: a subset that netplan and cloud-init's own renderers agree on.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::{SeedError, yaml};
use crate::cluster::Node;

#[derive(Serialize)]
struct NetworkConfig<'a> {
    version: u8,
    ethernets: BTreeMap<&'a str, Ethernet<'a>>,
}

#[derive(Serialize)]
struct Ethernet<'a> {
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    matched: Option<Match>,
    #[serde(rename = "set-name", skip_serializing_if = "Option::is_none")]
    set_name: Option<&'a str>,
    dhcp4: bool,
    dhcp6: bool,
    addresses: Vec<String>,
    // Deprecated by netplan in favour of a default route, and yet the word that all of cloud-init's renderers carry out: the one
    // for ifupdown sets routes with `route`, which today's Debian does not have, and takes no notice when that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway4: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nameservers: Option<Nameservers>,
}

#[derive(Serialize)]
struct Match {
    macaddress: String,
}

#[derive(Serialize)]
struct Nameservers {
    addresses: Vec<String>,
}

/// The network of `node`: its one address, found by its Ethernet address where that is known.
pub(super) fn render(node: &Node) -> Result<String, SeedError> {
    let ethernet = Ethernet {
        matched: node.mac.map(|mac| Match { macaddress: mac.to_string() }),
        set_name: node.mac.map(|_| node.interface.as_str()),
        dhcp4: false,
        dhcp6: false,
        addresses: vec![node.address.to_string()],
        gateway4: node.gateway.filter(IpAddr::is_ipv4).map(|gateway| gateway.to_string()),
        gateway6: node.gateway.filter(IpAddr::is_ipv6).map(|gateway| gateway.to_string()),
        nameservers: (!node.nameservers.is_empty())
            .then(|| Nameservers { addresses: node.nameservers.iter().map(IpAddr::to_string).collect() }),
    };
    let config = NetworkConfig { version: 2, ethernets: BTreeMap::from([(node.interface.as_str(), ethernet)]) };
    yaml("network-config", &config)
}
