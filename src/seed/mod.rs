//! Seeds: what one machine is given so that it becomes one node, as cloud-init's NoCloud data source reads it.
//!
//! A seed names its bundle by digest and carries the node's own files, the secret ones too. It installs no package and runs
//! one thing: stage 0, which finds the bundle and hands over to khimg.

mod handed;
mod network;
mod user_data;

use serde::Serialize;

use crate::cluster::Cluster;
use crate::digest::Digest;
use crate::exit::{Exit, Explain};
use crate::render::{NodeFiles, REPORT_TOKEN_PATH};
use crate::secrets::Secret;
pub use handed::{Form, Handed};
use user_data::Content;

/// Where stage 0 reads what to look for.
pub const STAGE0_CONF: &str = "/etc/khimg/stage0.conf";

/// The three files of a NoCloud seed.
#[derive(Debug, Clone)]
pub struct Seed {
    /// `user-data`: holds secrets.
    pub user_data: Secret<String>,
    /// `meta-data`.
    pub meta_data: String,
    /// `network-config`.
    pub network_config: String,
    /// What stage 0 has to find.
    pub bundle: BundleRef,
    /// What the platform is given where that is not NoCloud.
    pub handed: Option<Handed>,
    /// The digest of what the node proves its reports with, one line of hex: for `khimg serve`, which need not know the token.
    pub report: Option<String>,
}

impl Seed {
    /// Whether the node needs a disc for want of another way.
    pub fn needs_disc(&self) -> bool {
        self.handed.as_ref().is_some_and(|handed| handed.form == Form::Disc)
    }
}

/// A file of a depot, named so that it can be proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepotFile {
    /// Path below `dist/public`, such as `bundles/master-debian-12-amd64.tar.zst`.
    pub path: String,
    /// Its digest.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// What stage 0 has to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleRef {
    /// The bundle of the node's role.
    pub bundle: DepotFile,
    /// Digests and sizes in bytes of what it consists of, in order: the blobs that a registry has of it.
    pub pieces: Vec<(Digest, u64)>,
    /// The khimg program for the node's architecture, which unpacks it: a machine need not have zstd.
    pub program: DepotFile,
}

/// Why there is no seed.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The files are those of a node that the cluster does not have.
    #[error("the cluster has no node {name:?}")]
    UnknownNode {
        /// The name.
        name: String,
    },
    /// A text that cannot stand in a shell's single quotes or between blanks.
    #[error("{what} {text:?} cannot be written into a seed: only letters, digits and ./:_~%+,=@-[] can")]
    BadText {
        /// What it is.
        what: &'static str,
        /// The text.
        text: String,
    },
    /// Compression failed.
    #[error("cannot compress {path} for the seed")]
    Compress {
        /// The file on the node.
        path: String,
        /// The reason.
        source: std::io::Error,
    },
    /// cloud-init would refuse the user-data.
    #[error("the user-data of {node} is not what cloud-init reads: {flaw}")]
    Schema {
        /// The node.
        node: String,
        /// What is wrong, without any value.
        flaw: String,
    },
    /// The serializer refused.
    #[error("cannot write {file} as YAML")]
    Yaml {
        /// Which file of the seed.
        file: &'static str,
        /// The serializer's reason.
        source: serde_saphyr::SerializeError,
    },
}

impl Explain for SeedError {
    fn exit(&self) -> Exit {
        match self {
            Self::UnknownNode { .. } | Self::BadText { .. } => Exit::BadInput,
            Self::Compress { .. } | Self::Schema { .. } | Self::Yaml { .. } => Exit::Unexpected,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::BadText { what, .. } => Some(format!("change {what} in the cluster file; escape a URL with %XX")),
            _ => None,
        }
    }
}

#[derive(Serialize)]
struct MetaData<'a> {
    #[serde(rename = "instance-id")]
    instance_id: &'a str,
    #[serde(rename = "local-hostname")]
    local_hostname: &'a str,
}

/// The seed of one node. Pure: the same inputs give the same bytes.
///
/// The instance id changes with the content, so that cloud-init applies a new seed and not the old one again.
///
/// # Errors
/// The node is not the cluster's, or a depot's URL holds what cannot be written safely.
pub fn seed(cluster: &Cluster, files: &NodeFiles, bundle: &BundleRef) -> Result<Seed, SeedError> {
    let found = cluster.nodes.iter().find(|node| node.name == files.name);
    let node = found.ok_or_else(|| SeedError::UnknownNode { name: files.name.clone() })?;
    let user_data = user_data::render(cluster, node, files, bundle, Content::Packed)?;
    let network_config = network::render(node)?;
    let content = Digest::of(format!("{}\0{network_config}", user_data.expose()).as_bytes());
    let instance_id = format!("{}-{}-{}", cluster.name, node.name, content.short());
    let meta_data = yaml("meta-data", &MetaData { instance_id: &instance_id, local_hostname: &node.name })?;
    let smaller = || user_data::render(cluster, node, files, bundle, Content::Text);
    let handed = handed::hand(&cluster.seeding, &node.name, &user_data, smaller)?;
    let mut all = files.secret.iter();
    let token = all.find_map(|(path, entry)| entry.bytes().filter(|_| path.as_str() == REPORT_TOKEN_PATH));
    let report = token.map(|token| format!("{}\n", Digest::of(token.trim_ascii()).hex()));
    Ok(Seed { user_data, meta_data, network_config, bundle: bundle.clone(), handed, report })
}

/// Block scalars off: cloud-init's reader is of YAML 1.1, and plain or quoted texts are the same in both.
fn yaml<T: Serialize>(file: &'static str, value: &T) -> Result<String, SeedError> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(value, options).map_err(|source| SeedError::Yaml { file, source })
}
