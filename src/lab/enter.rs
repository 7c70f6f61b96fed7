//! Into a running node: which process is its first, and how a command is run beside it.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::error::LabError;
use super::record::Lab;
use super::{cgroup, program};

/// What a login on the node would have; kubectl finds the cluster by it on a master.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("PATH", program::PATH),
    ("HOME", "/root"),
    ("LANG", "C.UTF-8"),
    ("SYSTEMD_PAGER", ""),
    ("KUBECONFIG", "/etc/kubernetes/admin.conf"),
];

/// The number that process 1 of a node has on this machine; none while the node is off.
///
/// # Errors
/// The cgroups of this machine cannot be read.
pub fn leader(lab: &Lab, node: &str) -> Result<Option<i32>, LabError> {
    let is_first = |pid: &i32| {
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return false };
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let numbers: Vec<&str> = numbers.split_whitespace().collect();
        // A pod has a first process too, one level further down.
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or_default();
        numbers.len() == own_depth() + 1 && numbers.last() == Some(&"1") && !state.trim_start().starts_with('Z')
    };
    Ok(cgroup::processes(&lab.place, Some(node))?.into_iter().find(is_first))
}

/// In how many nested process namespaces this process is.
fn own_depth() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    numbers.split_whitespace().count().max(1)
}

/// A command that runs in a node, with this process's own input and output.
///
/// # Errors
/// There is no such node, or it is off.
pub fn command<S: AsRef<OsStr>>(lab: &Lab, node: &str, words: &[S]) -> Result<Command, LabError> {
    lab.machine(node)?;
    let leader = leader(lab, node)?.ok_or_else(|| LabError::Off { node: node.to_owned() })?;
    let mut command = Command::new("setpriv");
    command.env_clear().envs(ENVIRONMENT);
    // The clock is the whole machine's. The node's own processes cannot turn it either, see `boot`.
    command.args(["--bounding-set", "-sys_time", "--inh-caps", "-sys_time", "nsenter"]);
    // What curses needs to know of the terminal.
    command.env("TERM", "xterm-256color");
    command.arg(format!("--target={leader}"));
    command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "--"]);
    command.args(words);
    Ok(command)
}

/// Runs a command in a node to its end and gives what it wrote.
pub(super) fn output<S: AsRef<OsStr>>(lab: &Lab, node: &str, words: &[S]) -> Result<std::process::Output, LabError> {
    let mut command = command(lab, node, words)?;
    command.stdin(Stdio::null()).output().map_err(LabError::io("run", &PathBuf::from("setpriv")))
}
