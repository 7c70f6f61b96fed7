//! Why bundles could not be packed.

use std::io;
use std::path::PathBuf;

use super::unpack::UnpackError;
use crate::arch::Arch;
use crate::digest::Digest;
use crate::exit::{Exit, Explain};
use crate::registry::ArchiveError;
use crate::render::tree::BadPath;
use crate::store::StoreError;

/// A failure of packing.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// khimg itself belongs into every bundle.
    #[error("there is no khimg program for {arch} to put into the bundles")]
    NoProgram {
        /// The nodes' architecture.
        arch: Arch,
    },
    /// khimg's own program cannot be read, or changed while it was.
    #[error("cannot read the khimg program {path}")]
    Program {
        /// Where it was looked for.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// khimg's own program needs a C library that nodes may not have.
    #[error("{path} is linked dynamically, so it may not run on the nodes")]
    Dynamic {
        /// The program.
        path: PathBuf,
        /// The nodes' architecture.
        arch: Arch,
    },
    /// What should be khimg's own program is none, or one for other machines.
    #[error("{path} is no program for {arch} machines")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The nodes' architecture.
        arch: Arch,
    },
    /// A locked artifact is not among what was fetched.
    #[error("{what} ({sha256}) was not fetched")]
    NotFetched {
        /// The artifact.
        what: String,
        /// Its digest.
        sha256: Digest,
    },
    /// A secret would have become public.
    #[error("{path} of role {role} is private (from {origin}), but bundles are public")]
    Private {
        /// The role.
        role: String,
        /// Path on the node.
        path: String,
        /// Where the file comes from.
        origin: String,
    },
    /// Two things at one path.
    #[error("{path} stands twice in bundle {bundle}: in layer {first} and in layer {second}")]
    Clash {
        /// The bundle.
        bundle: String,
        /// Path in the bundle.
        path: String,
        /// The layer that has it.
        first: String,
        /// The layer that wants it as well.
        second: String,
    },
    /// A link whose target no archive can hold.
    #[error("{path} (from {origin}) links to {target:?}, which is no sound target")]
    Link {
        /// Path on the node.
        path: String,
        /// Where the link comes from.
        origin: String,
        /// Where it points.
        target: String,
    },
    /// A place on the node, in the lock, that is none.
    #[error("{what} cannot be installed")]
    Place {
        /// The file.
        what: String,
        /// Why not.
        source: BadPath,
    },
    /// A downloaded archive is not what khimg installs.
    #[error("{what} cannot be repacked")]
    Unpack {
        /// The file.
        what: String,
        /// Why not.
        source: UnpackError,
    },
    /// An image cannot become an archive.
    #[error("image {image} cannot be packed")]
    Image {
        /// The image.
        image: String,
        /// Why not.
        source: Box<ArchiveError>,
    },
    /// The store failed.
    #[error("cannot keep layer {layer} in the store")]
    Store {
        /// The layer.
        layer: String,
        /// Why not.
        source: StoreError,
    },
    /// Reading, compressing or writing failed.
    #[error("cannot write layer {layer}")]
    Io {
        /// The layer.
        layer: String,
        /// Why not.
        source: io::Error,
    },
    /// The threads that compress could not be started.
    #[error("cannot start threads")]
    Threads {
        /// Why not.
        #[from]
        source: rayon::ThreadPoolBuildError,
    },
    /// A layer did not come out the same twice.
    #[error("layer {layer} of bundle {bundle} is not reproducible: {place}")]
    Differs {
        /// The bundle.
        bundle: String,
        /// The layer.
        layer: String,
        /// Where the first byte differs.
        place: super::check::Place,
    },
}

impl Explain for PackError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoProgram { .. } => Exit::Unsupported,
            Self::Private { .. }
            | Self::Clash { .. }
            | Self::Link { .. }
            | Self::Dynamic { .. }
            | Self::Foreign { .. } => Exit::BadInput,
            Self::Place { .. } => Exit::Lock,
            Self::NotFetched { .. } | Self::Unpack { .. } | Self::Differs { .. } => Exit::Verification,
            Self::Image { source, .. } => source.exit(),
            Self::Store { source, .. } => source.exit(),
            Self::Io { source, .. } => StoreError::within(source).map_or(Exit::LocalIo, Explain::exit),
            Self::Program { .. } | Self::Threads { .. } => Exit::LocalIo,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoProgram { arch } => {
                Some(format!("build khimg for {}-unknown-linux-musl and name it with `--program`", arch.machine()))
            }
            Self::Dynamic { arch, .. } | Self::Foreign { arch, .. } => Some(format!(
                "build khimg for {}-unknown-linux-gnu with `-C target-feature=+crt-static`, as `cargo build --release` in its \
                 source directory does, and name it with `--program {arch}=FILE`",
                arch.machine()
            )),
            Self::NotFetched { .. } => Some("run `khimg fetch`".to_owned()),
            Self::Private { path, .. } => {
                Some(format!("declare {path} in the layer's `layer.yaml` as part of the seed, or without `private`"))
            }
            Self::Clash { path, .. } => Some(format!("keep {path} in one layer only")),
            Self::Place { .. } => Some("lock again: `khimg lock --upgrade`".to_owned()),
            Self::Image { source, .. } => source.hint(),
            Self::Store { source, .. } => source.hint(),
            Self::Io { source, .. } => {
                StoreError::within(source).map_or_else(|| StoreError::remedy(source), Explain::hint)
            }
            Self::Differs { .. } => Some("please report this with both machines' `khimg --version`".to_owned()),
            Self::Program { .. } | Self::Link { .. } | Self::Unpack { .. } | Self::Threads { .. } => None,
        }
    }
}
