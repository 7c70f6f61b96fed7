//! An index file: from the store as it was downloaded to an [`Index`] in memory.
//!
//! The reduced text is kept in the store too, so that a warm resolution neither decompresses nor parses.

use std::io::{self, BufRead};

use super::apt::stanza::BadStanza;
use super::compression::Compression;
use super::index::Index;
use super::yum::modules::BadModules;
use super::yum::primary::BadPrimary;
use super::{apt, yum};
use crate::arch::Arch;
use crate::digest::Digest;
use crate::store::{Store, StoreError, Verified};

/// Largest index after decompression, where nothing tells its size. Debian's largest has 50 MB, Fedora's 200 MB.
pub const MAX_INDEX: u64 = 1 << 30;
/// Largest reduced text.
const MAX_REDUCED: u64 = 1 << 30;

/// Which list of packages a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `Packages`
    Packages,
    /// `primary.xml`
    Primary,
}

/// An index that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ShelveError {
    /// Not the format.
    #[error("it is not a sound package index")]
    Stanza(#[from] BadStanza),
    /// Not the format.
    #[error("it is not a sound package list")]
    Primary(#[from] BadPrimary),
    /// Not the format.
    #[error("it is not a sound list of modules")]
    Modules(#[from] BadModules),
    /// It cannot be read at all.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reading itself broke down; a defect.
    #[error("reading it broke down: {0}")]
    Broken(String),
}

impl Kind {
    /// Name of the derived texts in the store. The number changes with what the reduction makes of a file.
    fn memo(self) -> &'static str {
        match self {
            Self::Packages => "apt-index-1",
            Self::Primary => "yum-index-1",
        }
    }

    fn reduce(self, plain: impl BufRead, arch: Arch) -> Result<String, ShelveError> {
        Ok(match self {
            Self::Packages => apt::reduce::reduce(plain, arch.name())?,
            Self::Primary => yum::primary::reduce(plain, arch.machine())?,
        })
    }
}

/// The index that was made of the file with this digest before, if it is still there.
///
/// # Errors
/// A store that cannot be read.
pub fn remembered(store: &Store, kind: Kind, file: &Digest, arch: Arch) -> Result<Option<Index>, StoreError> {
    let Some(reduced) = store.memo(kind.memo(), &key(file, arch)) else { return Ok(None) };
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
    kind: Kind,
    file: &Verified,
    compression: Compression,
    arch: Arch,
    limit: u64,
) -> Result<Index, ShelveError> {
    let text = kind.reduce(compression.open(file, limit)?, arch)?;
    let blob = store.insert_bytes(text.as_bytes())?;
    store.remember(kind.memo(), &key(&file.digest(), arch), &blob.digest())?;
    Index::load(text).map_err(|error| ShelveError::Broken(error.to_string()))
}

/// A repository may have one index for all architectures, so its digest alone is no key.
fn key(file: &Digest, arch: Arch) -> Digest {
    Digest::of(format!("{arch} {file}").as_bytes())
}
