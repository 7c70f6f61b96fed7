//! Out of a root goes what time, chance and this machine left in it: what would differ between two of the same, and what two machines
//! must not have in common.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::error::ImageError;
use crate::node::imaged;
use crate::pack::Bundle;

/// Files and directories that go; of a directory, with a slash at its end, the content.
const TRACES: &[&str] = &[
    // Of the machine that the image is made on.
    "etc/hostname",
    // Where it is a link, resolvconf has set it.
    "etc/resolv.conf",
    "run/",
    "tmp/",
    "var/tmp/",
    // Made anew on each machine.
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/catalog/database",
    // Of the installation.
    "var/lib/apt/lists/",
    "var/cache/apt/",
    "var/cache/debconf/",
    "var/cache/ldconfig/",
    "var/log/",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/available-old",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/statoverride-old",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "etc/subuid-",
    "etc/subgid-",
    "etc/.pwd.lock",
    // Kernel and initial file system lie beside the root.
    "boot/",
    "vmlinuz",
    "vmlinuz.old",
    "initrd.img",
    "initrd.img.old",
];

/// What the rest of `TRACES` cannot name: by its directory, and how it begins.
const FAMILIES: &[(&str, &str)] = &[("etc/ssh", "ssh_host_")];

/// Tidies `root`, in which `bundle` is installed.
pub(super) fn tidy(root: &Path, bundle: &Bundle) -> Result<(), ImageError> {
    imaged::settle(root, &bundle.sha256)?;
    for trace in TRACES {
        let path = root.join(trace);
        match trace.strip_suffix('/') {
            Some(_) => clear(&path)?,
            None if *trace == "etc/resolv.conf" && path.is_symlink() => {}
            None => remove(&path)?,
        }
    }
    for (directory, begin) in FAMILIES {
        for (name, path) in entries(&root.join(directory))? {
            if name.starts_with(begin) {
                remove(&path)?;
            }
        }
    }
    // Empty, so that systemd makes one at boot and does not take it for the first boot ever (machine-id(5)).
    let machine_id = root.join("etc/machine-id");
    let emptied =
        fs::write(&machine_id, "").and_then(|()| fs::set_permissions(&machine_id, Permissions::from_mode(0o444)));
    emptied.map_err(ImageError::io("write", &machine_id))?;
    // Python writes them when it likes to, with times in them.
    for entry in walkdir::WalkDir::new(root.join("usr")).into_iter().filter_map(Result::ok) {
        if entry.file_type().is_dir() && entry.file_name() == "__pycache__" {
            remove(entry.path())?;
        }
    }
    Ok(())
}

/// The entries of a directory, with their names; none where there is no such directory.
fn entries(directory: &Path) -> Result<Vec<(String, std::path::PathBuf)>, ImageError> {
    match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| {
                let entry = entry.map_err(ImageError::io("read", directory))?;
                Ok((entry.file_name().to_string_lossy().into_owned(), entry.path()))
            })
            .collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(ImageError::io("read", directory)(error)),
    }
}

fn clear(directory: &Path) -> Result<(), ImageError> {
    entries(directory)?.into_iter().try_for_each(|(_, path)| remove(&path))
}

/// Removes whatever stands at `path`, if anything does. A link goes, not what it leads to.
fn remove(path: &Path) -> Result<(), ImageError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(ImageError::io("remove", path))
}
