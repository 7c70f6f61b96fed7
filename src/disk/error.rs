//! Why there is no disk image.

use std::io;
use std::path::{Path, PathBuf};

use super::LARGEST_FILE;
use crate::digest::Digest;
use crate::exit::{Exit, Explain};

/// A failure of making a disk image. Nothing is left at its place.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The file system refused something.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A boot file that FAT32 cannot hold.
    #[error("{path} has {size} bytes, but a file on the boot partition has at most {LARGEST_FILE}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// A file is not what it was when its digest was taken.
    #[error("{path} was changed: it has {actual} instead of {expected}")]
    Changed {
        /// The file.
        path: PathBuf,
        /// What it must have.
        expected: Digest,
        /// What it has.
        actual: Digest,
    },
    /// A word of the kernel's command line that GRUB would read otherwise.
    #[error("{text:?} cannot stand on a kernel's command line in GRUB's settings")]
    CommandLine {
        /// The command line.
        text: String,
    },
    /// A file of the boot loader has not the form that it should have.
    #[error("{file} is not a part of GRUB that khimg knows: {reason}")]
    Loader {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// GRUB for BIOS could not be put together.
    #[error("grub-mkimage failed: {said}")]
    Maker {
        /// The end of what it said.
        said: String,
    },
    /// The partition table refused something.
    #[error("cannot write the partition table")]
    Table {
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl DiskError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }
}

impl Explain for DiskError {
    fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } => Exit::LocalIo,
            Self::TooLarge { .. } => Exit::Unsupported,
            Self::CommandLine { .. } => Exit::BadInput,
            Self::Changed { .. } | Self::Loader { .. } => Exit::Verification,
            Self::Maker { .. } | Self::Table { .. } => Exit::Unexpected,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::TooLarge { .. } => Some("make the initrd smaller: fewer firmware packages or modules".to_owned()),
            _ => None,
        }
    }
}
