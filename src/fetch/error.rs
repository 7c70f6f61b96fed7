//! What can go wrong while fetching.

use std::fmt;

use super::signature::SignatureError;
use crate::catalog::vars::UnknownVariable;
use crate::digest::Digest;
use crate::exit::{Exit, Explain};
use crate::net::{NetError, address};
use crate::openpgp::OpenPgpError;
use crate::registry::RegistryError;
use crate::store::StoreError;

/// A failure of `fetch`.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A base of a mirror cannot be filled in.
    #[error("a mirror's address cannot be filled in")]
    Base(#[from] UnknownVariable),
    /// A path of the lock does not fit below a base.
    #[error(transparent)]
    Path(#[from] address::JoinError),
    /// A registry's base or repository that is none.
    #[error(transparent)]
    Place(RegistryError),
    /// No mirror in the order of trial serves a source.
    #[error("no mirror in the cluster file's `mirrors` serves the source {of}")]
    NoMirror {
        /// The source.
        of: String,
    },
    /// The network is forbidden, and the store lacks something.
    #[error("khimg is offline, and the store lacks {}", listed(missing))]
    Offline {
        /// Everything that it lacks, in the lock's order.
        missing: Vec<String>,
    },
    /// Key files of the catalogue or the cluster file that are none.
    #[error("the keys of source {of} cannot be used")]
    Keys {
        /// The source.
        of: String,
        /// Why not.
        source: OpenPgpError,
    },
    /// An addon whose address is none.
    #[error("the addon {of} of the lock has no usable address")]
    Address {
        /// The addon.
        of: String,
    },
    /// Some artifacts could not be had.
    #[error(transparent)]
    Failed(Failed),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something was asked for that was not fetched.
    #[error("{digest} was not fetched: the lock does not name it for these roles")]
    NotFetched {
        /// What was asked for.
        digest: Digest,
    },
}

/// Everything that could not be had; never empty.
#[derive(Debug)]
pub struct Failed {
    /// One failure for each artifact, in the lock's order.
    pub failures: Vec<Failure>,
}

/// Why one artifact could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A package or a file.
    #[error(transparent)]
    Blob(#[from] NetError),
    /// An image.
    #[error(transparent)]
    Image(#[from] RegistryError),
    /// A package whose own signature does not count.
    #[error("package {package} of {source_name} is not proven")]
    Signature {
        /// Name, version and architecture.
        package: String,
        /// Name of its source.
        source_name: String,
        /// Why not.
        source: Box<SignatureError>,
    },
    /// A source whose packages must be signed, without keys that could tell.
    #[error("package {package} must be signed by {}, and no such key is at hand for {source_name}", wanted.join(" or "))]
    NoKey {
        /// Name, version and architecture.
        package: String,
        /// Name of its source.
        source_name: String,
        /// The fingerprints that the lock names.
        wanted: Vec<String>,
    },
}

impl Explain for Failure {
    fn exit(&self) -> Exit {
        match self {
            Self::Blob(source) => source.exit(),
            Self::Image(source) => source.exit(),
            Self::Signature { source, .. } => match &**source {
                SignatureError::Store(source) => source.exit(),
                _ => Exit::Verification,
            },
            Self::NoKey { .. } => Exit::Verification,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Blob(source) => source.hint(),
            Self::Image(source) => source.hint(),
            Self::Signature { source, .. } => match &**source {
                SignatureError::Store(source) => source.hint(),
                _ => Some(
                    "the mirror that the lock was made from lists a package that its publisher did not sign: take it out of \
                     `mirrors`, then `khimg lock --upgrade`"
                        .to_owned(),
                ),
            },
            Self::NoKey { .. } => {
                Some("the catalogue or `trust` changed since: `khimg lock --upgrade`, or restore them".to_owned())
            }
        }
    }
}

/// An error names so many things; the rest is counted.
const MOST: usize = 10;

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // With several, the text already holds them all.
        match self.failures.as_slice() {
            [only] => only.source(),
            _ => None,
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.failures.as_slice() {
            return write!(f, "{only}");
        }
        write!(f, "{} artifacts could not be fetched", self.failures.len())?;
        for failure in self.failures.iter().take(MOST) {
            write!(f, "\n{failure}")?;
            let mut cause = std::error::Error::source(failure);
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
        }
        match self.failures.len().checked_sub(MOST) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\n… and {more} more"),
        }
    }
}

impl Failed {
    /// The failure that matters most: a full disk before wrong bytes before a broken network.
    fn worst(&self) -> Option<&Failure> {
        self.failures.iter().max_by_key(|failure| match failure.exit() {
            Exit::LocalIo => 2,
            Exit::Verification => 1,
            _ => 0,
        })
    }
}

impl Explain for FetchError {
    fn exit(&self) -> Exit {
        match self {
            Self::Base(_) | Self::Path(_) | Self::NoMirror { .. } | Self::Keys { .. } | Self::Address { .. } => {
                Exit::BadInput
            }
            Self::Place(source) => source.exit(),
            Self::Offline { .. } => Exit::Network,
            Self::Failed(failed) => failed.worst().map_or(Exit::Network, Explain::exit),
            Self::Store(source) => source.exit(),
            Self::NotFetched { .. } => Exit::Unexpected,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Base(_) | Self::Path(_) => {
                Some("look at the mirror's address: `khimg catalog show sources`".to_owned())
            }
            Self::NoMirror { .. } => Some(
                "add a mirror that serves it to `mirrors` in the cluster file: `khimg catalog show sources`".to_owned(),
            ),
            Self::Place(source) => source.hint(),
            Self::Offline { .. } => Some("run `khimg fetch` where there is a network".to_owned()),
            Self::Failed(failed) => failed.worst().and_then(Explain::hint),
            Self::Store(source) => source.hint(),
            Self::Keys { .. } => Some("correct the key files of the catalogue or of `trust`".to_owned()),
            Self::Address { .. } => Some("run: khimg lock --upgrade".to_owned()),
            Self::NotFetched { .. } => None,
        }
    }
}

fn listed(names: &[String]) -> String {
    let shown = names.get(..MOST).unwrap_or(names).join(", ");
    match names.len().checked_sub(MOST) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}
