//! Kernel parameters that are the whole machine's and that nodes set: kept when the first lab begins, put back when the last
//! one ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::place::Place;

/// What kubelets and the bundles' `sysctl.d` set outside the network's own namespace, below `/proc/sys`.
const PARAMETERS: [&str; 8] = [
    "fs/inotify/max_user_instances",
    "fs/inotify/max_user_watches",
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
];

/// Gone with the next boot, as the parameters are.
const KEPT: &str = "/run/khimg-lab-kernel.json";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// Ids of the labs that are up.
    labs: BTreeSet<String>,
    /// The values before the first of them.
    values: BTreeMap<String, String>,
}

/// Remembers how this machine is set.
pub(super) fn keep(place: &Place) -> Result<(), LabError> {
    change(|kept| {
        if kept.labs.is_empty() {
            let read = |name: &&str| Some(((*name).to_owned(), fs::read_to_string(path(name)).ok()?.trim().to_owned()));
            kept.values = PARAMETERS.iter().filter_map(read).collect();
        }
        kept.labs.insert(place.id().to_owned());
        Ok(())
    })
}

/// Sets this machine as it was, if no other lab is up.
pub(super) fn restore(place: &Place) -> Result<(), LabError> {
    change(|kept| {
        if kept.labs.remove(place.id()) && kept.labs.is_empty() {
            for (name, value) in std::mem::take(&mut kept.values) {
                let path = path(&name);
                let now = fs::read_to_string(&path).unwrap_or_default();
                if now.trim() != value {
                    fs::write(&path, &value).map_err(LabError::io("restore", path.as_ref()))?;
                }
            }
        }
        Ok(())
    })
}

fn path(name: &str) -> String {
    format!("/proc/sys/{name}")
}

/// One at a time reads what is kept, changes it and writes it back.
fn change(change: impl FnOnce(&mut Kept) -> Result<(), LabError>) -> Result<(), LabError> {
    let path = Path::new(KEPT);
    let file = File::options().create(true).truncate(false).read(true).write(true).open(path);
    let file = file.map_err(LabError::io("open", path))?;
    file.lock().map_err(LabError::io("lock", path))?;
    let mut kept: Kept = serde_json::from_reader(&file).unwrap_or_default();
    change(&mut kept)?;
    let text = serde_json::to_vec(&kept).map_err(|error| LabError::io("write", path)(error.into()))?;
    // Through the same file, because the lock is on it.
    fs::write(path, text).map_err(LabError::io("write", path))
}
