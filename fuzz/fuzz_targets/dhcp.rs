//! DHCP packets as any machine on the wire may send them, and the answers to them.
#![no_main]

#[path = "../../tests/it/serve/dhcp.rs"]
mod dhcp;

use std::sync::LazyLock;

use khimg::serve::dhcp::answer::Ours;
use khimg::serve::machine::Machine;
use libfuzzer_sys::fuzz_target;

static MACHINE: LazyLock<Machine> = LazyLock::new(dhcp::machine);

static OURS: LazyLock<[Ours; 2]> = LazyLock::new(dhcp::ours);

fuzz_target!(|bytes: &[u8]| dhcp::answers_safely(bytes, &MACHINE, &OURS));
