//! A blob whose bytes were proven.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::StoreError;
use crate::digest::{Digest, Hasher};

/// A blob in the store whose bytes had its digest when they came in. Only the store makes one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verified {
    digest: Digest,
    size: u64,
    path: PathBuf,
}

impl Verified {
    pub(super) fn new(digest: Digest, size: u64, path: PathBuf) -> Self {
        Self { digest, size, path }
    }

    /// Its digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its file, for programs that need a path. Reading it there proves nothing; prefer [`Verified::open`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes from the beginning. The reader hashes along and fails at the end if the file was damaged since.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn open(&self) -> Result<Reader, StoreError> {
        let file = File::open(&self.path).map_err(|e| StoreError::io("open", &self.path, e))?;
        Ok(Reader { file, hasher: Hasher::default(), blob: self.clone() })
    }

    /// All its bytes, proven again.
    ///
    /// # Errors
    /// More than `limit` bytes; a file that cannot be read or was damaged.
    pub fn read(&self, limit: u64) -> Result<Vec<u8>, StoreError> {
        if self.size > limit {
            return Err(StoreError::TooLarge { limit });
        }
        let file = File::open(&self.path).map_err(|e| StoreError::io("open", &self.path, e))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes).map_err(|e| StoreError::io("read", &self.path, e))?;
        match Digest::of(&bytes) {
            actual if actual == self.digest => Ok(bytes),
            actual => Err(StoreError::Damaged { path: self.path.clone(), actual }),
        }
    }
}

/// Reads a blob and proves it once more on the way: the end of the file is only reported for the right bytes.
pub struct Reader {
    file: File,
    hasher: Hasher,
    blob: Verified,
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buf)?;
        if let Some(bytes) = buf.get(..read) {
            self.hasher.update(bytes);
        }
        // The last bytes are withheld from the reader's trust too: a caller that stops at the known size never asks for the end.
        let ended = read == 0 && !buf.is_empty();
        if ended || self.hasher.count() >= self.blob.size {
            let actual = self.hasher.digest();
            if actual != self.blob.digest {
                let damaged = StoreError::Damaged { path: self.blob.path.clone(), actual };
                return Err(io::Error::new(io::ErrorKind::InvalidData, damaged));
            }
        }
        Ok(read)
    }
}
