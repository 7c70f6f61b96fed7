//! Why an image could not be made.

use std::io;
use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::disk::DiskError;
use crate::exit::{Exit, Explain};
use crate::node::NodeError;
use crate::pack::PackError;

/// An image that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Making one means installing packages.
    #[error("an image can be made by root alone: packages are installed in it")]
    NotRoot,
    /// The machine would have to run programs of another architecture.
    #[error("an image for {arch} cannot be made on this {} machine", std::env::consts::ARCH)]
    Foreign {
        /// The architecture of the image.
        arch: Arch,
    },
    /// Programs that are not installed here.
    #[error("these programs are not installed: {}", programs.join(", "))]
    Missing {
        /// The programs.
        programs: Vec<&'static str>,
        /// Debian's packages that have them.
        packages: Vec<&'static str>,
    },
    /// A program failed.
    #[error("{command} failed ({status}):\n  {output}")]
    Program {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// It ran for longer than anything takes.
    #[error("{command} did not end within {minutes} minutes")]
    Endless {
        /// What was run.
        command: String,
        /// How long it had.
        minutes: u64,
    },
    /// The layer `image` of the overlays is not there, or not as it must be.
    #[error("the overlay layer `image` {fault}")]
    Layer {
        /// What is wrong.
        fault: String,
    },
    /// Not one kernel, but none or several.
    #[error("the image has {found} kernels, and must have one")]
    Kernels {
        /// How many.
        found: usize,
    },
    /// Something else stands where the image would.
    #[error("{} is not an image that khimg made", path.display())]
    Occupied {
        /// The place.
        path: PathBuf,
    },
    /// A file was damaged in the store since it was proven.
    #[error("{name} was damaged in the store")]
    Damaged {
        /// The package.
        name: String,
        /// What happened.
        source: io::Error,
    },
    /// The bundle cannot be read.
    #[error(transparent)]
    Bundle(#[from] PackError),
    /// The disk cannot be made.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file of the image that should have been made before.
    #[error("the image has no {name}")]
    Lost {
        /// Its name.
        name: String,
    },
    /// What khimg keeps on a node is not as it should be.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Something on this machine's disk.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl ImageError {
    /// For `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

impl Explain for ImageError {
    fn exit(&self) -> Exit {
        match self {
            Self::Foreign { .. } => Exit::Unsupported,
            Self::Layer { .. } | Self::Kernels { .. } | Self::Occupied { .. } => Exit::BadInput,
            Self::Damaged { .. } => Exit::Verification,
            Self::Disk(error) => error.exit(),
            Self::Lost { .. } => Exit::Unexpected,
            Self::Bundle(error) => error.exit(),
            Self::Node(error) => error.exit(),
            Self::NotRoot | Self::Missing { .. } | Self::Program { .. } | Self::Endless { .. } | Self::Io { .. } => {
                Exit::LocalIo
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotRoot => Some("run `khimg image` as root".to_owned()),
            Self::Foreign { .. } => Some("make it on a machine of that architecture".to_owned()),
            Self::Missing { packages, .. } => {
                let mut packages = packages.clone();
                packages.dedup();
                Some(format!("apt-get install {}", packages.join(" ")))
            }
            Self::Layer { .. } => Some("`khimg overlay show image` prints what it must declare".to_owned()),
            Self::Kernels { .. } => Some(
                "name one kernel in `kernels` of the catalogue's system, and none below `image: packages`".to_owned(),
            ),
            Self::Occupied { .. } => Some("name another directory with `--out`".to_owned()),
            Self::Damaged { .. } => Some("`khimg store verify`, then this again".to_owned()),
            Self::Disk(error) => error.hint(),
            Self::Bundle(error) => error.hint(),
            Self::Node(error) => error.hint(),
            Self::Lost { .. } | Self::Program { .. } | Self::Endless { .. } | Self::Io { .. } => None,
        }
    }
}
