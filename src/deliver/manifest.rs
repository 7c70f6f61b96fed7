//! `manifest.json`: every delivered file with its digest, its role and where its bytes come from. And `SHA256SUMS`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::Role;
use crate::digest::Digest;
use crate::lock::Proof;
use crate::pack::{Bundle, Piece};
use crate::target::Target;

/// Directory for everybody.
pub const PUBLIC: &str = "public";

/// Directory for nobody but its owner.
pub const SECRET: &str = "secret";

/// Directory of the bundles below [`PUBLIC`].
pub const BUNDLES: &str = "bundles";

/// File name of a manifest.
pub const MANIFEST: &str = "manifest.json";

/// File name of the list for `sha256sum -c`.
pub const SUMS: &str = "SHA256SUMS";

/// Version of the manifest's format.
pub const FORMAT: u32 = 1;

/// What stands in [`Manifest::kind`]: the mark by which a directory is known as khimg's own.
pub const KIND: &str = "khimg-dist";

/// Lists the files of `public/` or of `secret/`, except itself and [`SUMS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// [`KIND`].
    pub kind: String,
    /// Version of the format: [`FORMAT`].
    pub format: u32,
    /// Version of the khimg that wrote it.
    pub khimg: String,
    /// The files by path below the manifest's directory.
    pub files: BTreeMap<String, FileRecord>,
}

/// One delivered file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileRecord {
    /// Size in bytes.
    pub size: u64,
    /// Digest.
    pub sha256: Digest,
    /// The role that it is for, if only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The base system that it is for, if only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The node that it is for, if only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Where its bytes come from.
    pub origins: Vec<Origin>,
    /// A bundle's layers: stretches that can be fetched and decompressed apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<Piece>,
}

/// Something that went into a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Origin {
    /// What it is: `package haproxy 2.6.12-1`, `rendered from the cluster file`.
    pub what: String,
    /// Name of the catalogue's source that it was locked to. A mirror is no origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Digest of the artifact, where it is one of the lock's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// How that digest came to be trusted; `unsigned` stays here for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

impl Origin {
    /// Something that khimg made itself.
    pub fn made(what: &str) -> Self {
        Self { what: what.to_owned(), source: None, sha256: None, proof: None }
    }

    fn locked(what: String, source: &str, sha256: Digest, proof: &Proof) -> Self {
        Self { what, source: Some(source.to_owned()), sha256: Some(sha256), proof: Some(proof.clone()) }
    }
}

impl FileRecord {
    /// The record of a bundle.
    pub(super) fn of_bundle(bundle: &Bundle) -> Self {
        let contents = &bundle.contents;
        let packages = contents.packages.iter().map(|package| {
            let what = format!("package {} {}", package.name, package.version);
            Origin::locked(what, &package.source, package.sha256, &package.proof)
        });
        let files = contents.files.iter().map(|file| {
            let what = format!("file {} {}", file.name, file.version);
            Origin::locked(what, &file.source, file.sha256, &file.proof)
        });
        let images = contents
            .images
            .iter()
            .map(|image| Origin::locked(format!("image {}", image.name), &image.source, image.manifest, &image.proof));
        let own = [Origin::made("khimg"), Origin::made("rendered from the cluster file and the overlays")];
        Self {
            size: bundle.size,
            sha256: bundle.sha256,
            role: Some(contents.role),
            target: Some(contents.target.clone()),
            node: None,
            origins: packages.chain(files).chain(images).chain(own).collect(),
            pieces: bundle.pieces(),
        }
    }

    /// The record of a file in memory.
    pub(super) fn of_bytes(bytes: &[u8], origin: Origin) -> Self {
        Self::new(bytes.len() as u64, Digest::of(bytes), origin)
    }

    /// The record of a file that belongs to no role.
    pub(super) fn new(size: u64, sha256: Digest, origin: Origin) -> Self {
        Self { size, sha256, role: None, target: None, node: None, origins: vec![origin], pieces: Vec::new() }
    }
}

impl Manifest {
    /// A manifest of these files.
    pub(super) fn new(files: BTreeMap<String, FileRecord>) -> Self {
        Self { kind: KIND.to_owned(), format: FORMAT, khimg: env!("CARGO_PKG_VERSION").to_owned(), files }
    }

    /// Its text.
    pub fn to_json(&self) -> Vec<u8> {
        // String keys, no floats: serialisation to memory has no way to fail.
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// The list for `sha256sum -c`, with the manifest itself whose text is `json`.
    pub(crate) fn sums(&self, json: &[u8]) -> String {
        let own = Digest::of(json);
        let files = self.files.iter().map(|(path, file)| (path.as_str(), &file.sha256));
        let mut lines: Vec<(&str, &Digest)> = files.chain([(MANIFEST, &own)]).collect();
        lines.sort_unstable();
        // Paths hold no backslash and no line break (`TargetPath`), so `sha256sum` needs no escapes.
        lines.iter().map(|(path, sha256)| format!("{}  {path}\n", sha256.hex())).collect()
    }
}
