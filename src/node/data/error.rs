//! Why a machine has no data partition, although there should be one.

use std::io;
use std::path::{Path, PathBuf};

use super::LABEL;
use crate::exit::{Exit, Explain};
use crate::node::NodeError;

/// What keeps the state of this machine from its disk. Nothing was changed on a disk that holds anything.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Two that could be meant.
    #[error("{} are all to hold this machine's state", names.join(" and "))]
    Several {
        /// Their devices.
        names: Vec<String>,
    },
    /// A partition of khimg's with something else in it.
    #[error("{device} is a data partition of khimg's, but holds {found}")]
    Foreign {
        /// The device.
        device: String,
        /// What it holds.
        found: String,
    },
    /// The kernel's command line forbids to go on in memory.
    #[error("there is no place for this machine's state but its memory: {reason}")]
    NoPlace {
        /// Why not.
        reason: String,
    },
    /// The file system is there and cannot be used.
    #[error("the file system on {device} is damaged")]
    Damaged {
        /// The device.
        device: PathBuf,
        /// What e2fsck said.
        source: Box<NodeError>,
    },
    /// What was done has not had the effect that it should have.
    #[error("the data partition on {device} was made and is not there")]
    Lost {
        /// The device.
        device: PathBuf,
    },
    /// lsblk said something else than it should.
    #[error("cannot read what lsblk says")]
    Listing {
        /// Why not.
        source: serde_json::Error,
    },
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
    /// A program failed.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl DataError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }
}

impl Explain for DataError {
    fn exit(&self) -> Exit {
        match self {
            Self::Several { .. } | Self::Foreign { .. } | Self::NoPlace { .. } => Exit::Unsupported,
            Self::Damaged { .. } => Exit::Verification,
            Self::Io { .. } => Exit::LocalIo,
            Self::Lost { .. } | Self::Listing { .. } => Exit::Unexpected,
            Self::Node(error) => error.exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Several { .. } => Some(format!(
                "leave the label {LABEL} to the right one (e2label DEVICE other), and start the machine anew"
            )),
            Self::Foreign { device, .. } => Some(format!(
                "look at {device}; if it is of no worth: wipefs --all {device}, and start the machine anew"
            )),
            Self::NoPlace { .. } => Some(format!(
                "give the machine an empty disk, or label a file system for it: mkfs.ext4 -L {LABEL} DEVICE"
            )),
            Self::Damaged { device, .. } => {
                Some(format!("repair it: e2fsck {}, and start the machine anew", device.display()))
            }
            Self::Node(error) => error.hint(),
            _ => None,
        }
    }
}
