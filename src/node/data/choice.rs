//! Which partition or disk is to hold a machine's state: a function of what its disks are described as, and of nothing else.
//!
//! ```text
//! a file system labelled khimg-data      one: that is it. Several: nothing is done.
//! a partition of khimg's, unfinished     one: it is finished, for it has never held anything
//! the disk that the root came from       has room behind its partitions: one is added
//! a disk that is proven empty            exactly one: it gets a partition
//! else                                   memory, and everybody is told
//! ```

use std::path::PathBuf;

use super::device::{Device, labelled};
use super::error::DataError;
use super::{KIND, LABEL, UNFINISHED};

/// With less room than this, a partition is of no use: 1 GiB.
const LEAST: u64 = 1 << 30;

/// At the end of a disk there is the copy of its table of partitions, and partitions begin at whole megabytes.
const MARGIN: u64 = 2 << 20;

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This file system holds the state.
    Use(PathBuf),
    /// This partition is khimg's own and has no file system yet.
    Finish(PathBuf),
    /// This disk, the one of the root, gets one more partition.
    Append(PathBuf),
    /// This disk, which is empty, gets a partition.
    Take(PathBuf),
    /// There is no place, and this is why.
    Memory(String),
}

/// Decides. `root` is the identity of the partition that the root came from, if it came from one.
///
/// # Errors
/// More than one file system or partition that is khimg's, or one with something else on it: a machine must not forget what it
/// was because of that.
pub fn choose(devices: &[Device], root: Option<&str>) -> Result<Choice, DataError> {
    let ours: Vec<&Device> =
        labelled(devices, &[LABEL]).into_iter().filter(|device| device.fstype.as_deref() == Some("ext4")).collect();
    let made: Vec<&Device> = devices.iter().flat_map(Device::all).filter(|device| is_made(device)).collect();
    match (&ours[..], &made[..]) {
        ([one], _) => return Ok(Choice::Use(one.path.clone())),
        ([], []) => {}
        ([], [one]) if is_unfinished(one) => return Ok(Choice::Finish(one.path.clone())),
        ([], [one]) => {
            let found = one.fstype.as_deref().unwrap_or("something that is mounted");
            return Err(DataError::Foreign { device: shown(one), found: found.to_owned() });
        }
        ([], several) | (several, _) => {
            return Err(DataError::Several { names: several.iter().map(|device| shown(device)).collect() });
        }
    }
    let of_root = devices.iter().find(|disk| root.is_some_and(|root| disk.children.iter().any(|part| is(part, root))));
    if let Some(disk) = of_root.filter(|disk| disk.is_fixed() && disk.pttype.as_deref() == Some("gpt"))
        && room(disk) >= LEAST
    {
        return Ok(Choice::Append(disk.path.clone()));
    }
    let empty: Vec<&Device> = devices.iter().filter(|disk| is_empty(disk) && disk.size >= LEAST).collect();
    match &empty[..] {
        [one] => Ok(Choice::Take(one.path.clone())),
        [] => Ok(Choice::Memory("no disk is empty, and no file system is labelled for it".to_owned())),
        several => {
            let names: Vec<String> = several.iter().map(|device| shown(device)).collect();
            Ok(Choice::Memory(format!("{} are all empty, and nothing says which", names.join(" and "))))
        }
    }
}

fn shown(device: &Device) -> String {
    device.path.display().to_string()
}

fn is(partition: &Device, identity: &str) -> bool {
    partition.partuuid.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(identity))
}

/// A partition that khimg made.
fn is_made(device: &Device) -> bool {
    device.parttype.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case(KIND))
}

/// The power failed before its file system got its name.
fn is_unfinished(device: &Device) -> bool {
    let half = device.fstype.as_deref() == Some("ext4") && device.label.as_deref() == Some(UNFINISHED);
    !device.is_mounted() && device.children.is_empty() && (half || device.fstype.is_none())
}

/// Nothing known is on it, and nothing unknown either.
fn is_empty(disk: &Device) -> bool {
    let bare = disk.fstype.is_none() && disk.label.is_none() && disk.pttype.is_none() && disk.children.is_empty();
    disk.blank && bare && disk.is_fixed() && !disk.is_mounted()
}

/// Bytes behind the last partition of a disk.
fn room(disk: &Device) -> u64 {
    let end = |part: &Device| part.start.unwrap_or(u64::MAX / 512).saturating_mul(512).saturating_add(part.size);
    let last = disk.children.iter().map(end).max().unwrap_or(0);
    disk.size.saturating_sub(last).saturating_sub(MARGIN)
}

/// The partition that the kernel was told to take its root from.
pub fn root_of(command_line: &str) -> Option<&str> {
    command_line.split_whitespace().find_map(|word| word.strip_prefix("khimg.root=PARTUUID="))
}

/// Whether a machine without a place for its state must not go on.
pub fn is_required(command_line: &str) -> bool {
    command_line.split_whitespace().any(|word| word == "khimg.data=required")
}

#[cfg(test)]
mod tests;
