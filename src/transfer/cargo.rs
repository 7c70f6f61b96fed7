//! What is to be exported: files and blobs, and where their bytes lie now.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::TransferError;
use super::index::{BLOBS, DEPOT, FileEntry};
use crate::deliver::FileRecord;
use crate::digest::{Digest, HashingReader};
use crate::store::Verified;

/// Everything that an export is made of.
#[derive(Debug, Clone, Default)]
pub struct Cargo {
    pub(super) files: BTreeMap<String, FileEntry>,
    pub(super) store: BTreeSet<Digest>,
    pub(super) blobs: BTreeMap<Digest, Blob>,
}

/// A blob and where to read it.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    pub(super) size: u64,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Bytes(Vec<u8>),
    Stored(Verified),
    /// A stretch of a file.
    File {
        path: PathBuf,
        offset: u64,
    },
}

impl Cargo {
    /// Adds a file of the project, `path` below its directory.
    pub fn file(&mut self, path: &str, secret: bool, bytes: Vec<u8>) {
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        self.blobs.entry(digest).or_insert(Blob { size, place: Place::Bytes(bytes) });
        self.files.insert(path.to_owned(), FileEntry { secret, pieces: vec![digest] });
    }

    /// Adds an artifact of the lock.
    pub fn artifact(&mut self, blob: Verified) {
        self.store.insert(blob.digest());
        self.blobs.insert(blob.digest(), Blob { size: blob.size(), place: Place::Stored(blob) });
    }

    /// Adds a file of the depot that lies at `place`; `path` is that below the depot. Its pieces travel one by one.
    pub fn delivered(&mut self, path: &str, secret: bool, place: &Path, record: &FileRecord) {
        let whole = [(0, record.size, record.sha256)];
        let pieces: Vec<(u64, u64, Digest)> = match record.pieces.as_slice() {
            [] => whole.to_vec(),
            pieces => pieces.iter().map(|piece| (piece.offset, piece.size, piece.sha256)).collect(),
        };
        for (offset, size, sha256) in &pieces {
            let place = Place::File { path: place.to_path_buf(), offset: *offset };
            self.blobs.entry(*sha256).or_insert(Blob { size: *size, place });
        }
        let pieces = pieces.into_iter().map(|(_, _, sha256)| sha256).collect();
        self.files.insert(format!("{DEPOT}{path}"), FileEntry { secret, pieces });
    }
}

impl Blob {
    /// Writes the blob, proving it on the way.
    pub(super) fn write(&self, expected: &Digest, out: &mut dyn Write) -> Result<(), TransferError> {
        let (shown, reader): (PathBuf, Box<dyn Read + '_>) = match &self.place {
            Place::Bytes(bytes) => (PathBuf::from(format!("{BLOBS}{}", expected.hex())), Box::new(bytes.as_slice())),
            Place::Stored(blob) => (blob.path().to_path_buf(), Box::new(blob.open()?)),
            Place::File { path, offset } => {
                let open = || -> io::Result<_> {
                    let mut file = File::open(path)?;
                    file.seek(SeekFrom::Start(*offset))?;
                    Ok(file.take(self.size))
                };
                (path.clone(), Box::new(open().map_err(TransferError::io("read", path))?))
            }
        };
        let mut reader = HashingReader::new(reader);
        io::copy(&mut reader, out).map_err(TransferError::io("export", &shown))?;
        match reader.finish() {
            actual if actual == *expected => Ok(()),
            actual => Err(TransferError::Changed { path: shown, expected: *expected, actual }),
        }
    }
}
