//! The static pods of this node as the machine itself shows them: neither an API server nor a login to the kubelet is needed.

use std::fs;
use std::path::Path;

use rustix::process::Pid;

/// Longest name of a process that the kernel keeps, in bytes.
const COMM: usize = 15;

/// Processes that are called `name` and are in a pod.
pub(super) fn processes(name: &str) -> Vec<Pid> {
    let name: String = name.chars().take(COMM).collect();
    let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let reads = |directory: &Path, name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    processes
        .filter(|process| {
            let directory = process.path();
            reads(&directory, "comm").trim_end() == name && reads(&directory, "cgroup").contains("kubepods")
        })
        .filter_map(|process| process.file_name().to_str()?.parse().ok().and_then(Pid::from_raw))
        .collect()
}
