//! What labs could leave on this machine.

use std::collections::BTreeSet;
use std::fs;

use khimg::digest::Digest;

use crate::support::rehearsal::Rehearsal;

/// Everything outside its directory that a lab makes or changes.
#[derive(Debug, PartialEq, Eq)]
pub struct Remains {
    namespaces: BTreeSet<String>,
    cgroups: BTreeSet<String>,
    mounts: BTreeSet<String>,
    loops: BTreeSet<String>,
    processes: BTreeSet<String>,
    parameters: Vec<String>,
}

impl Remains {
    /// Whether there is nothing. What this machine's parameters are is no remains.
    pub fn is_nothing(&self) -> bool {
        let all = [&self.namespaces, &self.cgroups, &self.mounts, &self.loops, &self.processes];
        all.iter().all(|some| some.is_empty())
    }

    /// What there is now of `lab`, whether it is up or not.
    pub fn of(lab: &Rehearsal) -> Self {
        let directory = lab.directory().display().to_string();
        let id = format!("khimg-{}", &Digest::of(directory.as_bytes()).hex()[..8]);
        let names = |directory: &str| -> BTreeSet<String> {
            let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
            let paths = entries.map(|entry| entry.path().display().to_string());
            paths.filter(|path| path.contains(&id)).collect()
        };
        let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().filter_map(Result::ok);
        let mut cgroups = names("/sys/fs/cgroup");
        cgroups.extend(hierarchies.flat_map(|entry| names(&entry.path().display().to_string())));
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let loops = fs::read_dir("/sys/block").into_iter().flatten().filter_map(Result::ok);
        let backing = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("loop/backing_file")).ok();
        let processes = fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
        let command = |entry: fs::DirEntry| {
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            Some(String::from_utf8_lossy(&line).replace('\0', " "))
        };
        let parameters =
            ["kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory", "fs/inotify/max_user_instances"];
        Self {
            namespaces: names("/run/netns"),
            cgroups,
            mounts: mounts.lines().filter(|line| line.contains(&directory)).map(str::to_owned).collect(),
            loops: loops.filter_map(backing).filter(|file| file.contains(&directory)).collect(),
            processes: processes.filter_map(command).filter(|line| line.contains(&id)).collect(),
            parameters: parameters
                .map(|name| fs::read_to_string(format!("/proc/sys/{name}")).expect("a value"))
                .to_vec(),
        }
    }
}
