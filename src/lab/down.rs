//! The end of a lab. It needs nothing but the lab's place: whatever became of the khimg that made it, all of it is found.

use std::path::Path;

use rustix::process::getuid;

use super::error::LabError;
use super::place::{self, Place};
use super::{boot, cgroup, kernel, mounts, network};

/// Ends every process of a lab and removes all of it.
///
/// # Errors
/// There is none, or something of it does not go; then the same again is worth a try.
pub fn down(labs: &Path, name: &str) -> Result<(), LabError> {
    if !getuid().is_root() {
        return Err(LabError::NotRoot);
    }
    let place = Place::new(labs, name)?;
    let _exclusive = place.lock()?;
    if !place.directory().exists() {
        return Err(LabError::NoLab { name: name.to_owned(), path: place.labs().to_owned() });
    }
    if !place.record().exists() && !is_empty(place.directory()) {
        let reason = "it has no record of one".to_owned();
        return Err(LabError::Foreign { path: place.directory().to_owned(), reason });
    }
    clear(&place)
}

/// Removes whatever there is of a lab, as far as it ever came.
pub(super) fn clear(place: &Place) -> Result<(), LabError> {
    cgroup::kill(place, None)?;
    cgroup::remove(place, None)?;
    network::remove(place)?;
    mounts::remove_below(place.directory())?;
    kernel::restore(place)?;
    for index in 0..boot::MOST_NODES {
        boot::forget(&place.machine(index));
    }
    // The record last: as long as anything is left, it is known whose it is.
    for name in ["nodes", "seeds", "depot"] {
        place::remove(&place.directory().join(name))?;
    }
    place::remove(place.directory())
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}
