//! The state of a machine whose root is new at every boot: found or made on its disks, and bound to its places before any service starts.
//!
//! ```text
//! survey ─▶ choose ─▶ make a partition ─▶ make a file system ─▶ name it ─▶ check, mount, bind; keep the seed
//!    ▲                        │                    │               │
//!    └────────────────────────┴────────────────────┴───────────────┘  after each step one looks anew, as after a power cut
//! ```

mod bind;
pub mod choice;
pub mod device;
mod error;
mod make;
mod seed;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use choice::Choice;
pub use error::DataError;
use serde::{Deserialize, Serialize};

use super::{command, durable};
use crate::exit::Explain;

/// The label of the file system that holds a machine's state.
pub const LABEL: &str = "khimg-data";

/// Its label while it is being made.
pub const UNFINISHED: &str = "khimg-making";

/// The type of a partition that khimg made for it; a number of khimg's own.
pub const KIND: &str = "dc6d7a4e-7b52-4f0c-9a3b-6b68696d6764";

/// Where it is mounted.
const MOUNT: &str = "/run/khimg/data";

/// What came of it at this boot.
const REPORT: &str = "/run/khimg/data.json";

/// How long disks may take to appear before one that is empty is taken instead, or none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Steps from an empty disk to a mounted one, and one to spare.
const STEPS: usize = 4;

/// Where a machine that runs from an image has its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "place")]
pub enum Data {
    /// On a data partition.
    Partition {
        /// Its device at this boot.
        device: PathBuf,
        /// Where this boot's seed came from, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seed: Option<String>,
    },
    /// In memory: it is gone at the next boot.
    Memory {
        /// Why there is no other place.
        reason: String,
    },
    /// Nowhere: what needs it does not start.
    Failed {
        /// Why, outermost cause first.
        reason: Vec<String>,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// What came of it at this boot; none on a machine that does not run from an image.
pub fn read() -> Option<Data> {
    serde_json::from_slice(&fs::read(REPORT).ok()?).ok()
}

/// Finds or makes this machine's data partition and puts everything in its place. To be called once for each boot; later calls only
/// tell what came of it.
///
/// # Errors
/// What bears the name of a data partition cannot be one or is damaged; a step of making it failed; or there is none, and the kernel's
/// command line says `khimg.data=required`. No disk that holds anything else is changed.
pub fn data() -> Result<Data, DataError> {
    if let Some(known @ (Data::Partition { .. } | Data::Memory { .. })) = read() {
        return Ok(known);
    }
    let made = attach();
    let told = made.as_ref().map_or_else(failed, Clone::clone);
    let report = Path::new(REPORT);
    bind::directory(report.parent().unwrap_or(report), 0o700)?;
    let bytes = serde_json::to_vec(&told).unwrap_or_default();
    durable::write(report, 0o600, |file| std::io::Write::write_all(file, &bytes))?;
    made
}

fn failed(error: &DataError) -> Data {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    Data::Failed { reason: causes.map(ToString::to_string).collect(), hint: error.hint() }
}

fn attach() -> Result<Data, DataError> {
    let words = fs::read_to_string("/proc/cmdline").map_err(DataError::io("read", Path::new("/proc/cmdline")))?;
    let root = choice::root_of(&words);
    command::run(Command::new("udevadm").args(["settle", "--timeout=120"]))?;
    let mut choice = choice::choose(&device::survey()?, root)?;
    if !matches!(choice, Choice::Use(_) | Choice::Finish(_)) {
        // A controller may need its time, and the disk behind it may be the one.
        std::thread::sleep(PATIENCE);
        command::run(Command::new("udevadm").args(["settle", "--timeout=120"]))?;
        choice = choice::choose(&device::survey()?, root)?;
    }
    for _ in 0..STEPS {
        match &choice {
            Choice::Use(device) => return mount(device),
            Choice::Finish(device) => make::finish(device)?,
            Choice::Append(disk) => make::append(disk)?,
            Choice::Take(disk) => make::take(disk)?,
            Choice::Memory(reason) if choice::is_required(&words) => {
                return Err(DataError::NoPlace { reason: reason.clone() });
            }
            Choice::Memory(reason) => return Ok(Data::Memory { reason: reason.clone() }),
        }
        choice = choice::choose(&device::survey()?, root)?;
    }
    match choice {
        Choice::Use(device) | Choice::Finish(device) | Choice::Append(device) | Choice::Take(device) => {
            Err(DataError::Lost { device })
        }
        Choice::Memory(reason) => Err(DataError::NoPlace { reason }),
    }
}

/// Mounts the file system and binds what it holds.
fn mount(device: &Path) -> Result<Data, DataError> {
    // 1 is "was repaired" (e2fsck(8)), which is what it is called for.
    let mut check = Command::new("sh");
    check.args(["-c", r#"e2fsck -p "$1" || [ $? -lt 4 ]"#, "sh"]).arg(device);
    command::run(&mut check)
        .map_err(|source| DataError::Damaged { device: device.to_owned(), source: Box::new(source) })?;
    let place = Path::new(MOUNT);
    bind::directory(place, 0o700)?;
    command::run(Command::new("mount").args(["-t", "ext4", "-o", "noatime"]).arg(device).arg(place))?;
    identify(device)?;
    bind::bind(place)?;
    host_keys(place)?;
    let seed = seed::keep(place, &device::survey()?)?.map(str::to_owned);
    Ok(Data::Partition { device: device.to_owned(), seed })
}

/// Lets the machine be who it was, where the disk appeared too late for its initial file system to see to it.
fn identify(device: &Path) -> Result<(), DataError> {
    let told = command::run(Command::new("blkid").args(["-p", "-o", "value", "-s", "UUID"]).arg(device))?;
    let identity = format!("{}\n", told.trim().replace('-', ""));
    let place = Path::new("/etc/machine-id");
    if fs::read_to_string(place).is_ok_and(|known| known == identity) {
        return Ok(());
    }
    fs::write(place, identity).map_err(DataError::io("write", place))
}

/// The machine's ssh keys, made once. cloud-init leaves those alone that are there.
fn host_keys(data: &Path) -> Result<(), DataError> {
    let place = Path::new("/etc/ssh");
    if !command::exists("ssh-keygen") || !place.is_dir() {
        return Ok(());
    }
    let keys = data.join("ssh");
    bind::directory(&keys.join("etc/ssh"), 0o700)?;
    // Makes what is missing.
    command::run(Command::new("ssh-keygen").arg("-A").arg("-f").arg(&keys))?;
    let mut copy = Command::new("cp");
    copy.args(["--archive", "--no-target-directory"]).arg(keys.join("etc/ssh")).arg(place);
    command::run(&mut copy).map(drop)?;
    fs::set_permissions(place, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .map_err(DataError::io("open up", place))
}
