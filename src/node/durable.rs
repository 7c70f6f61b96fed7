//! Files that survive a power cut whole: written beside their place, flushed, moved over it, and the move flushed.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::NodeError;

/// The one name for what is not yet in its place. One process works on a node at a time, and a later run writes over what an
/// interrupted one left.
const NEW: &str = ".khimg.new";

/// Where the next file for `path` is prepared.
pub(super) fn beside(path: &Path) -> PathBuf {
    path.with_file_name(NEW)
}

/// Makes a directory and those above it, mode 0755 whatever the mask; leaves those alone that exist.
pub(super) fn directory(path: &Path) -> Result<(), NodeError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        directory(parent)?;
    }
    let failed = NodeError::io("make directory", path);
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    fs::set_permissions(path, Permissions::from_mode(0o755)).and_then(|()| flush_parent(path)).map_err(failed)
}

/// Replaces or makes the file `path`.
pub(super) fn write(path: &Path, mode: u32, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), NodeError> {
    let new = beside(path);
    let made = (|| {
        clear(&new)?;
        // Nobody else reads what may be secret, not even for a moment.
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
        fill(&mut file)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.flush()?;
        file.sync_all()
    })();
    made.map_err(NodeError::io("write", path))?;
    rename(&new, path)
}

/// Moves `from` over `to`, for good.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), NodeError> {
    fs::rename(from, to).and_then(|()| flush_parent(to)).map_err(NodeError::io("put in place", to))
}

/// Removes a file, a link, or a directory with all that is in it, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), NodeError> {
    clear(path).map_err(NodeError::io("remove", path))
}

fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
    }?;
    flush_parent(path)
}

/// Flushes the directory that `path` stands in.
pub(super) fn flush_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
