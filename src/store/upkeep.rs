//! Looking after the store: proving all of it again, and removing what nobody needs.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::PathBuf;

use rayon::prelude::{IntoParallelRefIterator, ParallelIterator};

use super::{Store, StoreError, Verified, directory};
use crate::digest::Digest;
use crate::report::{Event, Reporter};

/// What proving the whole store found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Blobs whose bytes are right.
    pub blobs: u64,
    /// How many bytes these have.
    pub bytes: u64,
    /// Blobs that were damaged and have been removed, by digest.
    pub removed: Vec<Damage>,
}

/// A blob that was damaged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Damage {
    /// The digest in its name.
    pub expected: Digest,
    /// The digest of its bytes.
    pub actual: Digest,
    /// How many bytes it had.
    pub size: u64,
}

/// What collecting garbage did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freed {
    /// Blobs that were removed.
    pub blobs: u64,
    /// Bytes that were freed, partial downloads and spare files included.
    pub bytes: u64,
    /// Blobs that stay.
    pub kept: u64,
    /// How many bytes these have.
    pub kept_bytes: u64,
}

impl Store {
    /// Reads every blob again and removes those whose bytes are not what their name says, each with a warning.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn verify(&self, reporter: &dyn Reporter) -> Result<Checked, StoreError> {
        let blobs = self.blobs()?;
        let proofs: Vec<_> = blobs.par_iter().map(proof).collect();
        let mut checked = Checked::default();
        for (blob, proof) in blobs.iter().zip(proofs) {
            let (actual, size) = proof?;
            if actual == blob.digest() {
                checked.blobs += 1;
                checked.bytes += size;
                continue;
            }
            directory::remove(blob.path())?;
            let text = format!("removed {} from the store: its bytes have {actual}", blob.digest());
            reporter.report(Event::Warning { text });
            checked.removed.push(Damage { expected: blob.digest(), actual, size });
        }
        Ok(checked)
    }

    /// Reads one blob again; removes it if it is damaged.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn reprove(&self, blob: Verified) -> Result<Option<Verified>, StoreError> {
        if proof(&blob)?.0 == blob.digest() {
            return Ok(Some(blob));
        }
        directory::remove(blob.path())?;
        Ok(None)
    }

    /// Removes every blob that `keep` does not name, every partial download, every spare file and every dangling memo.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while any other process, or any other opening of the store in this one, may rely on a blob; those
    /// of the file system.
    pub fn gc(&self, keep: &BTreeSet<Digest>) -> Result<Freed, StoreError> {
        let lock = self.root().join("lock");
        let session = &self.inner.session;
        let alone = match session.try_lock() {
            Ok(()) => self.sweep(keep),
            Err(TryLockError::WouldBlock) => Err(StoreError::Busy { root: self.root().to_path_buf() }),
            Err(TryLockError::Error(e)) => Err(StoreError::io("lock", &lock, e)),
        };
        // Also after a failure: the kernel drops a lock before it tries for the stronger one (flock(2)).
        session.lock_shared().map_err(|e| StoreError::io("lock", &lock, e))?;
        alone
    }

    fn sweep(&self, keep: &BTreeSet<Digest>) -> Result<Freed, StoreError> {
        let mut freed = Freed::default();
        for blob in self.blobs()? {
            if keep.contains(&blob.digest()) {
                freed.kept += 1;
                freed.kept_bytes += blob.size();
            } else if directory::remove(blob.path())? {
                freed.blobs += 1;
                freed.bytes += blob.size();
            }
        }
        for below in ["partial", "spare"] {
            for path in directory::entries(&self.root().join(below))? {
                freed.bytes += fs::symlink_metadata(&path).map_or(0, |found| found.len());
                directory::remove(&path)?;
            }
        }
        directory::clear(&self.root().join("tmp"))?;
        self.forget_dangling()?;
        Ok(freed)
    }

    /// Every blob, by digest. What does not look like one is not khimg's and stays untouched.
    fn blobs(&self) -> Result<Vec<Verified>, StoreError> {
        let mut blobs = Vec::new();
        for shard in directory::entries(&self.root().join("blobs/sha256"))?.into_iter().filter(|path| path.is_dir()) {
            for path in directory::entries(&shard)? {
                let named = |path: &PathBuf| path.file_name()?.to_str()?.parse::<Digest>().ok();
                let Some(digest) = named(&path).filter(|digest| self.blob_path(digest) == path) else { continue };
                blobs.extend(self.get(&digest)?);
            }
        }
        Ok(blobs)
    }
}

fn proof(blob: &Verified) -> Result<(Digest, u64), StoreError> {
    File::open(blob.path()).and_then(Digest::of_reader).map_err(|e| StoreError::io("read", blob.path(), e))
}
