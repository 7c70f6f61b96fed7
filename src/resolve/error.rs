//! Why something could not be resolved.

use super::addon::AddonError;
use super::attempt::RepositoryError;
use super::closure::ClosureError;
use super::file::FileError;
use super::image::ImageError;
use crate::catalog::vars::UnknownVariable;
use crate::cluster::Role;
use crate::exit::{Exit, Explain};
use crate::kubernetes::VersionRequest;
use crate::openpgp::OpenPgpError;
use crate::target::Target;

/// Something that could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// A repository that cannot be had.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// Packages that do not come together.
    #[error("the packages of role {role} on {target} do not come together")]
    Closure {
        /// The role.
        role: Role,
        /// Its base system.
        target: Target,
        /// Why not.
        source: ClosureError,
    },
    /// Packages of an image's operating system that do not come together.
    #[error("the operating system of images for {target} does not come together")]
    System {
        /// The operating system.
        target: Target,
        /// Why not.
        source: ClosureError,
    },
    /// No patch of the minor that all can serve.
    #[error("no patch of Kubernetes {request} is offered for {what} and everything before it")]
    NoPatch {
        /// What the cluster file asks for.
        request: VersionRequest,
        /// What had none of the patches that were left.
        what: String,
    },
    /// Keys that cannot be read.
    #[error("the keys of source {source_name} cannot be used")]
    Keys {
        /// Name of the source.
        source_name: String,
        /// Why not.
        source: OpenPgpError,
    },
    /// A source that the catalogue does not know.
    #[error("the catalogue has no source {source_name:?}")]
    UnknownSource {
        /// Its name.
        source_name: String,
    },
    /// A source without packages.
    #[error("source {source_name:?} of the catalogue is no package repository")]
    NotPackages {
        /// Its name.
        source_name: String,
    },
    /// An operating system that the catalogue does not know.
    #[error("the catalogue has no operating system {os:?}")]
    UnknownSystem {
        /// Its id.
        os: String,
    },
    /// A source of another package manager than the operating system's.
    #[error("source {source_name:?} has no packages for {os}: it is for another package manager")]
    OtherFamily {
        /// Name of the source.
        source_name: String,
        /// The operating system.
        os: String,
    },
    /// A package that would lie outside of its source.
    #[error("package {package} of source {source_name} is said to lie at {location}, outside of the source")]
    Outside {
        /// Name of the source.
        source_name: String,
        /// The package.
        package: String,
        /// Its path below its repository.
        location: String,
    },
    /// A plain file that cannot be pinned.
    #[error(transparent)]
    File(#[from] FileError),
    /// An image that cannot be pinned.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A manifest of the user's that cannot be pinned.
    #[error(transparent)]
    Addon(#[from] AddonError),
    /// A text of the catalogue or the cluster file that cannot be filled in.
    #[error(transparent)]
    Variable(#[from] UnknownVariable),
}

impl Explain for ResolveError {
    fn exit(&self) -> Exit {
        match self {
            Self::Repository(error) => error.exit(),
            Self::File(error) => error.exit(),
            Self::Image(error) => error.exit(),
            Self::Addon(error) => error.exit(),
            Self::Closure { source, .. } | Self::System { source, .. } => source.exit(),
            Self::NoPatch { .. } => Exit::Unsupported,
            Self::Outside { .. } => Exit::Verification,
            Self::Keys { .. }
            | Self::UnknownSource { .. }
            | Self::NotPackages { .. }
            | Self::UnknownSystem { .. }
            | Self::OtherFamily { .. }
            | Self::Variable(_) => Exit::BadInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Repository(error) => error.hint(),
            Self::File(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::Addon(error) => error.hint(),
            Self::Closure { source, .. } | Self::System { source, .. } => source.hint(),
            Self::NoPatch { .. } => Some("set an exact version under `kubernetes` in the cluster file".to_owned()),
            Self::Keys { .. } => Some("correct the key files of the catalogue or of `trust`".to_owned()),
            Self::UnknownSource { .. } | Self::NotPackages { .. } => {
                Some("`khimg catalog show sources` shows what there is".to_owned())
            }
            Self::UnknownSystem { .. } => Some("`khimg catalog show systems` shows what there is".to_owned()),
            Self::OtherFamily { .. } => {
                Some("correct `sources` of the component, or its condition `family`, in the catalogue".to_owned())
            }
            Self::Outside { .. } => Some("put another mirror before it under `mirrors` in the cluster file".to_owned()),
            Self::Variable(_) => {
                Some("use only {codename}, {distribution}, {el}, {minor}, {arch} and {machine}".to_owned())
            }
        }
    }
}
