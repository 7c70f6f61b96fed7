//! Which answer a known machine gets: pure, without sockets.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use super::packet::{Firmware, Kind, Reply, Request, code};
use crate::serve::machine::Machine;

/// Seconds for which an address may be used. It is the node's own in any case.
const LEASE: u32 = 3600;

/// Says to PXE firmware: no menu, no search for other servers, load what this packet names (PXE 2.1, option 43, sub-option 6).
const JUST_BOOT: [u8; 4] = [6, 1, 8, 255];

/// What khimg does about addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dhcp {
    /// Another server gives them; khimg only says what to boot.
    Proxy,
    /// khimg gives each node its own.
    Full,
}

/// Who answers.
#[derive(Debug, Clone)]
pub struct Ours {
    /// What is done about addresses.
    pub dhcp: Dhcp,
    /// The server's address on the interface.
    pub address: Ipv4Addr,
    /// Where scripts are: `http://…/boot`.
    pub scripts: String,
    /// The boot programs that there are.
    pub programs: BTreeSet<String>,
}

/// The port that a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// 67, where everybody asks.
    Dhcp,
    /// 4011, where firmware asks a server of boots alone.
    Boot,
}

/// Where an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// To everybody, because the machine has no address yet.
    Everybody,
    /// To this address.
    One(SocketAddrV4),
    /// To where the request came from.
    Back,
}

/// Boot programs for a kind of firmware, in order of preference.
pub fn programs(firmware: Firmware) -> &'static [&'static str] {
    match firmware {
        Firmware::Bios => &["undionly.kpxe"],
        Firmware::EfiAmd64 => &["ipxe.efi", "snponly.efi"],
        Firmware::EfiArm64 => &["ipxe-arm64.efi", "snponly-arm64.efi", "arm64-efi/ipxe.efi", "arm64-efi/snponly.efi"],
    }
}

/// The answer to `request` of `machine`; none where silence is right.
pub fn answer(request: &Request, port: Port, machine: &Machine, ours: &Ours) -> Option<(Reply, To)> {
    match (ours.dhcp, port) {
        (_, Port::Boot) => boot_server(request, machine, ours),
        (Dhcp::Proxy, Port::Dhcp) => proxy(request, machine, ours),
        (Dhcp::Full, Port::Dhcp) => full(request, machine, ours),
    }
}

/// What the machine loads next: iPXE its own script, firmware a program that is iPXE.
fn file(request: &Request, machine: &Machine, ours: &Ours) -> Option<String> {
    if request.is_ipxe {
        return Some(format!("{}/{}", ours.scripts, machine.name));
    }
    let names = programs(request.firmware?);
    names.iter().find(|name| ours.programs.contains(**name)).map(|name| (*name).to_owned())
}

/// The reply that says what to boot.
fn boot(kind: Kind, request: &Request, file: String, ours: &Ours) -> Reply {
    let mut options = vec![(code::SERVER, ours.address.octets().to_vec()), (code::CLASS, b"PXEClient".to_vec())];
    if !request.machine.is_empty() {
        options.push((code::MACHINE, request.machine.clone()));
    }
    // UEFI firmware that is told so passes over the packet at times; without it, it asks at the boot port.
    if request.firmware == Some(Firmware::Bios) && !request.is_ipxe {
        options.push((code::VENDOR, JUST_BOOT.to_vec()));
    }
    Reply { kind, given: Ipv4Addr::UNSPECIFIED, next: ours.address, file, options }
}

/// Beside another server: an offer without an address.
fn proxy(request: &Request, machine: &Machine, ours: &Ours) -> Option<(Reply, To)> {
    if request.kind != Kind::Discover || !request.is_pxe {
        return None;
    }
    Some((boot(Kind::Offer, request, file(request, machine, ours)?, ours), To::Everybody))
}

/// At the boot port: the same as an acknowledgement, to where it was asked from.
fn boot_server(request: &Request, machine: &Machine, ours: &Ours) -> Option<(Reply, To)> {
    let is_ours = request.server.is_none_or(|server| server == ours.address);
    if request.kind != Kind::Request || !request.is_pxe || !is_ours {
        return None;
    }
    Some((boot(Kind::Ack, request, file(request, machine, ours)?, ours), To::Back))
}

/// As the only server: each node gets the address that the cluster file names.
fn full(request: &Request, machine: &Machine, ours: &Ours) -> Option<(Reply, To)> {
    let IpAddr::V4(own) = machine.address.addr() else { return None };
    let to = match request.address {
        Ipv4Addr::UNSPECIFIED => To::Everybody,
        address => To::One(SocketAddrV4::new(address, 68)),
    };
    let (kind, given) = match request.kind {
        Kind::Discover => (Kind::Offer, own),
        Kind::Inform => (Kind::Ack, Ipv4Addr::UNSPECIFIED),
        _ => {
            // Another server was chosen.
            if request.server.is_some_and(|server| server != ours.address) {
                return None;
            }
            let wanted = request.requested.unwrap_or(request.address);
            if wanted != own {
                let options = vec![(code::SERVER, ours.address.octets().to_vec())];
                let (given, next) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);
                return Some((Reply { kind: Kind::Nak, given, next, file: String::new(), options }, To::Everybody));
            }
            (Kind::Ack, own)
        }
    };
    let file = if request.is_pxe || request.is_ipxe { file(request, machine, ours) } else { None };
    let mut reply = match file {
        Some(file) => boot(kind, request, file, ours),
        None => Reply {
            kind,
            given: Ipv4Addr::UNSPECIFIED,
            next: Ipv4Addr::UNSPECIFIED,
            file: String::new(),
            options: vec![(code::SERVER, ours.address.octets().to_vec())],
        },
    };
    reply.given = given;
    reply.options.extend(network(machine, kind != Kind::Ack || given != Ipv4Addr::UNSPECIFIED));
    Some((reply, to))
}

/// The node's network, as the cluster file has it.
fn network(machine: &Machine, has_lease: bool) -> Vec<(u8, Vec<u8>)> {
    let octets = |address: &IpAddr| match address {
        IpAddr::V4(address) => Some(address.octets()),
        IpAddr::V6(_) => None,
    };
    let mut options = Vec::new();
    if has_lease {
        options.push((code::LEASE, LEASE.to_be_bytes().to_vec()));
    }
    options.extend(octets(&machine.address.netmask()).map(|mask| (code::MASK, mask.to_vec())));
    options.extend(machine.gateway.as_ref().and_then(octets).map(|gateway| (code::ROUTER, gateway.to_vec())));
    // More than three are not looked at (resolv.conf(5)).
    let servers: Vec<u8> = machine.nameservers.iter().filter_map(octets).take(3).flatten().collect();
    if !servers.is_empty() {
        options.push((code::NAMESERVER, servers));
    }
    options.push((code::HOST_NAME, machine.name.clone().into_bytes()));
    options
}
