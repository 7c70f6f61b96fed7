//! What every role of a cluster needs, before any version has been looked up. Pure: no network, no clock.

use serde::Serialize;

use crate::catalog::component::Install;
use crate::cluster::{AddonOrigin, Role};
use crate::digest::Digest;
use crate::kubernetes::VersionRequest;
use crate::target::Target;

/// What a whole cluster needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Requirements {
    /// The Kubernetes version asked for.
    #[serde(serialize_with = "as_text")]
    pub kubernetes: VersionRequest,
    /// One entry for each role and target that occurs, in order.
    pub roles: Vec<RoleRequirements>,
}

fn as_text<S: serde::Serializer>(value: &VersionRequest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// What one role on one target needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoleRequirements {
    /// The role.
    pub role: Role,
    /// The base system.
    pub target: Target,
    /// Packages by name, with the component that asks.
    pub packages: Vec<PackageRequirement>,
    /// Plain files.
    pub files: Vec<FileRequirement>,
    /// Images.
    pub images: Vec<ImageRequirement>,
    /// Manifests of the user's, whose images follow when they are read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addons: Vec<AddonRequirement>,
}

/// A package that a component asks for. `{kubernetes}` in `version` stays open until the patch is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PackageRequirement {
    /// The component that asks.
    pub component: String,
    /// The package's name.
    pub name: String,
    /// A version, exact or with a trailing `*`.
    pub version: Option<String>,
    /// Source names beside the system's own.
    pub sources: Vec<String>,
}

/// A plain file that a component asks for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileRequirement {
    /// The component that asks.
    pub component: String,
    /// Name of the file and of its table of digests.
    pub name: String,
    /// Its version; `{kubernetes}` stays open until the patch is known.
    pub version: String,
    /// Name of its source.
    pub source: String,
    /// Path below the source's base.
    pub path: String,
    /// Path of the publisher's checksum file.
    pub checksums: Option<String>,
    /// Where it goes on a node.
    pub install: Install,
}

/// An image that a component asks for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageRequirement {
    /// The component that asks.
    pub component: String,
    /// Name of its source.
    pub source: String,
    /// Repository below the source's base.
    pub repository: String,
    /// Its tag; may hold variables of the Kubernetes release: `{kubernetes}`, `{etcd}`, `{coredns}`, `{pause}`.
    pub tag: String,
    /// The name that it gets on a node, without the tag.
    pub name: String,
}

/// A manifest of the user's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AddonRequirement {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub origin: AddonOrigin,
    /// Its text, where it lies beside the cluster file; the origin has its digest.
    #[serde(skip)]
    pub text: Option<String>,
    /// Images that it does not name where containers do.
    pub images: Vec<String>,
}

impl AddonRequirement {
    /// Who asks for its images, as the lock says it. No component of the catalogue has a name with a space.
    pub fn component(&self) -> String {
        format!("{ADDON}{}", self.name)
    }
}

/// What the component of an addon's images begins with.
pub const ADDON: &str = "addon ";

impl RoleRequirements {
    /// The key of this role in a lock: `<role>-<os>-<arch>`.
    pub fn key(&self) -> String {
        format!("{}-{}", self.role, self.target)
    }

    /// The digest of all that this role needs of the Kubernetes version asked for; a lock records it to know whether it is stale.
    pub fn digest(&self, kubernetes: VersionRequest) -> Digest {
        // Every part serialises to JSON without fail: no maps with keys that are not strings, no floats.
        Digest::of(&serde_json::to_vec(&(kubernetes.to_string(), self)).unwrap_or_default())
    }
}
