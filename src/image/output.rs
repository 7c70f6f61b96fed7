//! Where images stand: each in a directory that appears whole, in one step.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::error::ImageError;
use super::{Part, SUMS};
use crate::digest::Digest;

/// What an image is made in, beside its place. Whoever finds it with the lock free removes it.
const WORK: &str = ".khimg-image";

/// An image in the making; all of it vanishes when this is dropped.
pub(super) struct Staging {
    work: PathBuf,
    place: PathBuf,
    /// One at a time in one output directory.
    _lock: File,
}

impl Staging {
    /// Begins an image that will stand at `out`/`name`. Waits for another one in `out` to end.
    pub(super) fn begin(out: &Path, name: &str) -> Result<Self, ImageError> {
        fs::create_dir_all(out).map_err(ImageError::io("create", out))?;
        let out = out.canonicalize().map_err(ImageError::io("find", out))?;
        let place = out.join(name);
        if place.symlink_metadata().is_ok() && !place.join(SUMS).is_file() {
            return Err(ImageError::Occupied { path: place });
        }
        let lock = File::open(&out).map_err(ImageError::io("open", &out))?;
        lock.lock().map_err(ImageError::io("lock", &out))?;
        let work = out.join(WORK);
        remove(&work)?;
        // Nobody else may look: a half-made root has files of all kinds.
        DirBuilder::new().mode(0o700).create(&work).map_err(ImageError::io("create", &work))?;
        let staging = Self { place, work, _lock: lock };
        let new = staging.work_path("new");
        DirBuilder::new().mode(0o755).create(&new).map_err(ImageError::io("create", &new))?;
        fs::set_permissions(&new, Permissions::from_mode(0o755)).map_err(ImageError::io("set up", &new))?;
        Ok(staging)
    }

    /// A place for work.
    pub(super) fn work_path(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// A new directory for work.
    pub(super) fn work(&self, name: &str) -> Result<PathBuf, ImageError> {
        let path = self.work_path(name);
        fs::create_dir(&path).map_err(ImageError::io("create", &path))?;
        fs::set_permissions(&path, Permissions::from_mode(0o755)).map_err(ImageError::io("set up", &path))?;
        Ok(path)
    }

    /// Where a file of the image is written.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.work_path("new").join(name)
    }

    /// Takes a file for one of the image's.
    pub(super) fn keep(&self, from: &Path, name: &str) -> Result<Part, ImageError> {
        let path = self.path(name);
        fs::copy(from, &path).map_err(ImageError::io("write", &path))?;
        self.part(name)
    }

    /// Writes a text as one of the image's files.
    pub(super) fn text(&self, name: &str, text: &str) -> Result<Part, ImageError> {
        let path = self.path(name);
        fs::write(&path, text).map_err(ImageError::io("write", &path))?;
        self.part(name)
    }

    /// Completes a file: its mode, on the disk, its digest.
    pub(super) fn part(&self, name: &str) -> Result<Part, ImageError> {
        let path = self.path(name);
        let file = File::open(&path).map_err(ImageError::io("open", &path))?;
        file.set_permissions(Permissions::from_mode(0o644)).map_err(ImageError::io("set up", &path))?;
        let (sha256, size) = Digest::of_reader(&file).map_err(ImageError::io("read", &path))?;
        file.sync_all().map_err(ImageError::io("flush", &path))?;
        Ok(Part { size, sha256 })
    }

    /// Puts the image at its place, where a former one may stand.
    pub(super) fn commit(self) -> Result<PathBuf, ImageError> {
        let new = self.work_path("new");
        let placed = ImageError::io("put the image at", &self.place);
        match renameat_with(CWD, &new, CWD, &self.place, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            Err(rustix::io::Errno::NOENT) => fs::rename(&new, &self.place).map_err(placed)?,
            Err(error) => return Err(placed(error.into())),
        }
        Ok(self.place.clone())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Nobody waits for the outcome: what stays is removed by the next one.
        let _ = remove(&self.work);
    }
}

fn remove(path: &Path) -> Result<(), ImageError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(ImageError::io("remove", path)(error)),
        _ => Ok(()),
    }
}
