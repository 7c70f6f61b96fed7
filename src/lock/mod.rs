//! `khimg.lock`: every byte that a bundle may hold, pinned by sha256.
//!
//! Design goals: complete (a build needs no further look-up), readable, small diffs, byte for byte reproducible (sorted, no
//! time of making, no host), independent of mirrors (a path below a source, never a URL), versioned.

mod error;
mod file;
mod merge;
mod system;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::catalog::component::Install;
use crate::cluster::{AddonOrigin, Role};
use crate::digest::Digest;
use crate::kubernetes::KubernetesVersion;
use crate::profile::{AddonRequirement, FileRequirement, ImageRequirement, Requirements, RoleRequirements};
use crate::target::Target;

pub use error::LockError;
pub use file::{Written, parse, read, read_if_exists, to_yaml, write};
pub use system::OperatingSystem;

/// The version of the format that this khimg writes.
pub const VERSION: u32 = 1;

/// The whole lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lock {
    /// Version of the format; 1.
    pub version: u32,
    /// For each role that is locked, `<role>-<os>-<arch>`: the digest of what it requires
    /// ([`crate::profile::RoleRequirements::digest`]). Roles are locked one by one: whoever builds only `lb` needs no
    /// Kubernetes repository.
    pub inputs: BTreeMap<String, Digest>,
    /// The exact Kubernetes version, as soon as a locked role carries Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub kubernetes: Option<KubernetesVersion>,
    /// State of every repository that something came from.
    pub repositories: Vec<Repository>,
    /// Packages, ordered by target, name, version.
    pub packages: Vec<Package>,
    /// Plain files, ordered by architecture, name.
    pub files: Vec<File>,
    /// Images, ordered by architecture, name.
    pub images: Vec<Image>,
    /// Manifests of the user's, ordered by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addons: Vec<Addon>,
    /// What images are made of beside the roles' bundles, ordered by target; each as soon as an image is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub systems: Vec<OperatingSystem>,
}

impl Lock {
    /// Whether it answers `requirements` as they are now. Roles that are locked beside them do not matter.
    pub fn satisfies(&self, requirements: &Requirements) -> bool {
        self.stale(requirements).is_none()
    }

    /// The roles (`<role>-<os>-<arch>`, with commas) of `requirements` that changed since, are not locked at all, or lack files
    /// or images that they need: a lock that was merged or changed by hand must not lead to a bundle with a hole.
    pub fn stale(&self, requirements: &Requirements) -> Option<String> {
        let is_current = |role: &&RoleRequirements| {
            self.inputs.get(&role.key()) == Some(&role.digest(requirements.kubernetes))
                && self.has_files_and_images(role)
        };
        let stale = requirements.roles.iter().filter(|role| !is_current(role));
        let roles: Vec<String> = stale.map(RoleRequirements::key).collect();
        (!roles.is_empty()).then(|| roles.join(", "))
    }

    /// Packages are not looked for: one that the base system has is required and yet not locked.
    fn has_files_and_images(&self, role: &RoleRequirements) -> bool {
        let (arch, name) = (role.target.arch, role.role);
        let asks = |why: &[Why], of: &str| why.iter().any(|why| why.role == name && why.component == of);
        let file = |need: &FileRequirement| {
            self.files
                .iter()
                .any(|file| file.arch == arch && file.name == need.name && asks(&file.why, &need.component))
        };
        let image = |need: &ImageRequirement| {
            let named = |image: &Image| image.name.strip_prefix(&need.name).is_some_and(|tag| tag.starts_with(':'));
            self.images.iter().any(|image| image.arch == arch && named(image) && asks(&image.why, &need.component))
        };
        let addon = |need: &AddonRequirement| {
            let component = need.component();
            let carried = |name: &String| {
                self.images
                    .iter()
                    .any(|image| image.arch == arch && image.name == *name && asks(&image.why, &component))
            };
            self.addons.iter().any(|addon| addon.answers(need) && addon.images.iter().all(carried))
        };
        role.files.iter().all(file) && role.images.iter().all(image) && role.addons.iter().all(addon)
    }

    /// Nothing, if it answers `requirements`.
    ///
    /// # Errors
    /// [`LockError::Stale`].
    pub fn check(&self, requirements: &Requirements) -> Result<(), LockError> {
        self.stale(requirements).map_or(Ok(()), |roles| Err(LockError::Stale { roles }))
    }

    /// Everything that it pins and a store holds, by digest: all but manifests that lie beside the cluster file.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        let images = self.images.iter().flat_map(|image| {
            image.index.iter().chain([&image.manifest, &image.config]).chain(&image.layers).map(|blob| blob.sha256)
        });
        let systems = self.systems.iter().flat_map(OperatingSystem::all);
        let packages = self.packages.iter().chain(systems).map(|package| package.sha256);
        let addons = self.addons.iter().filter(|addon| matches!(addon.origin, AddonOrigin::Url(_)));
        let addons = addons.map(|addon| addon.sha256);
        packages.chain(self.files.iter().map(|file| file.sha256)).chain(images).chain(addons)
    }

    /// The `Date` of a repository's release file when it was locked.
    pub fn seen(&self, source: &str, suite: &str) -> Option<jiff::Timestamp> {
        let found = self.repositories.iter().filter(|state| state.source == source && state.suite == suite);
        found.map(|state| state.date).max()
    }
}

/// The state of a repository at locking, so that a later lock can refuse to go back in time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Repository {
    /// Name of the source.
    pub source: String,
    /// Suite, the base's variable part for a flat repository, such as `v1.34`, or the path of an rpm repository.
    pub suite: String,
    /// `Date` of its release file, or the time of its `repomd.xml`.
    #[schemars(with = "String")]
    pub date: jiff::Timestamp,
    /// How its release file or `repomd.xml` was proven.
    pub proof: Proof,
}

/// How an artifact's digest came to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Proof {
    /// An OpenPGP signature by the key with this fingerprint, over metadata that names the digest.
    Signature(String),
    /// A signature in the package itself, by one of the keys with these fingerprints; it is checked when the package is fetched.
    Package(Vec<String>),
    /// The digest stands in the catalogue.
    Catalogue,
    /// The publisher's checksum file at this path below the source.
    Publisher(String),
    /// A tag of a registry, believed at the time of locking and pinned since.
    Tag,
    /// Nothing: the cluster file says that this source may be unsigned.
    Unsigned,
}

/// A package of a package manager.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Package {
    /// The base system that it is for.
    pub target: Target,
    /// Name.
    pub name: String,
    /// Full version.
    pub version: String,
    /// Architecture as the package says it; may be `all` or `noarch`.
    pub arch: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest of the package file.
    pub sha256: Digest,
    /// Name of the source.
    pub source: String,
    /// Path below the source's base.
    pub path: String,
    /// How the digest came to be trusted.
    pub proof: Proof,
    /// Roles that carry it, and the chain that brought it in for each: `containerd → runc → libseccomp2`. Nobody for a package of
    /// an image's operating system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<Why>,
}

/// The chain that brought an artifact into a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Why {
    /// The role.
    pub role: Role,
    /// The component of the catalogue that the chain begins with.
    pub component: String,
    /// From the component's own package to this one, by name; of one element where the component asks itself.
    pub chain: Vec<String>,
}

/// A plain file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// Architecture.
    pub arch: Arch,
    /// Name, such as `kubeadm`.
    pub name: String,
    /// Version.
    pub version: String,
    /// Size in bytes, where the publisher tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Digest.
    pub sha256: Digest,
    /// Name of the source.
    pub source: String,
    /// Path below the source's base.
    pub path: String,
    /// Where it goes on a node.
    pub install: Install,
    /// How the digest came to be trusted.
    pub proof: Proof,
    /// Roles that carry it.
    pub why: Vec<Why>,
}

/// A container image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Image {
    /// Architecture.
    pub arch: Arch,
    /// Full name on a node with its tag: `registry.k8s.io/kube-apiserver:v1.34.2`.
    pub name: String,
    /// Name of the source.
    pub source: String,
    /// Repository below the source's base.
    pub repository: String,
    /// Tag that was looked up.
    pub tag: String,
    /// The multi-platform index, where the tag named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Blob>,
    /// The image's manifest for the architecture.
    pub manifest: Blob,
    /// Its configuration.
    pub config: Blob,
    /// Its layers, lowest first.
    pub layers: Vec<Blob>,
    /// How the digest came to be trusted.
    pub proof: Proof,
    /// Roles that carry it.
    pub why: Vec<Why>,
}

/// A manifest of the user's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Addon {
    /// Its name in the cluster file.
    pub name: String,
    /// Where it comes from.
    pub origin: AddonOrigin,
    /// Size in bytes.
    pub size: u64,
    /// Digest.
    pub sha256: Digest,
    /// Full names with tags of all images that it starts; each is among `images`.
    pub images: Vec<String>,
}

impl Addon {
    /// Whether it is what is asked for: of this name, from there.
    pub fn answers(&self, need: &AddonRequirement) -> bool {
        self.name == need.name && self.origin == need.origin
    }
}

/// Content of a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Blob {
    /// OCI or Docker media type.
    pub media_type: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest of the raw bytes.
    pub sha256: Digest,
}
