//! Ways in: bytes with a known digest, and bytes that khimg makes itself.

use std::fs::Permissions;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;

use tempfile::NamedTempFile;

use super::{Store, StoreError, Verified, directory};
use crate::digest::{Digest, Hasher};

/// The largest blob, in bytes: 64 GiB. A reader without end must not fill the disk.
pub const MAX_BLOB: u64 = 64 << 30;

/// A blob that is being made. It becomes visible on [`Writer::commit`], whole and under its own digest, or not at all.
pub struct Writer {
    store: Store,
    file: NamedTempFile,
    hasher: Hasher,
}

impl Store {
    /// Begins a blob whose digest will be that of what is written.
    ///
    /// # Errors
    /// A temporary file that cannot be made.
    pub fn writer(&self) -> Result<Writer, StoreError> {
        let tmp = self.root().join("tmp");
        let file = NamedTempFile::new_in(&tmp).map_err(|e| StoreError::io("create a file in", &tmp, e))?;
        Ok(Writer { store: self.clone(), file, hasher: Hasher::default() })
    }

    /// Takes in everything that `reader` yields, if it has the digest `expected`. Reads nothing if the blob is there already.
    ///
    /// # Errors
    /// Other bytes than expected; a reader that fails; a full disk.
    pub fn insert(&self, expected: &Digest, mut reader: impl Read) -> Result<Verified, StoreError> {
        if let Some(found) = self.get(expected)? {
            return Ok(found);
        }
        let mut writer = self.writer()?;
        let path = writer.file.path().to_path_buf();
        io::copy(&mut reader, &mut writer).map_err(|e| StoreError::io("fill", &path, e))?;
        let actual = writer.hasher.digest();
        if actual != *expected {
            return Err(StoreError::Mismatch { expected: *expected, actual, size: writer.hasher.count() });
        }
        writer.commit()
    }

    /// Takes in `bytes` under their own digest.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn insert_bytes(&self, bytes: &[u8]) -> Result<Verified, StoreError> {
        let digest = Digest::of(bytes);
        // With the right bytes at hand, what is on disk need not be believed: it may have been damaged since.
        if let Some(found) = self.get(&digest)?.filter(|found| found.size() == bytes.len() as u64)
            && let Some(found) = self.reprove(found)?
        {
            return Ok(found);
        }
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(|e| StoreError::io("write", writer.file.path(), e))?;
        writer.commit()
    }
}

impl Writer {
    /// How many bytes were written so far.
    pub fn count(&self) -> u64 {
        self.hasher.count()
    }

    /// Puts the blob in place: synced, renamed, and the rename synced.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn commit(self) -> Result<Verified, StoreError> {
        let (digest, size) = (self.hasher.digest(), self.hasher.count());
        // Over whatever is there: these bytes are fresh, those on disk may have been damaged since.
        let parent = self.store.blob_directory(&digest)?;
        let path = self.store.blob_path(&digest);
        let file = self.file.as_file();
        file.set_permissions(Permissions::from_mode(0o644)).map_err(|e| StoreError::io("set up", &path, e))?;
        file.sync_all().map_err(|e| StoreError::io("sync", &path, e))?;
        self.file.persist(&path).map_err(|e| StoreError::io("create", &path, e.error))?;
        directory::sync(&parent)?;
        Ok(Verified::new(digest, size, path))
    }
}

impl Write for Writer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.hasher.count().saturating_add(buf.len() as u64) > MAX_BLOB {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, StoreError::TooLarge { limit: MAX_BLOB }));
        }
        let written = self.file.write(buf)?;
        if let Some(bytes) = buf.get(..written) {
            self.hasher.update(bytes);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
