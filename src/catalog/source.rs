//! Where artifacts come from. A source is an identity; its mirrors are only transport.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One source of artifacts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// A Debian package repository.
    Apt(AptSource),
    /// rpm package repositories.
    Yum(YumSource),
    /// Plain files over HTTP.
    File(FileSource),
    /// A container registry.
    Registry(RegistrySource),
}

/// A Debian package repository. Texts may hold `{codename}`, `{minor}`, `{arch}` ([`super::Vars`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AptSource {
    /// How its tree is laid out.
    pub layout: AptLayout,
    /// Who may sign it: full fingerprints of primary keys, upper-case hex.
    pub fingerprints: Vec<String>,
    /// Names of key files under `profiles/catalog/keys/`.
    #[serde(default)]
    pub keys: Vec<String>,
    /// A path below the base where the repository publishes its key; accepted only if its fingerprint is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_path: Option<String>,
    /// The publisher has stopped: a key that has expired since is good for what it signed before. Said in a warning each time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frozen: bool,
    /// Mirror name → base URL. `system` is filled in from the build machine when the entry says `system`.
    pub mirrors: BTreeMap<String, String>,
}

/// The two layouts of a Debian package repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum AptLayout {
    /// `dists/<suite>/<component>/binary-<arch>/Packages`.
    Suite {
        /// Suites, all of which belong to the source.
        suites: Vec<String>,
        /// Components of each suite.
        components: Vec<String>,
    },
    /// `Release` and `Packages` lie at the base itself.
    Flat {},
}

/// rpm package repositories that have one signer. Texts may hold `{codename}`, `{el}`, `{minor}`, `{machine}` ([`super::Vars`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct YumSource {
    /// Directories below the base that hold a `repodata`, all of which belong to the source; `.` for the base itself.
    pub repositories: Vec<String>,
    /// What the signature is over.
    pub signed: YumSigned,
    /// Who may sign it: full fingerprints of primary keys, upper-case hex.
    pub fingerprints: Vec<String>,
    /// Names of key files under `profiles/catalog/keys/`.
    #[serde(default)]
    pub keys: Vec<String>,
    /// A path below the base where the repository publishes its key; accepted only if its fingerprint is pinned. Not where
    /// packages are signed: they are also checked where there is no network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_path: Option<String>,
    /// The publisher has stopped: a key that has expired since is good for what it signed before. Said in a warning each time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frozen: bool,
    /// Mirror name → base URL.
    pub mirrors: BTreeMap<String, String>,
}

/// What of an rpm repository is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum YumSigned {
    /// `repomd.xml`, by `repomd.xml.asc`; from there, digests lead to each package.
    Metadata,
    /// Each package, and not what lists them. A mirror can then hide packages or offer old ones, but none of its own.
    Packages,
}

/// Plain files over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileSource {
    /// Mirror name → base URL.
    pub mirrors: BTreeMap<String, String>,
}

/// A container registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistrySource {
    /// Mirror name → `host[:port][/namespace]`, or with `http://` in front for a registry without TLS.
    pub mirrors: BTreeMap<String, String>,
    /// The registry in the names of images that it has: of those that manifests name, these are looked up here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Mirror name → repository → what that mirror calls it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub renames: BTreeMap<String, BTreeMap<String, String>>,
}

impl RegistrySource {
    /// The names under which `mirror` may hold `repository`, in order of trial.
    ///
    /// Of a mirror of the catalogue the name is known. One that the user defined is either a proxy of the original or a copy
    /// of one of the renaming mirrors: there the original's name comes first, then every other.
    pub fn repositories<'a>(&'a self, mirror: &str, repository: &'a str) -> Vec<&'a str> {
        let renamed = |names: &'a BTreeMap<String, String>| names.get(repository).map(String::as_str);
        if self.mirrors.contains_key(mirror) {
            return vec![self.renames.get(mirror).and_then(renamed).unwrap_or(repository)];
        }
        let mut names = vec![repository];
        for name in self.renames.values().filter_map(renamed) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

impl Source {
    /// Mirror name → base.
    pub fn mirrors(&self) -> &BTreeMap<String, String> {
        match self {
            Self::Apt(apt) => &apt.mirrors,
            Self::Yum(yum) => &yum.mirrors,
            Self::File(file) => &file.mirrors,
            Self::Registry(registry) => &registry.mirrors,
        }
    }
}

impl AptSource {
    /// Its suites; none for a flat repository.
    pub fn suites(&self) -> &[String] {
        match &self.layout {
            AptLayout::Suite { suites, .. } => suites,
            AptLayout::Flat {} => &[],
        }
    }
}
