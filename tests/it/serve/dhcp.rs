//! What must be true of each answer to a DHCP packet, whatever is in it. The tests and the fuzzer that coverage guides both ask this.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use khimg::arch::Arch;
use khimg::cluster::Role;
use khimg::serve::dhcp::answer::{Dhcp, Ours, Port, answer};
use khimg::serve::dhcp::packet::{Kind, parse};
use khimg::serve::machine::Machine;

/// A machine with as much to tell of it as there can be.
pub fn machine() -> Machine {
    Machine {
        name: "a".repeat(63),
        role: Role::Master,
        arch: Arch::Amd64,
        address: "10.0.0.1/16".parse().expect("an address"),
        gateway: Some(Ipv4Addr::new(10, 0, 0, 9).into()),
        nameservers: vec![Ipv4Addr::new(10, 0, 0, 9).into(); 9],
        mac: None,
    }
}

/// Both ways to serve.
pub fn ours() -> [Ours; 2] {
    [Dhcp::Proxy, Dhcp::Full].map(|dhcp| Ours {
        dhcp,
        address: Ipv4Addr::new(10, 0, 9, 2),
        scripts: "http://10.0.9.2:8080/boot".to_owned(),
        programs: BTreeSet::from(["undionly.kpxe".to_owned(), "ipxe.efi".to_owned()]),
    })
}

/// Answers a packet in each way and on each port.
pub fn answers_safely(bytes: &[u8], machine: &Machine, ours: &[Ours; 2]) {
    let Some(request) = parse(bytes) else { return };
    for ours in ours {
        for port in [Port::Dhcp, Port::Boot] {
            let Some((reply, _)) = answer(&request, port, machine, ours) else { continue };
            let packet = reply.to(&request).expect("a reply fits into a packet");
            // What every client takes (RFC 2131 §2).
            assert!((300..=548).contains(&packet.len()) && packet[4..8] == bytes[4..8]);
            assert!(
                reply.given.is_unspecified() || (ours.dhcp == Dhcp::Full && reply.given == Ipv4Addr::new(10, 0, 0, 1))
            );
            assert!(matches!(reply.kind, Kind::Offer | Kind::Ack | Kind::Nak));
        }
    }
}
