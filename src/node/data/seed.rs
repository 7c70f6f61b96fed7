//! A machine's seed, kept on its data partition. It is handed out once; the root is new at every boot and knows nothing of it.
//!
//! A seed on a disc counts more than one from the network, and that one more than the one that was kept: whoever gives a machine a new
//! seed wants it to count. It is kept before cloud-init begins, so that a power cut in the middle of it costs no seed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::bind::directory;
use super::device::{Device, labelled};
use super::error::DataError;
use crate::input;
use crate::node::command;

/// Where cloud-init looks for a seed before it looks anywhere else (`DataSourceNoCloud`).
const OFFERED: &str = "/var/lib/cloud/seed/nocloud";

/// Where a disc is read.
const DISC: &str = "/run/khimg/disc";

/// The files of a seed; the first two make it one.
const FILES: [&str; 4] = ["user-data", "meta-data", "network-config", "vendor-data"];

/// Largest file of a seed: 16 MiB.
const MAX_FILE: u64 = 16 << 20;

/// Whether `place` holds a seed.
fn is_seed(place: &Path) -> bool {
    FILES.iter().take(2).all(|name| place.join(name).is_file())
}

/// Brings the seed that counts to where cloud-init looks, and keeps it below `data`. Says where it came from.
pub(super) fn keep(data: &Path, devices: &[Device]) -> Result<Option<&'static str>, DataError> {
    let (offered, kept) = (Path::new(OFFERED), data.join("seed"));
    if from_disc(devices, offered)? {
        store(offered, &kept)?;
        return Ok(Some("disc"));
    }
    if is_seed(offered) {
        store(offered, &kept)?;
        return Ok(Some("network"));
    }
    if is_seed(&kept) {
        store(&kept, offered)?;
        return Ok(Some("data partition"));
    }
    Ok(None)
}

/// Copies the seed of a disc that is labelled for cloud-init.
fn from_disc(devices: &[Device], offered: &Path) -> Result<bool, DataError> {
    for disc in labelled(devices, &["cidata", "CIDATA"]) {
        let place = Path::new(DISC);
        directory(place, 0o700)?;
        let mut mount = Command::new("mount");
        // cloud-init looks at the disc itself, too, and says what it does not like about it.
        if command::run(mount.args(["-o", "ro,nodev,nosuid,noexec"]).arg(&disc.path).arg(place)).is_err() {
            continue;
        }
        let copied = if is_seed(place) { store(place, offered).map(|()| true) } else { Ok(false) };
        command::run(Command::new("umount").arg(place))?;
        if copied? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Copies a seed: whole or not at all, and what was there before stays until then.
fn store(from: &Path, to: &Path) -> Result<(), DataError> {
    let new = beside(to);
    let failed = DataError::io("write", to);
    clear(&new).map_err(&failed)?;
    directory(&new, 0o700)?;
    for name in FILES {
        let source = from.join(name);
        let bytes = match input::read(&source, MAX_FILE) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(DataError::io("read", &source)(error)),
        };
        let file = File::options().write(true).create_new(true).mode(0o600).open(new.join(name));
        file.and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all())).map_err(&failed)?;
    }
    flush(&new).map_err(&failed)?;
    let swapped = match renameat_with(CWD, &new, CWD, to, RenameFlags::EXCHANGE) {
        Err(rustix::io::Errno::NOENT) => fs::rename(&new, to),
        other => other.map_err(Into::into),
    };
    swapped.and_then(|()| to.parent().map_or(Ok(()), flush)).and_then(|()| clear(&new)).map_err(failed)
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn clear(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn flush(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_seed_is_replaced_whole() {
        let folder = tempfile::tempdir().expect("a directory");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir(&from).expect("a directory");
        assert!(!is_seed(&from));
        for name in FILES {
            fs::write(from.join(name), format!("first {name}")).expect("written");
        }
        store(&from, &to).expect("copied");
        fs::remove_file(from.join("vendor-data")).expect("removed");
        fs::write(from.join("user-data"), "second").expect("written");
        // What a power cut left.
        fs::create_dir(to.with_extension("new")).expect("a directory");
        fs::write(to.with_extension("new").join("user-data"), "half").expect("written");
        store(&from, &to).expect("copied");
        assert!(is_seed(&to) && !to.join("vendor-data").exists() && !to.with_extension("new").exists());
        assert_eq!(fs::read_to_string(to.join("user-data")).expect("there"), "second");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&to), mode(&to.join("user-data"))), (0o700, 0o600));
    }
}
