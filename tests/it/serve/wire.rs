//! Three network namespaces on one wire: a server's, a client's, and one that holds the bridge between them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::daemon::{available, root, run};

/// The node `master-1` of the cluster file, by its Ethernet address.
pub const KNOWN: &str = "52:54:00:00:00:11";

/// Removed with everything in them when this is dropped.
pub struct Wire {
    prefix: String,
}

impl Wire {
    /// `None`, and a reason printed, where this cannot be had.
    pub fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !root() || !available(&["ip", "nsenter"]) {
            return None;
        }
        let prefix = format!("khimg-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let wire = Self { prefix };
        for name in ["hub", "server", "client"] {
            run(Command::new("ip").args(["netns", "add", &wire.name(name)]));
            wire.ip(name, &["link", "set", "lo", "up"]);
        }
        wire.ip("hub", &["link", "add", "br0", "type", "bridge", "forward_delay", "0"]);
        wire.ip("hub", &["address", "add", "10.0.9.1/16", "dev", "br0"]);
        wire.ip("hub", &["link", "set", "br0", "up"]);
        for name in ["server", "client"] {
            let there = wire.name(name);
            wire.ip("hub", &["link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", &there]);
            wire.ip("hub", &["link", "set", name, "master", "br0", "up"]);
        }
        wire.ip("client", &["link", "set", "eth0", "address", KNOWN]);
        wire.ip("server", &["address", "add", "10.0.9.2/16", "dev", "eth0"]);
        for name in ["server", "client"] {
            wire.ip(name, &["link", "set", "eth0", "up"]);
        }
        Some(wire)
    }

    fn name(&self, place: &str) -> String {
        format!("{}-{place}", self.prefix)
    }

    pub fn ip(&self, place: &str, arguments: &[&str]) {
        run(Command::new("ip").args(["-n", &self.name(place)]).args(arguments));
    }

    /// A command that runs in one of the namespaces.
    pub fn inside(&self, place: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name(place))).arg("--").arg(program);
        command
    }

    /// The client asks for an address, once for a few seconds: what it was given, as udhcpc tells its script.
    pub fn lease(&self) -> Option<String> {
        let folder = tempfile::tempdir().expect("a directory");
        let (script, told): (PathBuf, PathBuf) = (folder.path().join("script"), folder.path().join("told"));
        fs::write(&script, format!("#!/bin/sh\n[ \"$1\" != bound ] || env >{}\n", told.display())).expect("written");
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("its mode");
        let mut asks = self.inside("client", "busybox");
        asks.args(["udhcpc", "-f", "-n", "-q", "-i", "eth0", "-t", "3", "-T", "1", "-s"]).arg(&script);
        let Output { status, .. } = asks.output().expect("runs");
        status.success().then(|| fs::read_to_string(&told).expect("a lease"))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for name in ["hub", "server", "client"] {
            // With it go its interfaces.
            let _gone = Command::new("ip").args(["netns", "delete", &self.name(name)]).output();
        }
    }
}
