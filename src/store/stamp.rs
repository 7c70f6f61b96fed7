//! Which file it is whose bytes were proven, so that they need not be read again while nobody has touched it.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{StoreError, Verified};
use crate::digest::Hasher;

/// How much is read and hashed at once, in bytes: small enough for a processor's own cache.
const PIECE: usize = 256 << 10;

/// A file at one moment: where it lies, its size, and when its bytes and its inode were last changed.
///
/// Whoever writes to a file, puts another in its place or sets its times back changes the last of these (`ctime`, inode(7)),
/// which nobody can set. A copy of the store, on this machine or another, has other stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of the file at `path`, or of the link that is there.
    ///
    /// # Errors
    /// A file that cannot be found.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&std::fs::symlink_metadata(path)?))
    }

    /// Of the file with this metadata.
    pub fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

impl Verified {
    /// Its file as it is now.
    ///
    /// # Errors
    /// A file that cannot be found.
    pub fn stamp(&self) -> Result<Stamp, StoreError> {
        Stamp::at(self.path()).map_err(|e| StoreError::io("read", self.path(), e))
    }

    /// Reads its bytes, gives each piece of them to `sink`, and proves them unless the file is the one that was `known` when they
    /// were proven before. What the sink was given counts only if this succeeds.
    ///
    /// # Errors
    /// A file that cannot be read or was damaged.
    pub fn prove(&self, known: Option<&Stamp>, mut sink: impl FnMut(&[u8])) -> Result<Stamp, StoreError> {
        let failed = |source| StoreError::io("read", self.path(), source);
        let mut file = File::open(self.path()).map_err(failed)?;
        let stamp = Stamp::of(&file.metadata().map_err(failed)?);
        let mut hasher = Some(Hasher::default()).filter(|_| known != Some(&stamp));
        let mut buffer = vec![0; PIECE];
        loop {
            let read = file.read(&mut buffer).map_err(failed)?;
            let Some(bytes @ [_, ..]) = buffer.get(..read) else { break };
            hasher.iter_mut().for_each(|hasher| hasher.update(bytes));
            sink(bytes);
        }
        match hasher.map(|hasher| hasher.digest()) {
            // Should somebody have written to the file meanwhile, then no later stamp of it equals this one.
            Some(actual) if actual == self.digest() => Ok(stamp),
            Some(actual) => Err(StoreError::Damaged { path: self.path().to_path_buf(), actual }),
            None if Stamp::of(&file.metadata().map_err(failed)?) == stamp => Ok(stamp),
            None => Err(StoreError::Changed { path: self.path().to_path_buf() }),
        }
    }

    /// Lets the kernel copy the file to `out`, if it is still the one that had `stamp` when its bytes were proven. If not, nothing
    /// is written.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn copy_as_stamped(&self, stamp: &Stamp, out: &mut File) -> io::Result<bool> {
        let mut file = File::open(self.path())?;
        if Stamp::of(&file.metadata()?) != *stamp {
            return Ok(false);
        }
        let begin = out.stream_position()?;
        let copied = io::copy(&mut file, out)?;
        let unchanged = copied == self.size() && Stamp::of(&file.metadata()?) == *stamp;
        if !unchanged {
            out.set_len(begin)?;
            out.seek(SeekFrom::Start(begin))?;
        }
        Ok(unchanged)
    }
}
