//! What the kernel says of this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::{MODULES, SYSCTLS};
use crate::clock;
use crate::cluster::Role;
use crate::kubernetes::KubernetesVersion;
use crate::node::kubeconfig::KUBELET;
use crate::node::state::{STATE, State};
use crate::render::node_file::ETCD_DATA;
use crate::render::{CA_PATH, NodeFile, node_file};

/// Facts of a machine, for the checks. What cannot be read is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What it is for, if it is a node of a cluster.
    pub role: Option<Role>,
    /// Whether Kubernetes, or an external etcd, was set up here already.
    pub is_formed: bool,
    /// Whether `khimg node up` is at work here, which has a port of its own.
    pub is_answering: bool,
    /// The Kubernetes version that it is to run.
    pub kubernetes: Option<KubernetesVersion>,
    /// Memory in kB.
    pub memory: u64,
    /// Room below `/var/lib` in kB.
    pub room: u64,
    /// Swap that is in use.
    pub swaps: Vec<String>,
    /// The kernel's cgroup controllers.
    pub controllers: Vec<String>,
    /// Whether they are in the unified hierarchy.
    pub cgroup2: bool,
    /// Modules in the kernel, built in or loaded.
    pub modules: Vec<String>,
    /// Kernel parameters by their path below `/proc/sys`.
    pub sysctls: BTreeMap<String, String>,
    /// TCP ports on which somebody listens.
    pub listening: BTreeSet<u16>,
    /// How long it takes until the cluster's CA certificate becomes valid, in seconds; negative, once it is.
    pub seconds_until_valid: Option<i64>,
}

impl Facts {
    /// Looks at the running machine.
    pub fn gather() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let node: Option<NodeFile> = serde_saphyr::from_str(&text(node_file::PATH)).ok();
        let first_words = |text: &str, skip: usize| -> Vec<String> {
            text.lines().skip(skip).filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
        };
        let unified = text("/sys/fs/cgroup/cgroup.controllers");
        let enabled = |line: &&str| !line.starts_with('#') && line.split_whitespace().nth(3) == Some("1");
        let all = text("/proc/cgroups");
        Self {
            role: node.as_ref().map(|node| node.role),
            is_formed: Path::new(KUBELET).exists() || Path::new(ETCD_DATA).join("member").exists(),
            is_answering: State::at(Path::new(STATE)).is_up(),
            kubernetes: node.as_ref().and_then(|node| node.kubernetes),
            memory: memory(&text("/proc/meminfo")),
            room: rustix::fs::statvfs("/var/lib").map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize) / 1000),
            swaps: first_words(&text("/proc/swaps"), 1),
            cgroup2: !unified.is_empty(),
            controllers: if unified.is_empty() {
                all.lines()
                    .filter(enabled)
                    .filter_map(|line| line.split_whitespace().next())
                    .map(str::to_owned)
                    .collect()
            } else {
                unified.split_whitespace().map(str::to_owned).collect()
            },
            modules: modules(&text("/proc/filesystems")),
            sysctls: SYSCTLS
                .iter()
                .map(|name| ((*name).to_owned(), text(&format!("/proc/sys/{name}")).trim().to_owned()))
                .collect(),
            listening: ["/proc/net/tcp", "/proc/net/tcp6"].iter().flat_map(|path| listening(&text(path))).collect(),
            seconds_until_valid: until_valid(&text(CA_PATH)),
        }
    }
}

fn memory(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    // In units of 1024 bytes (proc(5)).
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib.saturating_mul(1024) / 1000)
}

/// A module that is built in shows in other places than a loaded one.
fn modules(filesystems: &str) -> Vec<String> {
    let has = |name: &str, trace: &str| {
        Path::new("/sys/module").join(name).exists()
            || Path::new("/proc/sys/net/bridge").join(trace).exists()
            || filesystems.split_whitespace().any(|word| word == trace)
    };
    MODULES.iter().filter(|(name, trace)| has(name, trace)).map(|(name, _)| (*name).to_owned()).collect()
}

/// Local ports of the sockets in state 0A, "listen", of a table of `/proc/net` (proc(5)).
fn listening(table: &str) -> Vec<u16> {
    let port = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, port) = fields.get(1)?.rsplit_once(':')?;
        (*fields.get(3)? == "0A").then(|| u16::from_str_radix(port, 16).ok())?
    };
    table.lines().skip(1).filter_map(port).collect()
}

fn until_valid(certificate: &str) -> Option<i64> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()).ok()?;
    let begins = pem.parse_x509().ok()?.validity().not_before.timestamp();
    Some(begins - clock::now().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_tables() {
        assert_eq!(memory("MemTotal:        2000000 kB\nMemFree: 1 kB\n"), 2_048_000);
        let table = "  sl  local_address rem_address   st\n\
            0: 0100007F:192B 00000000:0000 0A 00000000:00000000\n\
            1: 0100007F:0016 0100007F:9C40 01 00000000:00000000\n";
        assert_eq!(listening(table), [6443]);
    }

    #[test]
    fn gathers_on_any_machine() {
        let facts = Facts::gather();
        assert!(facts.memory > 0 && facts.room > 0, "{facts:?}");
    }
}
