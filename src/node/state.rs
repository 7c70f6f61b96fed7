//! Where khimg keeps what it has and knows on a node.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::durable;
use super::error::NodeError;
use crate::digest::Digest;

/// Where the state lies on a node.
pub const STATE: &str = "/var/lib/khimg";

/// The directory with all that khimg keeps on a node.
#[derive(Debug, Clone)]
pub struct State {
    path: PathBuf,
}

/// Nobody else changes this node while this lives.
#[derive(Debug)]
pub struct Exclusive {
    _file: File,
}

impl State {
    /// The state in the directory `path`: [`STATE`], but for tests.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Takes the node for this process alone.
    ///
    /// # Errors
    /// Another process has it, or the directory cannot be made.
    pub fn lock(&self) -> Result<Exclusive, NodeError> {
        exclusive(&self.path)
    }

    /// Takes the node's membership in its cluster for this process alone. Installing may go on beside it.
    ///
    /// # Errors
    /// As [`Self::lock`].
    pub(super) fn lock_membership(&self) -> Result<Exclusive, NodeError> {
        exclusive(&self.membership())
    }

    /// Takes the snapshots for this process alone: two at once would write to one file.
    ///
    /// # Errors
    /// As [`Self::lock`].
    pub(super) fn lock_snapshots(&self) -> Result<Exclusive, NodeError> {
        exclusive(&self.snapshots())
    }

    /// Takes the renewal of certificates for this process alone.
    ///
    /// # Errors
    /// As [`Self::lock`].
    pub(super) fn lock_renewal(&self) -> Result<Exclusive, NodeError> {
        exclusive(&self.renewal())
    }

    /// Whether another process, or this one, has the node's membership.
    pub(super) fn is_up(&self) -> bool {
        // Looking must leave nothing behind.
        self.membership().is_dir() && matches!(self.lock_membership(), Err(NodeError::Busy))
    }

    /// What is installed.
    pub fn installed(&self) -> PathBuf {
        self.path.join("installed.json")
    }

    /// How the last run ended, or where this one is.
    pub fn status(&self) -> PathBuf {
        self.path.join("status.json")
    }

    /// How far stage 0 is.
    pub(super) fn stage0(&self) -> PathBuf {
        self.path.join("stage0.json")
    }

    /// How the node became part of its cluster.
    pub(super) fn membership(&self) -> PathBuf {
        self.path.join("membership")
    }

    /// Copies of what etcd held.
    pub fn snapshots(&self) -> PathBuf {
        self.path.join("snapshots")
    }

    /// A renewal of certificates that has not come to its end.
    pub(super) fn renewal(&self) -> PathBuf {
        self.path.join("renewal")
    }

    /// All unpacked bundles.
    pub(super) fn bundles(&self) -> PathBuf {
        self.path.join("bundles")
    }

    /// An unpacked bundle.
    pub(super) fn bundle(&self, sha256: &Digest) -> PathBuf {
        self.bundles().join(sha256.short())
    }

    /// The digest of the bundle that the machine's image brings, if it runs from one.
    pub(super) fn image(&self) -> PathBuf {
        self.path.join("image")
    }

    /// What stood at all places before a bundle's files came, for all bundles.
    pub(super) fn saved_all(&self) -> PathBuf {
        self.path.join("saved")
    }

    /// What stood at all places before this bundle's files came.
    pub(super) fn saved(&self, sha256: &Digest) -> PathBuf {
        self.saved_all().join(sha256.short())
    }

    /// What stood at all places before the first bundle.
    pub(super) fn original(&self) -> PathBuf {
        self.path.join("original")
    }

    /// Lists and caches of the package manager, of no worth.
    pub(super) fn scratch(&self) -> PathBuf {
        self.path.join("apt")
    }
}

/// Locks a directory, which is made if need be.
fn exclusive(directory: &Path) -> Result<Exclusive, NodeError> {
    durable::directory(directory)?;
    let path = directory.join("lock");
    let file = File::create(&path).map_err(NodeError::io("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Exclusive { _file: file }),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(NodeError::Busy),
        Err(error) => Err(NodeError::io("lock", &path)(error.into())),
    }
}
