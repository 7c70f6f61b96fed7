//! Counts what nodes send to places that the lab does not have, and what they would send if there were a route.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::daemon::run;
use crate::support::rehearsal::Rehearsal;

/// Everything in a lab: its subnet, pods, services and multicast on the wire.
const INSIDE: &str = "10.77.0.0/24, 10.244.0.0/16, 10.96.0.0/12, 127.0.0.0/8, 224.0.0.0/4, 255.255.255.255";

/// Begins to count on a node that has just been turned on: questions to any DNS server, wherever it is, and packets to places
/// outside.
pub fn begin(lab: &Rehearsal, node: &str) {
    let rules = format!(
        "table inet watch {{
            counter dns {{}}
            counter outside {{}}
            chain judge {{
                meta l4proto {{ tcp, udp }} th dport 53 counter name dns
                ip daddr != {{ {INSIDE} }} counter name outside
                ip6 daddr != {{ ::1, fe80::/10, ff00::/8 }} counter name outside
            }}
            chain out {{ type filter hook output priority -300; jump judge; }}
            chain through {{ type filter hook forward priority -300; jump judge; }}
        }}"
    );
    let mut nft = inside(lab, node, &["nft", "--file", "-"]).stdin(Stdio::piped()).spawn().expect("nft");
    nft.stdin.take().expect("a pipe").write_all(rules.as_bytes()).expect("written");
    assert!(nft.wait().expect("a child").success());
}

/// What a node has asked for so far: DNS questions, packets to places outside, and attempts for which it had no route.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    dns: u64,
    outside: u64,
    without_route: u64,
}

/// Sees that no node has asked for anything outside since [`begin`].
pub fn nobody_asked(lab: &Rehearsal, nodes: &[&str]) {
    for node in nodes {
        let asked = asked(lab, node);
        if asked.without_route > 0 && gave_the_address_away(lab, node) {
            println!("{node} had {} packets from the virtual address that it no longer has", asked.without_route);
            assert_eq!(Asked { without_route: 0, ..asked }, Asked::default(), "{node}");
        } else {
            assert_eq!(asked, Asked::default(), "{node}");
        }
    }
}

/// Whether a node held the virtual address and lost it. Its connections from that address then have no route, even to their
/// neighbours: the kernel finds none for a source that is not the machine's own.
fn gave_the_address_away(lab: &Rehearsal, node: &str) -> bool {
    let told = lab.must(node, "journalctl --boot --unit keepalived --output cat");
    let states = told.lines().filter_map(|line| line.split_once("Entering ").map(|(_, state)| state));
    let states: Vec<&str> = states.collect();
    let held = states.iter().position(|state| state.starts_with("MASTER"));
    held.is_some_and(|held| states[held..].iter().any(|state| !state.starts_with("MASTER")))
}

/// What a node has asked for since [`begin`].
fn asked(lab: &Rehearsal, node: &str) -> Asked {
    let counters = run(&mut inside(lab, node, &["nft", "list", "counters", "table", "inet", "watch"]));
    let packets = |name: &str| {
        let (_, rest) = counters.split_once(&format!("counter {name} ")).expect("the counter");
        let (_, rest) = rest.split_once("packets ").expect("packets");
        rest.split_whitespace().next().expect("a number").parse::<u64>().expect("a number")
    };
    let numbers = run(&mut inside(lab, node, &["cat", "/proc/thread-self/net/snmp", "/proc/thread-self/net/netstat"]));
    let numbers6 = run(&mut inside(lab, node, &["cat", "/proc/thread-self/net/snmp6"]));
    let without_route = pair(&numbers, "Ip:", "OutNoRoutes")
        + pair(&numbers, "IpExt:", "InNoRoutes")
        + single(&numbers6, "Ip6OutNoRoutes")
        + single(&numbers6, "Ip6InNoRoutes");
    Asked { dns: packets("dns"), outside: packets("outside"), without_route }
}

/// A number of `/proc/net/snmp`, where a line of names stands above a line of numbers.
fn pair(text: &str, line: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter(|found| found.starts_with(&format!("{line} ")));
    let (names, numbers) = (lines.next().expect("names"), lines.next().expect("numbers"));
    let at = names.split_whitespace().position(|found| found == name).expect("the name");
    numbers.split_whitespace().nth(at).expect("a number").parse().expect("a number")
}

/// A number of `/proc/net/snmp6`.
fn single(text: &str, name: &str) -> u64 {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name)).expect("the name");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

/// A program of this machine in the network of a node.
fn inside(lab: &Rehearsal, node: &str, words: &[&str]) -> Command {
    let namespace = format!("{}-{node}", lab.namespace().display());
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={namespace}")).args(words);
    command
}
