//! A TFTP client's packets: the first 256 bytes ask, the others are what it says later, each after its length.
#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use khimg::serve::tftp::packet::{Packet, parse};
use khimg::serve::tftp::transfer::{Step, Transfer};
use libfuzzer_sys::fuzz_target;

static CONTENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(vec![7; 70_000]));

fuzz_target!(|bytes: &[u8]| {
    let (asked, mut later) = bytes.split_at(bytes.len().min(256));
    let Some(Packet::Read(read)) = parse(asked) else { return };
    let window = usize::from(read.options.window());
    let (mut transfer, mut step) = Transfer::new(CONTENT.clone(), &read.options);
    loop {
        match &step {
            Step::Send(packets) => {
                assert!(packets.len() <= window && packets.iter().all(|packet| packet.len() <= 1472));
            }
            Step::Wait => {}
            Step::Done | Step::Over => return,
        }
        let Some((length, rest)) = later.split_first() else { return };
        let (said, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        later = rest;
        step = if said.is_empty() { transfer.silence() } else { transfer.heard(parse(said)) };
    }
});
