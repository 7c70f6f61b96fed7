//! What can go wrong in the store.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::exit::{Exit, Explain};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused something.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Bytes that should enter do not have the digest that they must have.
    #[error("expected {expected}, but these {size} bytes have {actual}")]
    Mismatch {
        /// What was promised.
        expected: Digest,
        /// What came.
        actual: Digest,
        /// How many bytes came.
        size: u64,
    },
    /// Something that should be there is not.
    #[error("the store has no {digest}")]
    Missing {
        /// The blob.
        digest: Digest,
    },
    /// A stored blob no longer has the bytes that it had when it was proven.
    #[error("{path} in the store was damaged: it has {actual} instead of the digest in its name")]
    Damaged {
        /// The blob's file.
        path: PathBuf,
        /// The digest of its bytes now.
        actual: Digest,
    },
    /// Somebody wrote to a stored blob while it was read.
    #[error("{path} in the store was changed while it was read")]
    Changed {
        /// The blob's file.
        path: PathBuf,
    },
    /// A blob grew beyond all that khimg handles.
    #[error("a blob of more than {limit} bytes does not fit into the store")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Something that is no regular file stands where a blob belongs.
    #[error("{path} in the store is not a regular file")]
    NotAFile {
        /// Where.
        path: PathBuf,
    },
    /// Garbage cannot be collected while somebody else works.
    #[error("another khimg is using the store {root}")]
    Busy {
        /// The store.
        root: PathBuf,
    },
}

impl StoreError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_path_buf(), source }
    }

    /// The store's own error inside an error of reading or writing a blob.
    pub fn within(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// What to do about a store that cannot be written.
    pub fn remedy(error: &io::Error) -> Option<String> {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Some("free some space with `khimg store gc`, or put the store elsewhere: `KHIMG_STORE=DIR`".to_owned())
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Some("put the store where you may write: `KHIMG_STORE=DIR`".to_owned())
            }
            _ => None,
        }
    }
}

impl Explain for StoreError {
    fn exit(&self) -> Exit {
        match self {
            Self::Mismatch { .. } | Self::Missing { .. } | Self::Damaged { .. } | Self::Changed { .. } => {
                Exit::Verification
            }
            Self::Io { .. } | Self::TooLarge { .. } | Self::NotAFile { .. } | Self::Busy { .. } => Exit::LocalIo,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => Self::remedy(source),
            Self::Damaged { .. } | Self::Changed { .. } => {
                Some("run `khimg store verify`, then the same command again".to_owned())
            }
            Self::NotAFile { path } => Some(format!("remove {}", path.display())),
            Self::Busy { .. } => Some("wait for it to end, then run `khimg store gc` again".to_owned()),
            Self::Mismatch { .. } | Self::Missing { .. } | Self::TooLarge { .. } => None,
        }
    }
}
