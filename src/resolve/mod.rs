//! `resolve`: from what is needed to exact artifacts with proven digests.
//!
//! ```text
//! Requirements ─▶ repositories ─▶ Kubernetes patch ─┬▶ packages: closure beyond the base, for each role
//!                 (signed lists)   (highest that    ├▶ files: digest of the catalogue or the publisher
//!                                   all can serve)  └▶ images: manifest and blobs by digest
//! ```
//!
//! The same inputs and the same state of the mirrors give the same result. What a lock has pinned stays as long as it is asked
//! for and offered, unless it is to be upgraded.

pub mod addon;
pub mod apt;
pub mod attempt;
pub mod authority;
pub mod closure;
pub mod compression;
mod error;
pub mod file;
pub mod image;
pub mod index;
mod kubernetes;
mod packages;
pub mod plan;
mod release;
mod repositories;
pub mod shelve;
mod system;
pub mod universe;
pub mod version;
pub mod yum;

use crate::catalog::Catalog;
use crate::clock;
use crate::kubernetes::KubernetesVersion;
use crate::lock::{self, Addon, File, Image, Lock, Package, Repository};
use crate::mirrors::Mirrors;
use crate::net::Net;
use crate::profile::Requirements;
use crate::registry::{Credentials, Registry};
use crate::store::Store;

use closure::ClosureError;
pub use error::ResolveError;
pub use system::system;

/// Exact artifacts for everything that was required.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// The exact Kubernetes version, where a role carries Kubernetes.
    pub kubernetes: Option<KubernetesVersion>,
    /// States of the repositories that were looked into.
    pub repositories: Vec<Repository>,
    /// Packages.
    pub packages: Vec<Package>,
    /// Plain files.
    pub files: Vec<File>,
    /// Images.
    pub images: Vec<Image>,
    /// Manifests of the user's.
    pub addons: Vec<Addon>,
}

impl Resolution {
    /// The lock of what `requirements` were resolved to, with the roles of `previous` that they do not name.
    pub fn into_lock(self, requirements: &Requirements, previous: Option<&Lock>) -> Lock {
        let Self { kubernetes, repositories, packages, files, images, addons } = self;
        let inputs = requirements.roles.iter().map(|role| (role.key(), role.digest(requirements.kubernetes))).collect();
        let version = lock::VERSION;
        let systems = Vec::new();
        Lock { version, inputs, kubernetes, repositories, packages, files, images, addons, systems }.following(previous)
    }
}

/// What of a lock may change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Upgrade {
    /// Only what the requirements force.
    #[default]
    Nothing,
    /// Everything: as if there were no lock.
    Everything,
    /// What this component brought in.
    Component(String),
}

impl Upgrade {
    /// Whether what `component` brought in may change.
    pub fn frees(&self, component: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Component(name) => name == component,
        }
    }
}

/// Resolves everything that `requirements` ask for; `credentials` are for registries that ask.
///
/// # Errors
/// A repository, package, file or image that cannot be had or proven, and combinations that do not exist.
#[expect(clippy::too_many_arguments, reason = "a stage takes what it needs, and no bag of things")]
pub async fn resolve(
    requirements: &Requirements,
    catalog: &Catalog,
    mirrors: &Mirrors,
    net: &Net,
    store: &Store,
    credentials: &Credentials,
    previous: Option<&Lock>,
    upgrade: &Upgrade,
) -> Result<Resolution, ResolveError> {
    let wanted = repositories::wanted(requirements, catalog, mirrors, previous)?;
    let mut repositories = repositories::load(wanted, net, store, clock::now()).await?;
    let version = kubernetes::version(requirements, catalog, &repositories, previous, upgrade)?;
    let packages = loop {
        match packages::resolve(requirements, catalog, &repositories, version, previous, upgrade) {
            Err(ResolveError::Closure { target, source: ClosureError::UnknownFiles { paths }, .. })
                if repositories.may_find_owners(&target) =>
            {
                repositories.find_owners(&target, paths, net, store).await?;
            }
            packages => break packages?,
        }
    };
    let files = file::all(requirements, version, catalog, mirrors, net, previous, upgrade).await?;
    let mut requirements = requirements.clone();
    let addons = addon::all(&mut requirements, catalog, net, store, previous, upgrade).await?;
    let registry = Registry::new(net, credentials.clone());
    let images = image::all(&requirements, version, catalog, mirrors, &registry, store, previous, upgrade).await?;
    Ok(Resolution { kubernetes: version, repositories: repositories.states(), packages, files, images, addons })
}
