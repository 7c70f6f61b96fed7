//! What can be wrong with a lock.

use std::io;
use std::path::PathBuf;

use super::VERSION;
use crate::exit::{Exit, Explain};
use crate::target::Target;

/// A lock that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is none.
    #[error("there is no {}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not a lock.
    #[error("{} is not a sound lock: {why}", path.display())]
    Malformed {
        /// Its path.
        path: PathBuf,
        /// What is wrong, with line and column.
        why: String,
    },
    /// A later khimg wrote it.
    #[error("{} has format version {found}, this khimg knows {VERSION}", path.display())]
    Newer {
        /// Its path.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It answers other requirements.
    #[error("the lock does not fit the cluster file any more, for {roles}")]
    Stale {
        /// The roles that changed or are not locked, with commas.
        roles: String,
    },
    /// The operating system of images and the roles' bundles hold a package in two versions.
    #[error("the repositories have moved on: images of {target} would hold packages of other versions than the roles")]
    Apart {
        /// The operating system.
        target: Target,
    },
    /// The operating system of images is not locked as it is asked for.
    #[error("the lock does not pin the operating system of images for {target}")]
    NoSystem {
        /// The operating system.
        target: Target,
    },
    /// It cannot be put into words; a defect.
    #[error("cannot write the lock as YAML: {why}")]
    Unwritable {
        /// What the writer says.
        why: String,
    },
}

impl Explain for LockError {
    fn exit(&self) -> Exit {
        match self {
            Self::Read { .. } | Self::Write { .. } => Exit::LocalIo,
            Self::Unwritable { .. } => Exit::Unexpected,
            _ => Exit::Lock,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Apart { .. } => Some("run `khimg lock --upgrade`, then this again".to_owned()),
            Self::NoSystem { .. } => Some("run `khimg image` without `--locked`: it locks what it needs".to_owned()),
            Self::Missing { .. } | Self::Stale { .. } => Some("run `khimg lock`".to_owned()),
            Self::Malformed { path, .. } => {
                Some(format!("restore {} from version control, or delete it and run `khimg lock`", path.display()))
            }
            Self::Newer { .. } => Some("use the khimg that wrote it, or a newer one".to_owned()),
            _ => None,
        }
    }
}
