//! Bytes that mean ill, made of good ones, for every parser that hears the network: for a moment in each run of the tests, and for
//! as long as `KHIMG_FUZZ_SECONDS` says.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use khimg::serve::range::{Wanted, wanted};
use khimg::serve::tftp::packet::{self as tftp, Packet};
use khimg::serve::tftp::transfer::{Step, Transfer};

use super::Project;
use super::dhcp::{answers_safely, machine, ours};

/// How long each of them takes in an ordinary run, in seconds.
const MOMENT: u64 = 1;

/// Numbers that look random, the same for the same seed.
struct Luck(u64);

impl Luck {
    fn below(&mut self, end: usize) -> usize {
        // xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled".
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        const LOVED: [u8; 8] = [0, 1, 4, 53, 127, 128, 254, 255];
        if self.below(2) == 0 { LOVED[self.below(LOVED.len())] } else { self.below(256) as u8 }
    }

    /// Good bytes with a few things wrong.
    fn spoil(&mut self, good: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = good[self.below(good.len())].clone();
        for _ in 0..self.below(6) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 if !bytes.is_empty() => bytes[at] = self.byte(),
                1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                2 => bytes.truncate(at),
                3 => bytes.insert(at, self.byte()),
                4 => {
                    let other = &good[self.below(good.len())];
                    let begin = self.below(other.len());
                    bytes.extend(&other[begin..]);
                }
                _ => {
                    let byte = self.byte();
                    let count = self.below(300);
                    bytes.splice(at..at, std::iter::repeat_n(byte, count));
                }
            }
        }
        bytes
    }
}

/// Tries `attack` on spoiled inputs until the time is over.
fn fuzz(name: &str, good: &[Vec<u8>], mut attack: impl FnMut(&[u8], &mut Luck)) {
    let asked = std::env::var_os("KHIMG_FUZZ_SECONDS").and_then(|text| text.to_str()?.parse().ok());
    let seed = if asked.is_some() { u64::from(std::process::id()) << 20 | 1 } else { 7 };
    let (begin, time) = (Instant::now(), Duration::from_secs(asked.unwrap_or(MOMENT)));
    let (mut luck, mut count) = (Luck(seed), 0_u64);
    while begin.elapsed() < time {
        let bytes = luck.spoil(good);
        // Shown only if what follows panics.
        let shown = Shown(&bytes);
        attack(&bytes, &mut luck);
        std::mem::forget(shown);
        count += 1;
    }
    println!("{name}: {count} inputs in {} s, seed {seed}", begin.elapsed().as_secs());
}

/// Tells which input it was that a parser did not survive.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        println!("the input: {}", hex::encode(self.0));
    }
}

fn request(kind: u8, options: &[(u8, &[u8])]) -> Vec<u8> {
    let mut packet = vec![0; 240];
    packet[..3].copy_from_slice(&[1, 1, 6]);
    packet[28..34].copy_from_slice(&[0x52, 0x54, 0, 0, 0, 0x11]);
    packet[236..].copy_from_slice(&[99, 130, 83, 99]);
    packet.extend([53, 1, kind]);
    for (code, value) in options {
        packet.extend([*code, value.len() as u8]);
        packet.extend(*value);
    }
    packet.push(255);
    packet
}

#[test]
fn dhcp_answers_safely() {
    let uuid = [0; 17];
    let pxe: [(u8, &[u8]); 4] = [(60, b"PXEClient:Arch:00007"), (93, &[0, 7]), (97, &uuid), (77, b"iPXE")];
    let wants: [(u8, &[u8]); 3] = [(50, &[10, 0, 0, 1]), (54, &[10, 0, 9, 2]), (55, &[1, 3, 6])];
    let good = [
        request(1, &pxe),
        request(3, &pxe),
        request(1, &wants),
        request(3, &wants),
        request(8, &[]),
        request(1, &pxe[..3]),
    ];
    let (machine, ours) = (machine(), ours());
    fuzz("dhcp", &good, |bytes, _| answers_safely(bytes, &machine, &ours));
}

#[test]
fn tftp_answers_safely() {
    let good: Vec<Vec<u8>> = [
        &b"\0\x01ipxe.efi\0octet\0"[..],
        b"\0\x01ipxe.efi\0octet\0blksize\x001428\0tsize\x000\0windowsize\x008\0timeout\x002\0",
        b"\0\x02ipxe.efi\0octet\0",
        b"\0\x04\0\x01",
        b"\0\x05\0\x01no\0",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    let content = Bytes::from(vec![7; 70_000]);
    fuzz("tftp", &good, |bytes, luck| {
        let Some(Packet::Read(read)) = tftp::parse(bytes) else { return };
        let window = usize::from(read.options.window());
        let (mut transfer, mut step) = Transfer::new(content.clone(), &read.options);
        for _ in 0..luck.below(40) {
            match &step {
                Step::Send(packets) => {
                    assert!(packets.len() <= window && packets.iter().all(|packet| packet.len() <= 1472));
                }
                Step::Wait => {}
                Step::Done | Step::Over => return,
            }
            let number = u16::from_be_bytes([luck.byte() % 2, luck.byte()]);
            step = match luck.below(4) {
                0 => transfer.silence(),
                1 => transfer.heard(tftp::parse(bytes)),
                _ => transfer.heard(Some(Packet::Acknowledge(number))),
            };
        }
    });
}

#[test]
fn ranges_are_within_files() {
    let good = ["bytes=0-99", "bytes=-5", "bytes=7-", "bytes=1-2,3-4", "bytes=18446744073709551615-"]
        .map(|text| text.as_bytes().to_vec());
    fuzz("range", &good, |bytes, luck| {
        for size in [0, 1, 100, u64::MAX, luck.below(1 << 30) as u64] {
            if let Wanted::Part { first, last } = wanted(bytes, size) {
                assert!(first <= last && last < size);
            }
        }
    });
}

/// Over a real socket: the server stays, tells nothing that it must not, and hands no seed out twice.
#[test]
fn http_answers_safely() {
    let project = Project::new();
    let served = project.serve(&["--listen", "127.0.0.1:0"]);
    let address = served.url("").trim_start_matches("http://").to_owned();
    let good: Vec<Vec<u8>> = [
        "GET /public/khimg.lock HTTP/1.1\r\nHost: a\r\nRange: bytes=0-3\r\nConnection: close\r\n\r\n",
        "GET /public/../secret/manifest.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "HEAD /secret/worker-1/user-data HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /secret/52%3A54:00:00:00:11/user-data HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /secret/worker-2/user-data HTTP/1.0\r\n\r\n",
        "POST /report/worker-1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer the token of worker-1\r\nContent-Length: 38\r\nConnection: close\r\n\r\n\
         {\"condition\":\"waiting\",\"step\":\"join\"}  ",
        "POST /report/worker-1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    let mut handed: BTreeMap<String, u32> = BTreeMap::new();
    fuzz("http", &good, |bytes, _| {
        let mut stream = TcpStream::connect(&address).expect("the server is there");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
        // It may close before all is sent.
        let _sent = stream.write_all(bytes);
        let _closed = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _read = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(text.is_empty() || text.starts_with("HTTP/1."), "{text}");
        assert!(!text.contains("master-1/user-data"), "the list of secrets: {text}");
        for line in text.lines().filter(|line| line.contains("secret of")) {
            *handed.entry(line.to_owned()).or_default() += 1;
        }
    });
    assert!(handed.values().all(|count| *count == 1), "{handed:?}");
    assert!(!served.log().contains("panicked"), "{}", served.log());
}
