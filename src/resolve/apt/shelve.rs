//! An index file: from the store as it was downloaded to an [`Index`] in memory.
//!
//! The reduced text is kept in the store too, so that a warm resolution neither decompresses nor parses.

use std::io::{self, BufRead, BufReader, Read};

use super::index::{Index, reduce};
use super::stanza::BadStanza;
use crate::arch::Arch;
use crate::digest::Digest;
use crate::store::{Store, StoreError, Verified};

/// Largest index after decompression, where the release file does not tell its size. Debian's largest has 50 MB.
pub const MAX_INDEX: u64 = 1 << 30;
/// Largest reduced text.
const MAX_REDUCED: u64 = 1 << 30;
/// Memory that one xz stream may ask for; `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;
/// Name of the derived texts in the store. The number changes with the format of [`super::index`].
const KIND: &str = "apt-index-1";

/// How an index file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `.xz`
    Xz,
    /// `.zst`
    Zstd,
    /// `.gz`
    Gzip,
    /// Not at all.
    Plain,
}

/// An index that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ShelveError {
    /// Not the format.
    #[error("it is not a sound package index")]
    Malformed(#[from] BadStanza),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reading itself broke down; a defect.
    #[error("reading it broke down: {0}")]
    Broken(String),
}

impl Compression {
    /// All of them, the smallest first.
    pub const ALL: [Self; 4] = [Self::Xz, Self::Zstd, Self::Gzip, Self::Plain];

    /// The ending of a file's name.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
            Self::Plain => "",
        }
    }

    fn reader<'r>(self, compressed: impl BufRead + 'r) -> io::Result<Box<dyn Read + 'r>> {
        Ok(match self {
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(compressed, stream))
            }
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(compressed)?),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(compressed)),
            Self::Plain => Box::new(compressed),
        })
    }
}

/// The index that was made of the file with this digest before, if it is still there.
///
/// # Errors
/// A store that cannot be read.
pub fn remembered(store: &Store, file: &Digest, arch: Arch) -> Result<Option<Index>, StoreError> {
    let Some(reduced) = store.memo(KIND, &key(file, arch)) else { return Ok(None) };
    let Some(blob) = store.get(&reduced)? else { return Ok(None) };
    // What cannot be read any more is made again.
    let text = blob.read(MAX_REDUCED).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(text.and_then(|text| Index::load(text).ok()))
}

/// Reads a downloaded index file of at most `limit` bytes after decompression, and remembers what it came to.
///
/// # Errors
/// A file that is no index; limits; the store.
pub fn shelve(
    store: &Store,
    file: &Verified,
    compression: Compression,
    arch: Arch,
    limit: u64,
) -> Result<Index, ShelveError> {
    let open = || -> io::Result<_> {
        let compressed = BufReader::with_capacity(128 << 10, file.open().map_err(io::Error::other)?);
        Ok(BufReader::with_capacity(256 << 10, Limited { inner: compression.reader(compressed)?, left: limit, limit }))
    };
    let plain = open().map_err(|source| BadStanza::Read { line: 0, source })?;
    let text = reduce(plain, arch.name())?;
    let blob = store.insert_bytes(text.as_bytes())?;
    store.remember(KIND, &key(&file.digest(), arch), &blob.digest())?;
    Index::load(text).map_err(|error| ShelveError::Broken(error.to_string()))
}

/// A flat repository has one index for all architectures, so its digest alone is no key.
fn key(file: &Digest, arch: Arch) -> Digest {
    Digest::of(format!("{arch} {file}").as_bytes())
}

/// Fails, rather than ends, after so many bytes.
struct Limited<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other(format!("it has more than {} bytes when decompressed", self.limit))),
        }
        Ok(read)
    }
}
