//! Why a disc cannot be written.

use super::LARGEST_FILE;
use super::name::LONGEST_NAME;
use crate::exit::{Exit, Explain};

/// What does not fit onto a disc.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IsoError {
    /// No label that both trees can hold.
    #[error("{label:?} is no volume label: it takes at most 16 letters, digits, _ and -")]
    Label {
        /// The label.
        label: String,
    },
    /// No name for a file on a disc.
    #[error("{name:?} is no file name for a disc: it takes at most {LONGEST_NAME} letters, digits and . _ - + ~")]
    Name {
        /// The name.
        name: String,
    },
    /// Two files of one name.
    #[error("{name} is on the disc twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// More bytes than a file on a disc can have.
    #[error("{name} has {size} bytes, but a file on a disc has at most {LARGEST_FILE}")]
    TooLarge {
        /// The name.
        name: String,
        /// Its size.
        size: u64,
    },
    /// More sectors than can be counted.
    #[error("the files do not fit onto one disc")]
    Full,
    /// A content of another size than was planned.
    #[error("{name} has {written} bytes instead of {planned}")]
    Changed {
        /// The name.
        name: String,
        /// Bytes planned.
        planned: u64,
        /// Bytes that came.
        written: u64,
    },
}

impl Explain for IsoError {
    fn exit(&self) -> Exit {
        match self {
            Self::Label { .. } | Self::Name { .. } | Self::Twice { .. } => Exit::BadInput,
            Self::TooLarge { .. } | Self::Full => Exit::Unsupported,
            Self::Changed { .. } => Exit::Verification,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::TooLarge { .. } | Self::Full => {
                Some("leave the bundle off the disc: `disc: seed`, and name a depot in `depots`".to_owned())
            }
            _ => None,
        }
    }
}
