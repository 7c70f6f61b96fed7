//! Why there is no bill.

use crate::exit::{Exit, Explain};
use crate::inspect::InspectError;
use crate::lock::LockError;

/// A failure to say what something is made of.
#[derive(Debug, thiserror::Error)]
pub enum BillError {
    /// The bundle or depot is not what it says.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The lock cannot be read.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A bundle holds what the lock does not name.
    #[error("{subject} holds {}, which the lock does not name with these bytes", parts.join(", "))]
    NotLocked {
        /// The bundle.
        subject: String,
        /// The parts.
        parts: Vec<String>,
    },
    /// It is another bundle than the user expects.
    #[error("{subject} is {actual} instead of {expected}")]
    Another {
        /// The bundle.
        subject: String,
        /// What the user named.
        expected: crate::digest::Digest,
        /// What it is.
        actual: crate::digest::Digest,
    },
}

impl Explain for BillError {
    fn exit(&self) -> Exit {
        match self {
            Self::Inspect(source) => source.exit(),
            Self::Lock(source) => source.exit(),
            Self::NotLocked { .. } | Self::Another { .. } => Exit::Verification,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Inspect(source) => source.hint(),
            Self::Lock(source) => source.hint(),
            Self::NotLocked { .. } => {
                Some("name the lock that it was built from, or run `khimg build --locked` again".to_owned())
            }
            Self::Another { .. } => None,
        }
    }
}
