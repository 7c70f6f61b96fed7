//! Why nothing was exported or imported.

use std::io;
use std::path::{Path, PathBuf};

use crate::deliver::DeliverError;
use crate::digest::Digest;
use crate::exit::{Exit, Explain};
use crate::store::StoreError;

/// A failure on one side of the gap.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The file is no export, or one of another version.
    #[error("{path} is no export of khimg: {reason}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The bytes are not what the index says, or end too early.
    #[error("{path} is damaged at {part}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        part: String,
        /// Why.
        source: io::Error,
    },
    /// It is another export than the user expects.
    #[error("{path} is the export {actual} instead of {expected}")]
    Another {
        /// The file.
        path: PathBuf,
        /// What the user named.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// It builds on an export that was not imported here.
    #[error(
        "{path} carries only what is new since the export {since}, and {missing} blobs of that are not in the store"
    )]
    Since {
        /// The file.
        path: PathBuf,
        /// What it builds on.
        since: Digest,
        /// How many are missing.
        missing: usize,
    },
    /// Files of the project would be replaced by others.
    #[error("{} would be replaced by other contents", paths.join(", "))]
    Exists {
        /// Which.
        paths: Vec<String>,
    },
    /// A file changed since it was listed.
    #[error("{path} has {actual} instead of {expected}: it was changed since it was made")]
    Changed {
        /// The file.
        path: PathBuf,
        /// What was listed.
        expected: Digest,
        /// What is there.
        actual: Digest,
    },
    /// Something that the lock names is not in the store.
    #[error("{missing} artifacts of the lock are not in the store")]
    Incomplete {
        /// How many.
        missing: usize,
    },
    /// More parts than can be counted in their names.
    #[error("the export has more than {most} parts")]
    Parts {
        /// The limit.
        most: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The depot could not be put in place.
    #[error(transparent)]
    Depot(#[from] DeliverError),
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
}

impl TransferError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        // A reader of the store and a writer of parts carry their own errors inside.
        move |source| match source.downcast::<StoreError>().map(Self::Store) {
            Ok(error) => error,
            Err(source) => source.downcast::<Self>().unwrap_or_else(|source| Self::Io { action, path, source }),
        }
    }
}

impl From<io::Error> for TransferError {
    fn from(source: io::Error) -> Self {
        Self::io("write", Path::new("the export"))(source)
    }
}

impl Explain for TransferError {
    fn exit(&self) -> Exit {
        match self {
            Self::Foreign { .. } | Self::Exists { .. } | Self::Since { .. } | Self::Parts { .. } => Exit::BadInput,
            Self::Damaged { .. } | Self::Another { .. } | Self::Changed { .. } => Exit::Verification,
            Self::Incomplete { .. } => Exit::Lock,
            Self::Store(source) => source.exit(),
            Self::Depot(source) => source.exit(),
            Self::Io { .. } => Exit::LocalIo,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Damaged { path, .. } => {
                let name = path.display();
                format!(
                    "copy it again (`sha256sum -c {name}.sha256` names a damaged part); what was imported so far is kept"
                )
            }
            Self::Since { .. } => "import the earlier export first".to_owned(),
            Self::Exists { .. } => "pass `--replace` to replace them, or `--out DIR` for another place".to_owned(),
            Self::Changed { .. } => "run `khimg build` again".to_owned(),
            Self::Incomplete { .. } => "run `khimg fetch` first".to_owned(),
            Self::Parts { .. } => "choose a larger `--split`".to_owned(),
            Self::Store(source) => return source.hint(),
            Self::Depot(source) => return source.hint(),
            Self::Foreign { .. } | Self::Another { .. } | Self::Io { .. } => return None,
        })
    }
}
