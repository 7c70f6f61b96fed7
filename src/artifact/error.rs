//! Why a depot did not get into a registry or out of it.

use crate::deliver::DeliverError;
use crate::digest::Digest;
use crate::exit::{Exit, Explain};
use crate::inspect::InspectError;
use crate::registry::RegistryError;
use crate::store::StoreError;

/// A failure between a depot and a registry.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// What stands at the tag is something else.
    #[error("{reference} is no depot of khimg: {reason}")]
    Foreign {
        /// What was asked for.
        reference: String,
        /// Why not.
        reason: String,
    },
    /// It is another depot than the user expects.
    #[error("{reference} is {actual} instead of {expected}")]
    Another {
        /// What was asked for.
        reference: String,
        /// What the user named.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// A delivered file is no longer what its manifest says.
    #[error("{path} was changed since it was delivered")]
    Changed {
        /// Its path below `public/`.
        path: String,
    },
    /// The delivery cannot be read.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The depot could not be put in place.
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Explain for ArtifactError {
    fn exit(&self) -> Exit {
        match self {
            Self::Foreign { .. } => Exit::BadInput,
            Self::Another { .. } | Self::Changed { .. } => Exit::Verification,
            Self::Inspect(source) => source.exit(),
            Self::Registry(source) => source.exit(),
            Self::Deliver(source) => source.exit(),
            Self::Store(source) => source.exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Foreign { .. } => Some("`khimg push` puts a depot there".to_owned()),
            Self::Another { .. } => None,
            Self::Changed { .. } => Some("run `khimg build` again".to_owned()),
            Self::Inspect(source) => source.hint(),
            Self::Registry(source) => source.hint(),
            Self::Deliver(source) => source.hint(),
            Self::Store(source) => source.hint(),
        }
    }
}
