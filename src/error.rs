//! Any stage's error, for whoever runs several stages.

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
    /// What crosses an air gap.
    Transfer(crate::transfer::TransferError),
    /// What a delivery's files say of themselves.
    Inspect(crate::inspect::InspectError),
    /// The pipeline itself.
    Pipeline(crate::pipeline::PipelineError),
}
