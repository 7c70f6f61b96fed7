//! Why nothing was delivered.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::exit::{Exit, Explain};
use crate::iso::IsoError;
use crate::pack::PackError;
use crate::store::StoreError;

/// A failure of delivery. What stood at the place before still stands there.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The place is taken by something that khimg did not write.
    #[error("{path} is not a directory that khimg delivered to before: {reason}")]
    NotADist {
        /// The place.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The place has no name of its own, such as `/`.
    #[error("{path} is no place that a directory can be put at")]
    Place {
        /// The place.
        path: PathBuf,
    },
    /// A file that should be delivered has no sound relative path.
    #[error("{path:?} is no path that can be delivered")]
    Path {
        /// The path.
        path: String,
    },
    /// Two files of one path.
    #[error("{path} would be delivered twice")]
    Twice {
        /// The path.
        path: String,
    },
    /// A delivered file that goes onto a disc as well was changed in between.
    #[error("{bundle} has {actual} instead of {expected}")]
    Changed {
        /// The bundle's file name.
        bundle: String,
        /// The digest that it was written with.
        expected: Digest,
        /// The digest that it has now.
        actual: Digest,
    },
    /// What should go onto a node's disc does not fit there.
    #[error("cannot make the disc of {node}")]
    Disc {
        /// The node.
        node: String,
        /// Why not.
        source: IsoError,
    },
    /// A bundle cannot be read from the store.
    #[error("cannot write bundle {bundle}")]
    Bundle {
        /// The bundle's file name.
        bundle: String,
        /// Why not.
        source: Box<PackError>,
    },
    /// A file cannot be read from the store.
    #[error("cannot deliver {path}")]
    Store {
        /// Its path below `public/`.
        path: String,
        /// Why not.
        source: StoreError,
    },
    /// Seeds would be lost.
    #[error("{path} has seeds, which this delivery has not: it stays as it is")]
    Seeds {
        /// The directory.
        path: PathBuf,
    },
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

impl DeliverError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

impl Explain for DeliverError {
    fn exit(&self) -> Exit {
        match self {
            Self::NotADist { .. }
            | Self::Seeds { .. }
            | Self::Place { .. }
            | Self::Path { .. }
            | Self::Twice { .. } => Exit::BadInput,
            Self::Changed { .. } => Exit::Verification,
            Self::Disc { source, .. } => source.exit(),
            Self::Store { source, .. } => source.exit(),
            Self::Bundle { source, .. } => source.exit(),
            Self::Io { source, .. } => StoreError::within(source).map_or(Exit::LocalIo, Explain::exit),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotADist { path, .. } => {
                Some(format!("name another place with `--out DIR`, or remove {}", path.display()))
            }
            Self::Place { .. } | Self::Seeds { .. } => Some("name another place with `--out DIR`".to_owned()),
            Self::Changed { .. } => Some("run `khimg store verify`, then the same command again".to_owned()),
            Self::Disc { source, .. } => source.hint(),
            Self::Store { source, .. } => source.hint(),
            // What cannot be written while a bundle is copied is the output, not the store.
            Self::Bundle { source, .. } => match &**source {
                PackError::Io { source, .. } => remedy(source),
                other => other.hint(),
            },
            Self::Io { source, .. } => remedy(source),
            Self::Path { .. } | Self::Twice { .. } => None,
        }
    }
}

fn remedy(source: &io::Error) -> Option<String> {
    match source.kind() {
        _ if StoreError::within(source).is_some() => StoreError::within(source).and_then(Explain::hint),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free some space, or name another place with `--out DIR`".to_owned())
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("name a place that you may write to with `--out DIR`".to_owned())
        }
        _ => None,
    }
}
