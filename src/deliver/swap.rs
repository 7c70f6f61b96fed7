//! A directory that is written beside its place and then put there in one step.
//!
//! Until that step the old directory stands untouched; after it, the new one is whole. Whoever dies in between leaves a
//! hidden sibling, which the next delivery removes.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::error::DeliverError;
use super::manifest::{BUNDLES, KIND, MANIFEST, PUBLIC, SECRET};

/// A manifest of more bytes than this is not one of ours.
const MOST_MANIFEST: u64 = 64 << 20;

/// A directory in the making. Dropped without [`Staging::commit`], it vanishes; dropped after it, the former one does.
pub(super) struct Staging {
    /// Where it will stand.
    place: PathBuf,
    /// Where it is written.
    new: PathBuf,
    /// Locked as long as this delivery lasts: one at a time below one parent. A lock on the directory leaves no file behind.
    _parent: File,
}

impl Staging {
    /// Begins to write what will stand at `out`. Waits for another delivery below the same parent to end.
    pub(super) fn begin(out: &Path) -> Result<Self, DeliverError> {
        let place = resolve(out)?;
        let (Some(parent), Some(name)) = (place.parent(), place.file_name().and_then(|name| name.to_str())) else {
            return Err(DeliverError::Place { path: place });
        };
        let (new, old) = (parent.join(format!(".{name}.khimg-new")), parent.join(format!(".{name}.khimg-old")));
        let lock = File::open(parent).map_err(DeliverError::io("open", parent))?;
        lock.lock().map_err(DeliverError::io("lock", parent))?;
        if !exists(&place)? && exists(&old)? {
            // A build died between the two steps of the slow way, see `commit`.
            fs::rename(&old, &place).map_err(DeliverError::io("restore", &place))?;
        }
        check_is_ours(&place)?;
        // We hold the lock, so whoever made these is dead.
        for stale in [&new, &old] {
            remove(stale)?;
        }
        let staging = Self { place, new, _parent: lock };
        staging.directory(Path::new(""), 0o755)?;
        Ok(staging)
    }

    /// What stands at the place now, if anything does.
    pub(super) fn previous(&self, below: &str) -> PathBuf {
        self.place.join(below)
    }

    /// Where a file of the new directory is written. After [`Staging::commit`] the former directory is there, if it was exchanged.
    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.new.join(below)
    }

    /// Makes a directory with exactly this mode, and those above it.
    pub(super) fn directory(&self, below: &Path, mode: u32) -> Result<(), DeliverError> {
        let path = self.new.join(below);
        if let Some(parent) = below.parent().filter(|_| !exists(&path).unwrap_or(false)) {
            self.directory(parent, mode)?;
        }
        match DirBuilder::new().mode(mode).create(&path) {
            // The umask took bits away.
            Ok(()) => {
                fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(DeliverError::io("set up", &path))
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(DeliverError::io("create", &path)(e)),
        }
    }

    /// Makes an empty file with exactly this mode.
    pub(super) fn file(&self, below: &str, mode: u32) -> Result<File, DeliverError> {
        let path = self.path(below);
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(mode).open(&path);
        let file = opened.map_err(DeliverError::io("create", &path))?;
        file.set_permissions(Permissions::from_mode(mode)).map_err(DeliverError::io("set up", &path))?;
        Ok(file)
    }

    /// Where the directory will stand, or stands.
    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// Puts the directory at its place. What stood there is at [`Staging::path`], if anywhere, until it is cleared.
    pub(super) fn commit(&self) -> Result<(), DeliverError> {
        let (new, place) = (&self.new, &self.place);
        let placed = DeliverError::io("put the new directory at", place);
        match renameat_with(CWD, new, CWD, place, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            Err(rustix::io::Errno::NOENT) => fs::rename(new, place).map_err(placed)?,
            // Not every file system can exchange. In two steps there is a moment without either; `begin` mends a death in it.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                let old = new.with_extension("khimg-old");
                fs::rename(place, &old).map_err(DeliverError::io("put aside", place))?;
                fs::rename(new, place).map_err(placed)?;
                remove(&old)?;
            }
            Err(e) => return Err(placed(e.into())),
        }
        Ok(())
    }

    /// Removes what lies beside the place: before [`Staging::commit`] the new directory, after it the former one.
    pub(super) fn clear(&self) {
        // The former bundles go first, at the same time: freeing a large file takes as long as a third of writing it.
        let bundles = fs::read_dir(self.new.join(PUBLIC).join(BUNDLES)).into_iter().flatten().flatten();
        let bundles: Vec<PathBuf> = bundles.map(|entry| entry.path()).collect();
        bundles.par_iter().for_each(|bundle| drop(fs::remove_file(bundle)));
        // Nobody waits for the outcome: what stays is removed by the next delivery.
        let _ = fs::remove_dir_all(&self.new);
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The place behind links, so that a link to a directory is followed rather than replaced.
fn resolve(out: &Path) -> Result<PathBuf, DeliverError> {
    match fs::canonicalize(out) {
        Ok(place) => return Ok(place),
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(DeliverError::io("find", out)(e)),
    }
    let absolute = std::path::absolute(out).map_err(DeliverError::io("find", out))?;
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(DeliverError::Place { path: absolute });
    };
    fs::create_dir_all(parent).map_err(DeliverError::io("create", parent))?;
    Ok(fs::canonicalize(parent).map_err(DeliverError::io("find", parent))?.join(name))
}

/// Refuses to replace what khimg did not write: only an empty directory or a former delivery may stand there.
fn check_is_ours(place: &Path) -> Result<(), DeliverError> {
    let foreign = |reason: &str| DeliverError::NotADist { path: place.to_path_buf(), reason: reason.to_owned() };
    match fs::symlink_metadata(place) {
        Ok(found) if !found.is_dir() => return Err(foreign("it is no directory")),
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(DeliverError::io("read", place)(e)),
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(place).map_err(DeliverError::io("read", place))? {
        names.push(entry.map_err(DeliverError::io("read", place))?.file_name());
    }
    if names.is_empty() {
        return Ok(());
    }
    names.sort();
    if let Some(other) = names.iter().find(|name| *name != PUBLIC && *name != SECRET) {
        return Err(foreign(&format!("it holds {}", other.display())));
    }
    match read_manifest(&place.join(PUBLIC).join(MANIFEST)) {
        Ok(manifest) if manifest.kind == KIND => Ok(()),
        Ok(_) => Err(foreign("its public/manifest.json is of another kind")),
        Err(e) => Err(foreign(&format!("its public/manifest.json cannot be read ({e})"))),
    }
}

/// Only the mark: a later khimg's manifest may have keys that this one does not know.
#[derive(serde::Deserialize)]
struct Mark {
    kind: String,
}

fn read_manifest(path: &Path) -> io::Result<Mark> {
    let file = File::open(path)?;
    let text = io::read_to_string(io::Read::take(file, MOST_MANIFEST))?;
    Ok(serde_json::from_str(&text)?)
}

fn exists(path: &Path) -> Result<bool, DeliverError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(DeliverError::io("read", path)(e)),
    }
}

fn remove(path: &Path) -> Result<(), DeliverError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).map_err(DeliverError::io("remove", path)),
        Ok(_) => fs::remove_file(path).map_err(DeliverError::io("remove", path)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(DeliverError::io("read", path)(e)),
    }
}
