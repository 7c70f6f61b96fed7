//! Directories of the store: mode 0755 whatever the umask, and durable once something was renamed into them.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::StoreError;

/// Makes `root` and every part of `below` in it. Only what is new gets its mode set.
pub(super) fn create(root: &Path, below: &Path) -> Result<PathBuf, StoreError> {
    let target = if below.as_os_str().is_empty() { root.to_path_buf() } else { root.join(below) };
    if target.is_dir() {
        return Ok(target);
    }
    let mut missing: Vec<&Path> = target.ancestors().take_while(|path| !path.is_dir()).collect();
    while let Some(path) = missing.pop() {
        match fs::create_dir(path) {
            Ok(()) => {
                fs::set_permissions(path, Permissions::from_mode(0o755))
                    .map_err(|e| StoreError::io("set up", path, e))?;
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            Err(e) => return Err(StoreError::io("create", path, e)),
        }
    }
    Ok(target)
}

/// Removes everything in `path`. What vanishes meanwhile is no error.
pub(super) fn clear(path: &Path) -> Result<(), StoreError> {
    for entry in entries(path)? {
        remove(&entry)?;
    }
    Ok(())
}

/// The paths of all entries of a directory, sorted.
pub(super) fn entries(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(|e| StoreError::io("read", path, e))? {
        found.push(entry.map_err(|e| StoreError::io("read", path, e))?.path());
    }
    found.sort();
    Ok(found)
}

/// Removes a file or a whole directory; says whether it was there.
pub(super) fn remove(path: &Path) -> Result<bool, StoreError> {
    let is_directory = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    let removed = if is_directory { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(StoreError::io("remove", path, e)),
    }
}

/// Makes renames into `path` survive a loss of power.
pub(super) fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(|e| StoreError::io("sync", path, e))
}
