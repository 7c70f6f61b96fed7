//! Files of a bundle in their places, and what stood there before kept.
//!
//! ```text
//! saved/<bundle>/files/<path>    what stood at <path>
//! saved/<bundle>/absent/<path>   nothing stood there
//! saved/<bundle>/edited/<path>   somebody changed the bundle's file after it had been installed
//! original/…                     the same for the time before the first of all bundles
//! ```
//!
//! Of each path the first state is kept and never written over, so a change that was cut off and begun again still leads back.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::{PermissionsExt, fchown, lchown, symlink};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::durable;
use super::error::NodeError;
use super::state::State;
use super::unpack::Unpacked;
use crate::digest::{Digest, HashingReader};
use crate::pack::What;

/// Where a bundle keeps the files for the node.
const ROOTFS: &str = "rootfs";

/// What is to stand at a path.
pub(super) struct Wanted<'a> {
    /// The path on the node, with its leading `/`.
    pub(super) path: &'a str,
    what: &'a What,
    source: PathBuf,
}

impl Wanted<'_> {
    /// What is on record for it.
    pub(super) fn digest(&self) -> Digest {
        match self.what {
            What::File { sha256, .. } => *sha256,
            What::Link { target } => Digest::of(target.as_bytes()),
            What::Directory => Digest::of(&[]),
        }
    }
}

/// The files and links of a bundle. Its directories come with them.
pub(super) fn wanted(bundle: &Unpacked) -> impl Iterator<Item = Wanted<'_>> {
    bundle.members.iter().filter(|member| member.what != What::Directory).filter_map(|member| {
        let path = member.path.strip_prefix(ROOTFS).filter(|path| path.starts_with('/'))?;
        Some(Wanted { path, what: &member.what, source: bundle.path.join(&member.path) })
    })
}

/// The node's files, and where those are kept that make way.
pub(super) struct Places {
    /// The node's root directory: `/`, but for tests.
    root: PathBuf,
    saved: PathBuf,
    original: PathBuf,
}

impl Places {
    /// Those of this machine, while a bundle comes or goes.
    pub(super) fn new(state: &State, bundle: &Digest) -> Self {
        Self { root: PathBuf::from("/"), saved: state.saved(bundle), original: state.original() }
    }

    fn on_node(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Puts one file in its place, if it is not there already. Says whether anything changed.
    pub(super) fn put(&self, wanted: &Wanted<'_>) -> Result<bool, NodeError> {
        let place = self.on_node(wanted.path);
        let present = occupied(&place)?;
        if present && is_as_wanted(&place, wanted.what).map_err(NodeError::io("read", &place))? {
            return Ok(false);
        }
        self.keep(wanted.path, &place, present)?;
        if let Some(parent) = place.parent() {
            durable::directory(parent)?;
        }
        match wanted.what {
            What::Directory => {}
            What::Link { target } => {
                let new = durable::beside(&place);
                durable::remove(&new)?;
                symlink(target, &new).map_err(NodeError::io("write", &place))?;
                durable::rename(&new, &place)?;
            }
            What::File { mode, sha256, .. } => {
                let mut source =
                    HashingReader::new(File::open(&wanted.source).map_err(NodeError::io("open", &wanted.source))?);
                // Proven before it is moved into place.
                let mut actual = None;
                let written = durable::write(&place, *mode, |file| {
                    io::copy(&mut source, file)?;
                    let found = source.finish();
                    actual = Some(found);
                    if found == *sha256 { Ok(()) } else { Err(io::Error::from(io::ErrorKind::InvalidData)) }
                });
                if let Some(actual) = actual.filter(|actual| actual != sha256) {
                    durable::remove(&durable::beside(&place))?;
                    return Err(NodeError::Damaged { path: wanted.source.clone(), expected: *sha256, actual });
                }
                written?;
            }
        }
        Ok(true)
    }

    /// Takes a file of the bundle before away, and puts back what stood there before any bundle. Says whether anything changed.
    pub(super) fn withdraw(&self, path: &str) -> Result<bool, NodeError> {
        let (place, original) = (self.on_node(path), kept(&self.original, "files", path));
        let present = occupied(&place)?;
        if is_there(&original) {
            if present && is_same(&original, &place).map_err(NodeError::io("compare", &place))? {
                return Ok(false);
            }
            self.keep(path, &place, present)?;
            copy(&original, &place)?;
        } else if present {
            self.keep(path, &place, present)?;
            durable::remove(&place)?;
        }
        Ok(present)
    }

    /// Keeps what stands at a place before it is replaced for the first time; later states are somebody's changes.
    fn keep(&self, path: &str, place: &Path, present: bool) -> Result<(), NodeError> {
        let is_known = |kept_in: &Path| ["files", "absent"].iter().any(|kind| is_there(&kept(kept_in, kind, path)));
        let was_known = is_known(&self.saved);
        for kept_in in [&self.original, &self.saved] {
            if is_known(kept_in) {
                continue;
            }
            if present {
                copy(place, &kept(kept_in, "files", path))?;
            } else {
                let mark = kept(kept_in, "absent", path);
                make_parent(&mark)?;
                durable::write(&mark, 0o600, |_| Ok(()))?;
            }
        }
        if was_known && present { copy(place, &kept(&self.saved, "edited", path)) } else { Ok(()) }
    }

    /// Puts everything back as it was before the bundle came. Says how many places changed.
    pub(super) fn restore(&self) -> Result<usize, NodeError> {
        let mut changed = 0;
        for path in below(&self.saved.join("files"))? {
            let (old, place) = (kept(&self.saved, "files", &path), self.on_node(&path));
            let present = occupied(&place)?;
            if !(present && is_same(&old, &place).map_err(NodeError::io("compare", &place))?) {
                copy(&old, &place)?;
                changed += 1;
            }
        }
        for path in below(&self.saved.join("absent"))? {
            let place = self.on_node(&path);
            if occupied(&place)? {
                durable::remove(&place)?;
                changed += 1;
            }
        }
        Ok(changed)
    }
}

fn kept(directory: &Path, kind: &str, path: &str) -> PathBuf {
    directory.join(kind).join(path.trim_start_matches('/'))
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Whether there is a file or a link at `path`; neither a directory nor a device may be.
fn occupied(path: &Path) -> Result<bool, NodeError> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() || meta.is_symlink() => Ok(true),
        Ok(meta) => {
            let found = if meta.is_dir() { "a directory" } else { "a device or socket" };
            Err(NodeError::Occupied { path: path.to_owned(), found })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(NodeError::io("look at", path)(error)),
    }
}

fn is_as_wanted(place: &Path, what: &What) -> io::Result<bool> {
    let meta = fs::symlink_metadata(place)?;
    match what {
        What::Directory => Ok(false),
        What::Link { target } => Ok(meta.is_symlink() && fs::read_link(place)? == Path::new(target)),
        What::File { mode, size, sha256 } => {
            let alike = meta.is_file() && meta.mode() & 0o7777 == *mode && meta.len() == *size;
            Ok(alike && meta.uid() == 0 && Digest::of_reader(File::open(place)?)?.0 == *sha256)
        }
    }
}

fn is_same(a: &Path, b: &Path) -> io::Result<bool> {
    let (first, second) = (fs::symlink_metadata(a)?, fs::symlink_metadata(b)?);
    let owner = |meta: &fs::Metadata| (meta.mode(), meta.uid(), meta.gid());
    if owner(&first) != owner(&second) {
        return Ok(false);
    }
    if first.is_symlink() {
        return Ok(fs::read_link(a)? == fs::read_link(b)?);
    }
    Ok(first.len() == second.len() && Digest::of_reader(File::open(a)?)? == Digest::of_reader(File::open(b)?)?)
}

fn make_parent(path: &Path) -> Result<(), NodeError> {
    path.parent().map_or(Ok(()), durable::directory)
}

/// Copies a file or link with its owner and mode over `to`, whole or not at all.
fn copy(from: &Path, to: &Path) -> Result<(), NodeError> {
    make_parent(to)?;
    let failed = NodeError::io("copy", from);
    let meta = fs::symlink_metadata(from).map_err(&failed)?;
    if meta.is_symlink() {
        let new = durable::beside(to);
        durable::remove(&new)?;
        let made = fs::read_link(from).and_then(|target| symlink(target, &new));
        made.and_then(|()| lchown(&new, Some(meta.uid()), Some(meta.gid()))).map_err(&failed)?;
        return durable::rename(&new, to);
    }
    let mut source = File::open(from).map_err(&failed)?;
    durable::write(to, meta.mode() & 0o7777, |file| {
        // Nobody may read along before it has its mode.
        file.set_permissions(Permissions::from_mode(0o600))?;
        fchown(&*file, Some(meta.uid()), Some(meta.gid()))?;
        io::copy(&mut source, file)?;
        file.flush()
    })
}

/// The paths of all files and links below a directory, from there, in order.
fn below(directory: &Path) -> Result<Vec<String>, NodeError> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in WalkDir::new(directory).sort_by_file_name() {
        let entry = entry.map_err(|error| NodeError::io("read", directory)(error.into()))?;
        if !entry.file_type().is_dir()
            && entry.file_name() != ".khimg.new"
            && let Ok(path) = entry.path().strip_prefix(directory)
        {
            // Every one of them was a path of a bundle, which is UTF-8.
            paths.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(paths)
}
