//! `bundle.json`, the last file of every bundle, because every change changes it: what is in it, where each piece comes from, and how it was proven.

use serde::{Deserialize, Serialize};

use super::compress::Parameters;
use super::layer::Layer;
use super::member::Listing;
use crate::cluster::Role;
use crate::digest::Digest;
use crate::kubernetes::KubernetesVersion;
use crate::lock::Proof;
use crate::target::Target;

/// Path of the table of contents in a bundle.
pub const CONTENTS: &str = "bundle.json";

/// Version of the bundle's format.
pub const FORMAT: u32 = 2;

/// The table of contents of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contents {
    /// Version of the format: [`FORMAT`].
    pub format: u32,
    /// Version of the khimg that made it.
    pub khimg: String,
    /// The role that it is for.
    pub role: Role,
    /// The base system that it is for.
    pub target: Target,
    /// The Kubernetes version, in roles that run Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesVersion>,
    /// All layers before the one that holds this file, in order.
    pub layers: Vec<LayerEntry>,
    /// Packages, ordered by name.
    pub packages: Vec<PackageEntry>,
    /// Plain files, ordered by name.
    pub files: Vec<FileEntry>,
    /// Container images, ordered by name.
    pub images: Vec<ImageEntry>,
    /// systemd units.
    pub units: Units,
    /// Everything above that nobody signed and no published digest proves: the user said that it may be so.
    pub unsigned: Vec<String>,
}

/// systemd units that a role switches on and off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Units {
    /// To enable at boot.
    pub enable: Vec<String>,
    /// To mask.
    pub mask: Vec<String>,
}

/// A layer, as the table of contents names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LayerEntry {
    /// Name.
    pub name: String,
    /// Digest of the compressed layer.
    pub sha256: Digest,
    /// Size of the compressed layer in bytes.
    pub size: u64,
    /// Size in bytes before compression.
    pub raw_size: u64,
    /// How it was compressed.
    pub compression: Parameters,
    /// What it holds, summed up.
    pub members: Listing,
}

impl From<&Layer> for LayerEntry {
    fn from(layer: &Layer) -> Self {
        Self {
            name: layer.name.clone(),
            sha256: layer.blob.digest(),
            size: layer.blob.size(),
            raw_size: layer.raw_size,
            compression: layer.parameters.clone(),
            members: layer.listing(),
        }
    }
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PackageEntry {
    /// Name.
    pub name: String,
    /// Full version.
    pub version: String,
    /// Architecture, as the package says it.
    pub arch: String,
    /// Path in the bundle.
    pub file: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest of the package file.
    pub sha256: Digest,
    /// Name of its source.
    pub source: String,
    /// How the digest came to be trusted.
    pub proof: Proof,
}

/// A plain file, or what was taken out of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileEntry {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Where it goes on a node: a file, or the directory that an archive was unpacked to.
    pub path: String,
    /// Digest of the file as it was published.
    pub sha256: Digest,
    /// Name of its source.
    pub source: String,
    /// How the digest came to be trusted.
    pub proof: Proof,
}

/// A container image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageEntry {
    /// Full name on a node, with its tag.
    pub name: String,
    /// Path in the bundle of an archive that `ctr image import` and `docker load` read.
    pub file: String,
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Digest of its configuration, which Docker takes for the image's id.
    pub config: Digest,
    /// Name of its source.
    pub source: String,
    /// Repository below the source.
    pub repository: String,
    /// How the digest came to be trusted.
    pub proof: Proof,
}

impl Contents {
    /// The text of `bundle.json`.
    pub fn to_json(&self) -> Vec<u8> {
        // String keys, no floats: serialisation to memory has no way to fail.
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// File name of the bundle without the format's ending: `<role>-<os>-<arch>`.
    pub fn stem(&self) -> String {
        format!("{}-{}", self.role, self.target)
    }
}
