//! DHCP packets as any machine on the wire may send them, and the answers to them.
#![no_main]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::LazyLock;

use khimg::arch::Arch;
use khimg::cluster::Role;
use khimg::serve::dhcp::answer::{Dhcp, Ours, Port, answer};
use khimg::serve::dhcp::packet::parse;
use khimg::serve::machine::Machine;
use libfuzzer_sys::fuzz_target;

static MACHINE: LazyLock<Machine> = LazyLock::new(|| Machine {
    name: "a".repeat(63),
    role: Role::Master,
    arch: Arch::Amd64,
    address: "10.0.0.1/16".parse().expect("an address"),
    gateway: Some(Ipv4Addr::new(10, 0, 0, 9).into()),
    nameservers: vec![Ipv4Addr::new(10, 0, 0, 9).into(); 9],
    mac: None,
});

static OURS: LazyLock<[Ours; 2]> = LazyLock::new(|| {
    [Dhcp::Proxy, Dhcp::Full].map(|dhcp| Ours {
        dhcp,
        address: Ipv4Addr::new(10, 0, 9, 2),
        scripts: "http://10.0.9.2:8080/boot".to_owned(),
        programs: BTreeSet::from(["undionly.kpxe".to_owned(), "ipxe.efi".to_owned()]),
    })
});

fuzz_target!(|bytes: &[u8]| {
    let Some(request) = parse(bytes) else { return };
    for ours in OURS.iter() {
        for port in [Port::Dhcp, Port::Boot] {
            let Some((reply, _)) = answer(&request, port, &MACHINE, ours) else { continue };
            let packet = reply.to(&request).expect("a reply fits into a packet");
            // What every client takes (RFC 2131 §2).
            assert!((300..=548).contains(&packet.len()) && packet[4..8] == bytes[4..8]);
            assert!(
                reply.given.is_unspecified() || (ours.dhcp == Dhcp::Full && reply.given == Ipv4Addr::new(10, 0, 0, 1))
            );
        }
    }
});
