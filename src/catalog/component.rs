//! A component: a named set of packages, files and images that belong together.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, Facts};

/// A named set of packages, files and images. Texts may hold variables ([`super::Vars`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Component {
    /// What it is, in one line.
    pub description: String,
    /// The forms and versions in which it can be had. The first that holds is taken unless the cluster file says otherwise under
    /// `components`; without any, there is nothing to choose.
    #[serde(default)]
    pub offers: Vec<Offer>,
    /// What its files may use only from some version on: a name for templates, and the first version that has it. The version is
    /// that of the first package or file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub since: BTreeMap<String, String>,
    /// Packages of the target's package manager; their dependencies follow by themselves.
    #[serde(default)]
    pub packages: Vec<PackageNeed>,
    /// Plain files.
    #[serde(default)]
    pub files: Vec<FileNeed>,
    /// Container images.
    #[serde(default)]
    pub images: Vec<ImageNeed>,
}

impl Component {
    /// Its offers that hold where these are the facts, the preferred one first.
    pub fn offers_where(&self, facts: &Facts) -> impl Iterator<Item = &Offer> {
        self.offers.iter().filter(move |offer| offer.when.holds(facts))
    }
}

/// One form in which a component can be had. What is taken becomes the fact `source.<component>` and the variable `{version}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Offer {
    /// `package`, `vendor`, `file` or `image`.
    pub source: Packaging,
    /// The version unless the cluster file names one: exact, with a trailing `*`, or `*` alone for the highest of all.
    pub version: String,
    /// When it can be had. May not depend on `source.<component>`.
    #[serde(default, skip_serializing_if = "Condition::is_empty")]
    pub when: Condition,
}

/// The form in which a component comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Packaging {
    /// A package of the operating system's own, or of Kubernetes' repository.
    Package,
    /// A package of its publisher's repository, where the operating system has one too: `containerd.io`, `docker-ce`.
    Vendor,
    /// A plain file with a known digest.
    File,
    /// Container images.
    Image,
}

impl Packaging {
    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::Vendor => "vendor",
            Self::File => "file",
            Self::Image => "image",
        }
    }
}

/// A package that a component asks for by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PackageNeed {
    /// The package's name.
    pub name: String,
    /// A version, exact or with a trailing `*`; the highest match wins. Without one: the highest of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Source names that may offer it beside the system's own; the same sources serve its dependencies.
    #[serde(default)]
    pub sources: Vec<String>,
    /// When it is needed at all.
    #[serde(default, skip_serializing_if = "Condition::is_empty")]
    pub when: Condition,
}

/// A plain file that a component asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileNeed {
    /// Name of the file in the lock and of its table of digests, such as `kubeadm`.
    pub name: String,
    /// Its exact version.
    pub version: String,
    /// Name of its source.
    pub source: String,
    /// Path below the source's base.
    pub path: String,
    /// Path of the publisher's checksum file below the base, for versions that the catalogue does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksums: Option<String>,
    /// Where it goes on a node.
    pub install: Install,
    /// When it is needed at all.
    #[serde(default, skip_serializing_if = "Condition::is_empty")]
    pub when: Condition,
}

/// What becomes of a plain file on a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Install {
    /// Copied to this absolute path, mode 0755.
    Program(String),
    /// A gzipped tar archive whose regular files go below a directory, mode kept as 0644 or 0755.
    Archive {
        /// Absolute path of the directory.
        to: String,
        /// How many leading path elements to drop.
        #[serde(default)]
        strip: usize,
        /// Only these entries, by their path after `strip`; all where empty.
        #[serde(default)]
        only: Vec<String>,
    },
}

/// A container image that a component asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageNeed {
    /// Name of its source.
    pub source: String,
    /// Repository below the source's base, such as `kube-apiserver`.
    pub repository: String,
    /// Its tag.
    pub tag: String,
    /// The name that it gets on a node, without the tag, such as `registry.k8s.io/kube-apiserver`.
    pub name: String,
    /// When it is needed at all.
    #[serde(default, skip_serializing_if = "Condition::is_empty")]
    pub when: Condition,
}
