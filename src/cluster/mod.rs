//! The cluster file as khimg trusts it: every value in range, every reference resolved, nothing left to check.
//!
//! As written by the user: [`file`]. From one to the other: [`check`].

pub mod addon;
pub mod check;
pub mod compat;
pub mod endpoint;
pub mod facts;
pub mod file;
mod image;
pub mod network;
pub mod node;
mod seeding;
pub mod uuid;

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use addon::{Addon, AddonOrigin};
pub use compat::Compat;
pub use endpoint::{Endpoint, EndpointMode};
pub use image::ImageChoice;
pub use network::{Cni, Coredns, Dns, KubeProxy, Network};
pub use node::{Mac, Node, Role};
pub use seeding::{Disc, Platform, Reports, Seeding};
use seeding::{OCI, OCI_HTTP};
pub use uuid::Uuid;

use crate::catalog::{Catalog, Packaging};
use crate::config::{Document, Problems};
use crate::kubernetes::{Runtime, VersionRequest};
use crate::target::Target;

/// The cluster file that `khimg init` writes, and that a build without a cluster file takes.
pub const EXAMPLE: &str = include_str!("../../profiles/examples/cluster.yaml");

/// Reads and checks the cluster file at `path`; key files that it names lie relative to its directory.
///
/// # Errors
/// A file that cannot be read, and everything that is wrong with it, at once.
pub fn load(path: &Path, catalog: &Catalog) -> Result<Cluster, Problems> {
    let dir = path.parent().unwrap_or(Path::new(""));
    checked(&Document::read(path)?, dir, catalog)
}

/// Checks a cluster file's `text`; `name` is what problems call it, and key files that it names lie relative to `dir`.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn parse(name: &str, text: &str, dir: &Path, catalog: &Catalog) -> Result<Cluster, Problems> {
    checked(&Document::parse(name, text)?, dir, catalog)
}

fn checked(document: &Document, dir: &Path, catalog: &Catalog) -> Result<Cluster, Problems> {
    document.decode_and(|file: file::ClusterFile| check::check(&file, document, dir, catalog))
}

/// A cluster, valid by construction: only [`check::check`] makes one from a user's file.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// A DNS label; names the etcd cluster, the seeds' instance ids and the output.
    pub name: String,
    /// The version asked for; the lock pins the patch.
    pub kubernetes: VersionRequest,
    /// What nodes run on unless they say otherwise.
    pub target: Target,
    /// The container runtime of every node.
    pub runtime: Runtime,
    /// How the API is reached.
    pub endpoint: Endpoint,
    /// Where etcd runs.
    pub etcd: EtcdMode,
    /// How the first control planes come up.
    pub bootstrap: Bootstrap,
    /// Pod and service networks.
    pub network: Network,
    /// Mirror names in order of trial.
    pub mirrors: Vec<String>,
    /// The user's own mirrors: mirror name → source name → base URL.
    pub mirror_definitions: BTreeMap<String, BTreeMap<String, String>>,
    /// What the user says about the trust in a source: source name → trust.
    pub trust: BTreeMap<String, Trust>,
    /// The user's choices per component: component name → choice.
    pub components: BTreeMap<String, ComponentChoice>,
    /// Settings that khimg would choose otherwise.
    pub compat: Compat,
    /// Manifests that are applied to the cluster, in order.
    pub addons: Vec<Addon>,
    /// URLs under which nodes may find `dist/public`, in order of trial; may be empty.
    pub depots: Vec<String>,
    /// How machines are given their seeds.
    pub seeding: Seeding,
    /// What images of machines hold beside their bundle.
    pub image: ImageChoice,
    /// For how long after the cluster's formation a seed may still join.
    pub join_until: jiff::SignedDuration,
    /// For how long the seeds' token lives while no master renews it.
    pub token_life: jiff::SignedDuration,
    /// All machines, in the order of the file.
    pub nodes: Vec<Node>,
}

/// Where etcd runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EtcdMode {
    /// On the masters, as a static pod.
    Stacked,
    /// On nodes of role `etcd`.
    External,
}

/// How the first control planes come up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bootstrap {
    /// All masters at once; etcd's consensus is the only arbiter.
    Symmetric,
    /// The first master in the file initialises, the others join.
    InitJoin,
}

/// What the user says about the trust in one source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trust {
    /// Signatures by these keys, instead of the catalogue's.
    Keys {
        /// Full fingerprints, upper-case hex.
        fingerprints: Vec<String>,
        /// The public keys themselves, ASCII-armoured, as read from the files that the cluster file names.
        armored: Vec<String>,
    },
    /// No signature at all: the explicit word that the manifest repeats for ever.
    Unsigned,
}

/// What the user says about one component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ComponentChoice {
    /// A version, exact or with a trailing `*`, instead of the catalogue's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `package`, `vendor`, `file` or `image`, where the catalogue has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Packaging>,
}

impl Cluster {
    /// Whether some depot of nodes is a repository of a registry.
    pub fn has_registry_depot(&self) -> bool {
        let is_registry =
            |depot: &String| depot.split("://").next().is_some_and(|scheme| [OCI, OCI_HTTP].contains(&scheme));
        self.depots.iter().any(is_registry)
    }

    /// The base system of `node`.
    pub fn target_of<'a>(&'a self, node: &'a Node) -> &'a Target {
        node.target.as_ref().unwrap_or(&self.target)
    }

    /// The nodes of one role, in the order of the file.
    pub fn nodes_of(&self, role: Role) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.role == role)
    }
}
