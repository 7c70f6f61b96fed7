//! What is applied to the cluster beside the network and DNS: manifests of the user's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The largest manifest, in bytes: the API server takes objects of 1.5 MB, and the largest well-known manifests have some of them.
pub const LIMIT: u64 = 8 << 20;

/// A manifest that a master applies when the cluster stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addon {
    /// A DNS label, unique in the cluster.
    pub name: String,
    /// Where it comes from.
    pub origin: AddonOrigin,
    /// Its text, of a file beside the cluster file; one that has to be fetched has none yet.
    pub text: Option<String>,
    /// Images that it starts without naming them where containers do.
    pub images: Vec<String>,
}

/// Where a manifest comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum AddonOrigin {
    /// A file relative to the cluster file; its bytes are known when the cluster file is read.
    File {
        /// The path as the cluster file has it.
        path: String,
        /// Digest of its bytes.
        sha256: Digest,
    },
    /// A URL; the lock pins what it served.
    Url(String),
}

/// A manifest as the cluster file names it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddonFile {
    /// A name for it, a DNS label.
    pub name: String,
    /// A file, relative to the cluster file.
    #[serde(default)]
    pub file: Option<String>,
    /// Or where it is published.
    #[serde(default)]
    pub url: Option<String>,
    /// Images that it starts without naming them where containers do, such as those of an operator, with their tags.
    #[serde(default)]
    pub images: Vec<String>,
}
