//! cgroups of this machine, version 1 and 2. Each node has one of its own in every hierarchy: without it, every kubelet would see
//! the others' pods, and clean them up. They also tell which processes belong to a lab, whoever started them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::error::LabError;
use super::place::Place;
use super::{mounts, program};

/// How long processes may take to end once they are killed.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a cgroup is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Moves itself into the cgroups named first, as far as `--`, and becomes the program after it.
const ENTER: &str = r#"while [ "$1" != -- ]; do echo $$ >"$1"; shift; done; shift; exec "$@""#;

/// One hierarchy of cgroups.
#[derive(Debug, Clone)]
struct Hierarchy {
    /// Where it is mounted.
    root: PathBuf,
    /// Whether it is of version 2.
    unified: bool,
}

fn hierarchies() -> Result<Vec<Hierarchy>, LabError> {
    let mounts = mounts::all()?;
    let found: Vec<_> = mounts
        .into_iter()
        .filter(|mount| mount.kind == "cgroup" || mount.kind == "cgroup2")
        .map(|mount| Hierarchy { unified: mount.kind == "cgroup2", root: mount.path })
        .collect();
    if found.is_empty() {
        let remedy = Some("mount cgroup2 on /sys/fs/cgroup".to_owned());
        return Err(LabError::Unsupported { what: "this machine has no cgroups".to_owned(), remedy });
    }
    Ok(found)
}

/// Makes the cgroups of a node. Gives the files into which a process writes its number to be in them.
pub(super) fn make(place: &Place, node: &str) -> Result<Vec<PathBuf>, LabError> {
    let mut entrances = Vec::new();
    for hierarchy in hierarchies()? {
        let lab = hierarchy.root.join(place.cgroup());
        let own = lab.join(node);
        for directory in [&lab, &own] {
            match fs::create_dir(directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(LabError::io("make the cgroup", directory)(error));
                }
                _ => {}
            }
            inherit_processors(directory)?;
            // Processes are only in the leaves of version 2, so everything above passes its controllers on.
            if hierarchy.unified
                && let Some(above) = directory.parent()
            {
                pass_controllers(above)?;
            }
        }
        entrances.push(own.join("cgroup.procs"));
    }
    Ok(entrances)
}

/// A command that is in the cgroups of `entrances` before it does anything.
pub(super) fn command_in(entrances: &[PathBuf], program: &str) -> Command {
    let mut command = program::command("sh");
    command.args(["-c", ENTER, "sh"]).args(entrances).args(["--", program]);
    command
}

/// A cpuset of version 1 is born empty and admits no process until it has processors and memory.
fn inherit_processors(directory: &Path) -> Result<(), LabError> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let (own, above) = (directory.join(name), directory.with_file_name(name));
        let Ok(text) = fs::read_to_string(&own) else { continue };
        if text.trim().is_empty()
            && let Ok(text) = fs::read_to_string(&above)
        {
            fs::write(&own, text.trim()).map_err(LabError::io("write", &own))?;
        }
    }
    Ok(())
}

fn pass_controllers(directory: &Path) -> Result<(), LabError> {
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    let passed = read("cgroup.subtree_control");
    let passed: BTreeSet<&str> = passed.split_whitespace().collect();
    let path = directory.join("cgroup.subtree_control");
    for controller in read("cgroup.controllers").split_whitespace().filter(|name| !passed.contains(name)) {
        fs::write(&path, format!("+{controller}")).map_err(LabError::io("pass controllers on in", &path))?;
    }
    Ok(())
}

/// The version 1 controllers, by the names of their directories below `/sys/fs/cgroup`.
pub(super) fn controllers_v1() -> Result<Vec<String>, LabError> {
    let v1 = hierarchies()?.into_iter().filter(|hierarchy| !hierarchy.unified);
    Ok(v1.filter_map(|hierarchy| Some(hierarchy.root.file_name()?.to_str()?.to_owned())).collect())
}

/// All processes of the lab, or of one node of it.
pub(super) fn processes(place: &Place, node: Option<&str>) -> Result<BTreeSet<i32>, LabError> {
    let mut found = BTreeSet::new();
    for directory in directories(place, node)? {
        // A cgroup that is gone has no processes.
        let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    }
    Ok(found)
}

/// Kills whatever is left of the lab, or of one node of it, and waits until it is gone.
pub(super) fn kill(place: &Place, node: Option<&str>) -> Result<(), LabError> {
    let begun = Instant::now();
    loop {
        let left = processes(place, node)?;
        if left.is_empty() {
            return Ok(());
        }
        for pid in left.iter().copied().filter_map(Pid::from_raw) {
            // Whoever has ended in between is what we want.
            let _ = kill_process(pid, Signal::KILL);
        }
        if begun.elapsed() > PATIENCE {
            let node = node.map_or_else(|| place.name().to_owned(), str::to_owned);
            return Err(LabError::Alive { node, pids: left.into_iter().collect() });
        }
        std::thread::sleep(LOOK);
    }
}

/// Waits for a node's processes to end by themselves. Gives whether they did.
pub(super) fn wait_empty(place: &Place, node: &str, patience: Duration) -> Result<bool, LabError> {
    let begun = Instant::now();
    while !processes(place, Some(node))?.is_empty() {
        if begun.elapsed() > patience {
            return Ok(false);
        }
        std::thread::sleep(LOOK);
    }
    Ok(true)
}

/// Removes the cgroups of the lab, or of one node of it. They must be empty.
pub(super) fn remove(place: &Place, node: Option<&str>) -> Result<(), LabError> {
    // The deepest come last: a cgroup with others in it cannot be removed.
    for directory in directories(place, node)?.iter().rev() {
        let begun = Instant::now();
        // The kernel may need a moment after the last process has gone.
        while let Err(error) = fs::remove_dir(directory) {
            match error.kind() {
                io::ErrorKind::NotFound => break,
                io::ErrorKind::ResourceBusy if begun.elapsed() < PATIENCE => std::thread::sleep(LOOK),
                _ => return Err(LabError::io("remove the cgroup", directory)(error)),
            }
        }
    }
    Ok(())
}

/// The cgroups of the lab or of a node in all hierarchies, each before those in it.
fn directories(place: &Place, node: Option<&str>) -> Result<Vec<PathBuf>, LabError> {
    let mut found = Vec::new();
    for hierarchy in hierarchies()? {
        let lab = hierarchy.root.join(place.cgroup());
        let top = node.map_or(lab.clone(), |node| lab.join(node));
        let below = walkdir::WalkDir::new(top).into_iter().filter_map(Result::ok);
        found.extend(below.filter(|entry| entry.file_type().is_dir()).map(walkdir::DirEntry::into_path));
    }
    Ok(found)
}
