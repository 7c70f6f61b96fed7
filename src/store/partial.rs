//! A download under way: its bytes so far, and the right to add to them.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Store, StoreError, Verified, directory};
use crate::digest::{Digest, Hasher};

/// What came of asking for the right to download a blob.
pub enum Claim {
    /// It is in the store.
    Done(Verified),
    /// The caller may download it; nobody else will meanwhile.
    Mine(Partial),
    /// Somebody else is at it; ask again.
    Busy,
}

/// The bytes of a blob so far, on disk, hashed. Whatever is there when it is dropped can be resumed later.
pub struct Partial {
    store: Store,
    expected: Digest,
    file: File,
    path: PathBuf,
    hasher: Hasher,
    lock: PathBuf,
    /// Locked until this is dropped.
    _held: File,
}

impl Store {
    /// Asks for the right to download `expected`. Never waits. Bytes of an earlier try are hashed again, so call it where
    /// blocking is allowed.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn claim(&self, expected: &Digest) -> Result<Claim, StoreError> {
        let path = self.root().join("partial").join(expected.hex());
        let lock = path.with_extension("lock");
        loop {
            if let Some(found) = self.get(expected)? {
                return Ok(Claim::Done(found));
            }
            let held = open(&lock)?;
            match held.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Claim::Busy),
                Err(TryLockError::Error(e)) => return Err(StoreError::io("lock", &lock, e)),
            }
            // Whoever had it may have removed the file between our opening and locking it: then the lock means nothing.
            if !is_still(&held, &lock) {
                continue;
            }
            if let Some(found) = self.get(expected)? {
                remove_quietly(&lock);
                return Ok(Claim::Done(found));
            }
            let mut partial = Partial {
                store: self.clone(),
                expected: *expected,
                file: open(&path)?,
                path,
                hasher: Hasher::default(),
                lock,
                _held: held,
            };
            partial.rehash()?;
            return Ok(Claim::Mine(partial));
        }
    }
}

impl Partial {
    /// How many bytes are there.
    pub fn size(&self) -> u64 {
        self.hasher.count()
    }

    /// The digest of the bytes that are there.
    pub fn digest(&self) -> Digest {
        self.hasher.digest()
    }

    /// The digest that they must have in the end.
    pub fn expected(&self) -> Digest {
        self.expected
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// Those of the file system, such as a full disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(|e| StoreError::io("write", &self.path, e))?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Throws all bytes away.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        self.hasher = Hasher::default();
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(|e| StoreError::io("truncate", &self.path, e))
    }

    /// Puts the blob in place if its bytes are the right ones. Syncs, so call it where blocking is allowed.
    ///
    /// # Errors
    /// Wrong bytes ([`StoreError::Mismatch`]); those of the file system.
    pub fn finish(self) -> Result<Verified, StoreError> {
        let (actual, size) = (self.digest(), self.size());
        if actual != self.expected {
            return Err(StoreError::Mismatch { expected: self.expected, actual, size });
        }
        self.file
            .set_permissions(Permissions::from_mode(0o644))
            .and_then(|()| self.file.sync_all())
            .map_err(|e| StoreError::io("sync", &self.path, e))?;
        let parent = self.store.blob_directory(&self.expected)?;
        let blob = self.store.blob_path(&self.expected);
        fs::rename(&self.path, &blob).map_err(|e| StoreError::io("create", &blob, e))?;
        directory::sync(&parent)?;
        Ok(Verified::new(self.expected, size, blob))
    }

    fn rehash(&mut self) -> Result<(), StoreError> {
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = match self.file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(StoreError::io("read", &self.path, e)),
            };
            self.hasher.update(buffer.get(..read).unwrap_or_default());
        }
        self.file.seek(SeekFrom::Start(self.hasher.count())).map_err(|e| StoreError::io("read", &self.path, e))?;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.size() == 0 && is_still(&self.file, &self.path) {
            remove_quietly(&self.path);
        }
        // Still locked here: whoever opened it before this line notices that it is gone.
        remove_quietly(&self.lock);
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(|e| StoreError::io("open", path, e))
}

fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(held), Ok(found)) => (held.dev(), held.ino()) == (found.dev(), found.ino()),
        _ => false,
    }
}

/// A leftover is no harm: an empty file or a lock that nobody holds.
fn remove_quietly(path: &Path) {
    let _ = fs::remove_file(path);
}
