//! Making a data partition, in steps that can be cut off anywhere: what was begun is found and gone on with at the next boot.
//!
//! A partition of khimg's type appears in one write of the table (the copy at the end of the disk first, as libfdisk does it). Its file
//! system is made under another name and gets its own last, by one write of one sector: what bears that name is whole.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::DataError;
use super::{KIND, LABEL, UNFINISHED};
use crate::node::command;

/// The partition's name, for people.
const NAME: &str = LABEL;

/// Adds a partition to a disk with a table of partitions.
pub(super) fn append(disk: &Path) -> Result<(), DataError> {
    partition(disk, &["--append"], "")
}

/// Gives an empty disk a table with one partition.
pub(super) fn take(disk: &Path) -> Result<(), DataError> {
    partition(disk, &[], "label: gpt\n")
}

fn partition(disk: &Path, how: &[&str], header: &str) -> Result<(), DataError> {
    let failed = DataError::io("hand to sfdisk", disk);
    let mut script = tempfile::tempfile().map_err(&failed)?;
    writeln!(script, "{header}type={KIND}, name=\"{NAME}\"").map_err(&failed)?;
    std::io::Seek::rewind(&mut script).map_err(&failed)?;
    let mut sfdisk = Command::new("sfdisk");
    // The kernel is told by partx: it would not read the whole table anew while the root is in use.
    sfdisk.args(["--quiet", "--no-reread", "--no-tell-kernel", "--wipe-partitions", "always"]).args(how).arg(disk);
    command::run_with(&mut sfdisk, Stdio::from(script))?;
    command::run(Command::new("partx").arg("--update").arg(disk))?;
    settle(disk)
}

/// Makes the file system on a partition of khimg's. Its identity is that of the machine: so a machine that boots anew knows who it
/// was before it has mounted anything.
pub(super) fn finish(device: &Path) -> Result<(), DataError> {
    let mut mkfs = Command::new("mkfs.ext4");
    mkfs.args(["-q", "-F", "-m", "1", "-L", UNFINISHED]);
    if let Some(identity) = machine_id() {
        mkfs.args(["-U", &identity]);
    }
    command::run(mkfs.arg(device))?;
    command::run(Command::new("sync").arg(device))?;
    command::run(Command::new("e2label").arg(device).arg(LABEL))?;
    command::run(Command::new("sync").arg(device))?;
    settle(device)
}

/// The machine's identity in the form of a UUID.
fn machine_id() -> Option<String> {
    let text = fs::read_to_string("/etc/machine-id").ok()?;
    let id = text.trim();
    let sound = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let part = |from: usize, to: usize| id.get(from..to);
    sound.then(|| Some([part(0, 8)?, part(8, 12)?, part(12, 16)?, part(16, 20)?, part(20, 32)?].join("-")))?
}

/// Waits until udev has looked at what was changed.
fn settle(device: &Path) -> Result<(), DataError> {
    command::run(Command::new("udevadm").args(["trigger", "--action=change", "--settle"]).arg(device))?;
    command::run(Command::new("udevadm").args(["settle", "--timeout=60"]))?;
    Ok(())
}
