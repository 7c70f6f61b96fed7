//! Any stage's error, for whoever runs several stages, and what can be wrong between them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::arch::Arch;
use crate::catalog;
use crate::exit::{Exit, Explain};

macro_rules! stages {
    ($($(#[$doc:meta])* $stage:ident($error:ty)),* $(,)?) => {
        /// Any stage's error.
        #[derive(Debug, thiserror::Error)]
        pub enum Error {
            $($(#[$doc])* #[error(transparent)] $stage(#[from] $error),)*
        }

        impl Explain for Error {
            fn exit(&self) -> Exit {
                match self {
                    $(Self::$stage(error) => error.exit(),)*
                }
            }

            fn is_report(&self) -> bool {
                match self {
                    $(Self::$stage(error) => error.is_report(),)*
                }
            }

            fn hint(&self) -> Option<String> {
                match self {
                    $(Self::$stage(error) => error.hint(),)*
                }
            }
        }
    };
}

stages! {
    /// A file of the user's is wrong.
    Config(crate::config::Problems),
    /// A role cannot be had as the cluster file wants it.
    Require(crate::profile::RequireError),
    /// Versions or digests could not be found and proven.
    Resolve(crate::resolve::ResolveError),
    /// The lock file.
    Lock(crate::lock::LockError),
    /// The store.
    Store(crate::store::StoreError),
    /// The network could not be set up.
    Net(crate::net::NetError),
    /// The build machine's own apt configuration.
    System(crate::resolve::apt::system::SystemError),
    /// The registries' credentials cannot be read.
    Credentials(crate::registry::CredentialsError),
    /// Artifacts could not be fetched.
    Fetch(crate::fetch::FetchError),
    /// The secrets file.
    Secrets(crate::secrets::SecretsError),
    /// Overlay layers are wrong.
    Overlay(crate::render::OverlayError),
    /// Files could not be rendered.
    Render(crate::render::RenderError),
    /// A seed could not be made.
    Seed(crate::seed::SeedError),
    /// Bundles could not be packed.
    Pack(crate::pack::PackError),
    /// The output directory could not be written.
    Deliver(crate::deliver::DeliverError),
    /// Images could not be made.
    Image(crate::image::ImageError),
    /// What crosses an air gap.
    Transfer(crate::transfer::TransferError),
    /// What a delivery's files say of themselves.
    Inspect(crate::inspect::InspectError),
    /// The pipeline itself.
    Pipeline(PipelineError),
}

/// What is wrong between stages.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A cluster file that was named is not there.
    #[error("there is no cluster file {}", path.display())]
    NoCluster {
        /// The file.
        path: PathBuf,
    },
    /// A mirror that was named is not known.
    #[error("there is no mirror {name:?}")]
    NoMirror {
        /// Its name.
        name: String,
        /// Those that there are.
        known: BTreeSet<String>,
    },
    /// No program was given for an architecture that the cluster has.
    #[error("the cluster has {arch} nodes, and this khimg program is for another architecture")]
    NoProgram {
        /// The architecture.
        arch: Arch,
    },
    /// The program that goes into bundles cannot be read.
    #[error("cannot read the khimg program {}", path.display())]
    Program {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The program changed between two readings.
    #[error("the khimg program {} changed while it was packed", path.display())]
    ProgramChanged {
        /// The file.
        path: PathBuf,
    },
    /// The output would lie where khimg cleans up by itself.
    #[error("the output {} lies in the store {}", out.display(), store.display())]
    OutInStore {
        /// The output.
        out: PathBuf,
        /// The store.
        store: PathBuf,
    },
    /// An image of the catalogue cannot be named.
    #[error("the catalogue names an image that cannot be completed")]
    Image(#[from] catalog::vars::UnknownVariable),
}

impl Explain for PipelineError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoMirror { .. } | Self::NoProgram { .. } | Self::Image(_) | Self::OutInStore { .. } => Exit::BadInput,
            Self::NoCluster { .. } | Self::Program { .. } | Self::ProgramChanged { .. } => Exit::LocalIo,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoCluster { .. } => Some("`khimg init` writes one".to_owned()),
            Self::NoMirror { known, .. } => {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                Some(format!("one of: {}; or define it below `mirrorDefinitions`", known.join(", ")))
            }
            Self::NoProgram { arch } => Some(format!("build khimg for {arch} and pass `--program {arch}=FILE`")),
            Self::Program { .. } => None,
            Self::ProgramChanged { .. } => Some("build again when nobody replaces it".to_owned()),
            Self::OutInStore { .. } => Some("name a directory outside the store with `--out`".to_owned()),
            Self::Image(_) => Some("correct the component in your catalogue directory".to_owned()),
        }
    }
}
