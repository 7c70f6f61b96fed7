//! DHCP packets (RFC 2131, 2132) with what PXE adds to them (RFC 4578), as a server of network boots reads and writes them.

use std::net::Ipv4Addr;

use crate::cluster::{Mac, Uuid};

/// Bytes before the options, the mark of options included (RFC 2131 §2).
const HEAD: usize = 240;

/// What stands before the options.
const COOKIE: [u8; 4] = [99, 130, 83, 99];

/// Shortest packet that every client takes (RFC 1542 §2.1).
const SHORTEST: usize = 300;

/// Most bytes of a boot file's name, with the final zero.
const FILE: usize = 128;

/// Codes of options (RFC 2132, 3004, 4578; 175 is iPXE's own).
pub mod code {
    /// The subnet's mask.
    pub const MASK: u8 = 1;
    /// Gateways.
    pub const ROUTER: u8 = 3;
    /// Name servers.
    pub const NAMESERVER: u8 = 6;
    /// The client's name.
    pub const HOST_NAME: u8 = 12;
    /// What PXE firmware is told.
    pub const VENDOR: u8 = 43;
    /// The address that the client wants.
    pub const REQUESTED: u8 = 50;
    /// Seconds for which an address may be used.
    pub const LEASE: u8 = 51;
    /// What the packet is.
    pub const KIND: u8 = 53;
    /// Which server is meant.
    pub const SERVER: u8 = 54;
    /// What the client is.
    pub const CLASS: u8 = 60;
    /// What the client runs.
    pub const USER_CLASS: u8 = 77;
    /// Its firmware.
    pub const ARCHITECTURE: u8 = 93;
    /// Its UUID, after a byte that is 0.
    pub const MACHINE: u8 = 97;
    /// iPXE's own options.
    pub const IPXE: u8 = 175;
    /// The end of the options.
    pub const END: u8 = 255;
}

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Who is there?
    Discover,
    /// A server's proposal.
    Offer,
    /// The client takes it, or wants to keep what it has.
    Request,
    /// The server agrees.
    Ack,
    /// The server does not.
    Nak,
    /// The client has an address and wants the rest.
    Inform,
}

impl Kind {
    fn number(self) -> u8 {
        match self {
            Self::Discover => 1,
            Self::Offer => 2,
            Self::Request => 3,
            Self::Ack => 5,
            Self::Nak => 6,
            Self::Inform => 8,
        }
    }
}

/// The firmware of a machine that boots over the network (IANA, "Processor Architecture Types").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Firmware {
    /// x86 with a BIOS.
    Bios,
    /// x86-64 with UEFI.
    EfiAmd64,
    /// 64-bit Arm with UEFI.
    EfiArm64,
}

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// [`Kind::Discover`], [`Kind::Request`] or [`Kind::Inform`].
    pub kind: Kind,
    /// The client's number for this exchange.
    pub transaction: [u8; 4],
    /// Whether answers have to be broadcast.
    pub broadcast: bool,
    /// The address that the client has; 0.0.0.0 if none.
    pub address: Ipv4Addr,
    /// Its Ethernet address.
    pub mac: Mac,
    /// The address that it wants.
    pub requested: Option<Ipv4Addr>,
    /// The server that it means.
    pub server: Option<Ipv4Addr>,
    /// Whether it boots over the network.
    pub is_pxe: bool,
    /// Whether that is iPXE, which loads by HTTP.
    pub is_ipxe: bool,
    /// Its firmware, if it is one for which there may be something.
    pub firmware: Option<Firmware>,
    /// Its UUID.
    pub uuid: Option<Uuid>,
    /// The option that the UUID came in, which is given back as it was.
    pub machine: Vec<u8>,
}

/// Reads a request of an Ethernet client that is on the same network; `None` for everything else. Relayed requests are none:
/// khimg serves one interface.
pub fn parse(bytes: &[u8]) -> Option<Request> {
    let (head, options) = bytes.split_at_checked(HEAD)?;
    let four = |at: usize| head.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied();
    // A request, Ethernet, six bytes of address, no relay.
    if head.get(..3)? != [1, 1, 6] || four(24)? != [0; 4] || four(236)? != COOKIE {
        return None;
    }
    let mac = Mac::from(*head.get(28..)?.first_chunk::<6>()?);
    let options = Options(options);
    let address = |code: u8| options.get(code).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(Ipv4Addr::from);
    let kind = match options.get(code::KIND)? {
        [1] => Kind::Discover,
        [3] => Kind::Request,
        [8] => Kind::Inform,
        _ => return None,
    };
    let machine = options.get(code::MACHINE).filter(|bytes| bytes.len() == 17);
    let uuid = machine.and_then(|bytes| bytes.strip_prefix(&[0])).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let has_ipxe_class = options.get(code::USER_CLASS).is_some_and(|class| class == b"iPXE" || class == b"\x04iPXE");
    Some(Request {
        kind,
        transaction: four(4)?,
        broadcast: head.get(10)? & 0x80 != 0,
        address: four(12)?.into(),
        mac,
        requested: address(code::REQUESTED),
        server: address(code::SERVER),
        is_pxe: options.get(code::CLASS).is_some_and(|class| class.starts_with(b"PXEClient")),
        is_ipxe: has_ipxe_class || options.get(code::IPXE).is_some(),
        firmware: options.get(code::ARCHITECTURE).and_then(|bytes| bytes.first_chunk::<2>()).and_then(|bytes| {
            match u16::from_be_bytes(*bytes) {
                0 => Some(Firmware::Bios),
                // 9 is "EBC", which early UEFI firmware says of itself (RFC 4578 erratum 4625).
                7 | 9 => Some(Firmware::EfiAmd64),
                11 => Some(Firmware::EfiArm64),
                _ => None,
            }
        }),
        uuid: uuid.map(Uuid::from).filter(|uuid| mac.is_unicast() && !uuid.is_blank()),
        machine: machine.unwrap_or_default().to_vec(),
    })
    .filter(|request| request.mac.is_unicast())
}

/// The options of a packet. Of one that stands there twice, the first counts.
struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    fn get(&self, wanted: u8) -> Option<&'a [u8]> {
        let mut rest = self.0;
        loop {
            let (code, after) = rest.split_first()?;
            rest = match *code {
                0 => after,
                code::END => return None,
                code => {
                    let (length, after) = after.split_first()?;
                    let (value, after) = after.split_at_checked(usize::from(*length))?;
                    if code == wanted {
                        return Some(value);
                    }
                    after
                }
            };
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// [`Kind::Offer`], [`Kind::Ack`] or [`Kind::Nak`].
    pub kind: Kind,
    /// The address that the client gets; 0.0.0.0 if none.
    pub given: Ipv4Addr,
    /// Where it finds its boot file; 0.0.0.0 if there is none.
    pub next: Ipv4Addr,
    /// Its boot file: a name for TFTP, or a URL.
    pub file: String,
    /// Further options in their order; each of at most 255 bytes.
    pub options: Vec<(u8, Vec<u8>)>,
}

impl Reply {
    /// The packet; `None` if something is too long for it.
    pub fn to(&self, request: &Request) -> Option<Vec<u8>> {
        let mut packet = vec![0; HEAD];
        let mut put = |at: usize, bytes: &[u8]| -> Option<()> {
            packet.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
            Some(())
        };
        put(0, &[2, 1, 6, 0])?;
        put(4, &request.transaction)?;
        put(10, &[if request.broadcast { 0x80 } else { 0 }, 0])?;
        put(12, &if self.kind == Kind::Nak { [0; 4] } else { request.address.octets() })?;
        put(16, &self.given.octets())?;
        put(20, &self.next.octets())?;
        put(28, &request.mac.octets())?;
        if self.file.len() >= FILE {
            return None;
        }
        put(108, self.file.as_bytes())?;
        put(236, &COOKIE)?;
        packet.extend([code::KIND, 1, self.kind.number()]);
        for (code, value) in &self.options {
            packet.extend([*code, u8::try_from(value.len()).ok()?]);
            packet.extend(value);
        }
        packet.push(code::END);
        packet.resize(packet.len().max(SHORTEST), 0);
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A request as firmware sends it.
    pub fn packet(kind: u8, options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut packet = vec![0; HEAD];
        packet[..4].copy_from_slice(&[1, 1, 6, 0]);
        packet[4..8].copy_from_slice(&[1, 2, 3, 4]);
        packet[28..34].copy_from_slice(&[0x52, 0x54, 0, 0, 0, 0x11]);
        packet[236..240].copy_from_slice(&COOKIE);
        packet.extend([code::KIND, 1, kind]);
        for (code, value) in options {
            packet.extend([*code, value.len() as u8]);
            packet.extend(*value);
        }
        packet.push(code::END);
        packet
    }

    #[test]
    fn what_firmware_says_is_understood() {
        let machine = [&[0][..], &[7; 16]].concat();
        let options: [(u8, &[u8]); 4] = [
            (code::CLASS, b"PXEClient:Arch:00007:UNDI:003001"),
            (code::ARCHITECTURE, &[0, 7]),
            (code::MACHINE, &machine),
            (code::USER_CLASS, b"iPXE"),
        ];
        let request = parse(&packet(1, &options)).expect("a request");
        assert_eq!((request.kind, request.mac.to_string().as_str()), (Kind::Discover, "52:54:00:00:00:11"));
        assert_eq!((request.is_pxe, request.is_ipxe, request.firmware), (true, true, Some(Firmware::EfiAmd64)));
        assert_eq!((request.uuid, request.machine), (Some(Uuid::from([7; 16])), machine));
        let plain = parse(&packet(3, &[(code::REQUESTED, &[10, 0, 0, 1])])).expect("a request");
        assert_eq!((plain.requested, plain.is_pxe, plain.is_ipxe), (Some(Ipv4Addr::new(10, 0, 0, 1)), false, false));
    }

    #[test]
    fn what_is_not_for_us_is_no_request() {
        let good = packet(1, &[]);
        assert!(parse(&good).is_some() && parse(&good[..HEAD]).is_none());
        for (what, at, byte) in [
            ("a reply", 0, 2),
            ("no Ethernet", 1, 6),
            ("a long address", 2, 16),
            ("a relay", 24, 10),
            ("a group address", 28, 0x53),
            ("no cookie", 236, 0),
            ("a server's kind", 242, 2),
            ("no end", 240, 1),
        ] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(parse(&bad), None, "{what}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), sane in any::<bool>()) {
            if sane && bytes.len() > HEAD {
                let good = packet(1, &[]);
                bytes[..HEAD].copy_from_slice(&good[..HEAD]);
            }
            if let Some(request) = parse(&bytes) {
                let reply = Reply {
                    kind: Kind::Offer,
                    given: Ipv4Addr::UNSPECIFIED,
                    next: Ipv4Addr::LOCALHOST,
                    file: "file".to_owned(),
                    options: vec![(code::MACHINE, request.machine.clone())],
                };
                let packet = reply.to(&request).expect("a packet");
                prop_assert!(packet.len() >= SHORTEST && packet.len() < 576);
            }
        }
    }
}
