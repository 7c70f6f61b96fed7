//! What is wrong with a bundle or a delivered directory.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::exit::{Exit, Explain};

/// A bundle or a directory that is not what it says.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// A file that cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Neither a bundle nor a delivered directory.
    #[error("{path} is neither a bundle nor a directory that khimg delivered to: {reason}")]
    Foreign {
        /// The path.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Written by a khimg that knows more.
    #[error("{path} has format {format}, which this khimg does not know")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// A part that cannot be decompressed or read as tar.
    #[error("{part} of {path} cannot be read")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The layer.
        part: String,
        /// Why not.
        source: io::Error,
    },
    /// Bytes that have another digest.
    #[error("{part} of {path} has {actual} instead of {expected}")]
    Digest {
        /// The file.
        path: PathBuf,
        /// The layer, or the file in it.
        part: String,
        /// The digest that it is listed with.
        expected: Digest,
        /// The digest that it has.
        actual: Digest,
    },
    /// Something that contradicts the table of contents or the manifest, or that no khimg writes.
    #[error("{part} of {path} is wrong: {reason}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The layer, or the file in it.
        part: String,
        /// What is wrong.
        reason: String,
    },
}

impl InspectError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    pub(super) fn wrong(path: &Path, part: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Wrong { path: path.to_path_buf(), part: part.into(), reason: reason.into() }
    }
}

impl Explain for InspectError {
    fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } => Exit::LocalIo,
            Self::Foreign { .. } => Exit::BadInput,
            Self::Newer { .. } => Exit::Unsupported,
            Self::Damaged { .. } | Self::Digest { .. } | Self::Wrong { .. } => Exit::Verification,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Newer { .. } => Some("use the khimg that wrote it, or a newer one".to_owned()),
            Self::Damaged { .. } | Self::Digest { .. } | Self::Wrong { .. } => {
                Some("do not use it; copy it again from where it was built, or run `khimg build` again".to_owned())
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("name a bundle or a delivered directory, or make one: `khimg build`".to_owned())
            }
            Self::Foreign { .. } => Some("name a bundle, or the directory that `khimg build` wrote".to_owned()),
            Self::Io { .. } => None,
        }
    }
}
