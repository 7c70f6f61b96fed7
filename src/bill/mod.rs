//! Bills of materials: what a lock, a bundle or a depot is made of, compared and told to other programs.
//!
//! ```text
//! khimg.lock, bundle, dist/ ─▶ bill ─┬▶ changes between two
//!                                    └▶ CycloneDX
//! ```

mod change;
pub mod cyclonedx;
mod error;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

pub use change::{Change, changes};
pub use error::BillError;

use crate::digest::Digest;
use crate::inspect::{self, BundleReport, Report};
use crate::lock::{self, Lock, Proof};
use crate::pack::What;

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A package of a package manager.
    Package,
    /// A plain file of a publisher.
    File,
    /// A container image.
    Image,
}

impl Kind {
    /// The name in texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::File => "file",
            Self::Image => "image",
        }
    }
}

/// Something that was made elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Part {
    /// Its version, or an image's tag.
    pub version: String,
    /// Digest of the package, the file or the image's manifest.
    pub sha256: Digest,
    /// Name of its source.
    pub source: String,
    /// How its digest came to be trusted.
    pub proof: Proof,
}

/// Which part: its kind, the system or architecture that it is for, its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Key {
    /// What it is.
    pub kind: Kind,
    /// `debian-12-amd64` for packages, `amd64` for the others.
    pub target: String,
    /// Its name, an image's without the tag.
    pub name: String,
}

/// What one lock or one bundle is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// What it is of: `khimg.lock`, or a bundle's `<role>-<os>-<arch>`.
    pub subject: String,
    /// Digest of the bundle's file, or of the lock's text.
    pub sha256: Digest,
    /// Its parts.
    pub parts: BTreeMap<Key, Part>,
    /// A bundle's files on the node, by their paths: digest, link or mode.
    pub files: BTreeMap<String, String>,
    /// A bundle's layers, by name.
    pub layers: BTreeMap<String, Digest>,
}

/// The bills of whatever stands at `path`: one of a lock or a bundle, one for each bundle of a depot.
///
/// # Errors
/// Nothing that can be read there, or something that is not what it says.
pub fn read(path: &Path) -> Result<Vec<Bill>, BillError> {
    let yaml = path.extension().is_some_and(|end| end == "lock" || end == "yaml");
    if yaml && path.is_file() {
        return Ok(vec![Bill::of_lock(&lock::read(path)?)?]);
    }
    match inspect::inspect(path)? {
        Report::Bundle(report) => Ok(vec![Bill::of_bundle(&report)]),
        Report::Dist(mut report) => match report.problems.is_empty() {
            true => Ok(report.bundles.iter().map(|(_, bundle)| Bill::of_bundle(bundle)).collect()),
            false => Err(report.problems.swap_remove(0).into()),
        },
    }
}

impl Bill {
    /// Of everything that a lock pins.
    ///
    /// # Errors
    /// A lock that cannot be written out.
    pub fn of_lock(lock: &Lock) -> Result<Self, BillError> {
        let mut parts = BTreeMap::new();
        for package in &lock.packages {
            let key = Key { kind: Kind::Package, target: package.target.to_string(), name: package.name.clone() };
            parts.insert(key, part(&package.version, package.sha256, &package.source, &package.proof));
        }
        for file in &lock.files {
            let key = Key { kind: Kind::File, target: file.arch.to_string(), name: file.name.clone() };
            parts.insert(key, part(&file.version, file.sha256, &file.source, &file.proof));
        }
        for image in &lock.images {
            let (name, tag) = image_name(&image.name);
            let key = Key { kind: Kind::Image, target: image.arch.to_string(), name };
            parts.insert(key, part(&tag, image.manifest.sha256, &image.source, &image.proof));
        }
        let sha256 = Digest::of(lock::to_yaml(lock)?.as_bytes());
        Ok(Self { subject: "khimg.lock".to_owned(), sha256, parts, files: BTreeMap::new(), layers: BTreeMap::new() })
    }

    /// Of a bundle.
    pub fn of_bundle(report: &BundleReport) -> Self {
        let contents = &report.contents;
        let (target, arch) = (contents.target.to_string(), contents.target.arch.to_string());
        let mut parts = BTreeMap::new();
        for package in &contents.packages {
            let key = Key { kind: Kind::Package, target: target.clone(), name: package.name.clone() };
            parts.insert(key, part(&package.version, package.sha256, &package.source, &package.proof));
        }
        for file in &contents.files {
            let key = Key { kind: Kind::File, target: arch.clone(), name: file.name.clone() };
            parts.insert(key, part(&file.version, file.sha256, &file.source, &file.proof));
        }
        for image in &contents.images {
            let (name, tag) = image_name(&image.name);
            let key = Key { kind: Kind::Image, target: arch.clone(), name };
            parts.insert(key, part(&tag, image.manifest, &image.source, &image.proof));
        }
        let files = report.members.iter().filter_map(|member| {
            let path = member.path.strip_prefix("rootfs")?;
            let what = match &member.what {
                What::Directory => return None,
                What::File { mode, sha256, .. } => format!("{mode:04o} {sha256}"),
                What::Link { target } => format!("-> {target}"),
            };
            Some((path.to_owned(), what))
        });
        Self {
            subject: contents.stem(),
            sha256: report.sha256,
            parts,
            files: files.collect(),
            layers: contents.layers.iter().map(|layer| (layer.name.clone(), layer.sha256)).collect(),
        }
    }

    /// The parts that `lock` does not have, or has otherwise.
    pub fn beyond(&self, lock: &Self) -> Vec<&Key> {
        let same = |(key, part): &(&Key, &Part)| lock.parts.get(key).is_some_and(|found| found.sha256 == part.sha256);
        self.parts.iter().filter(|entry| !same(entry)).map(|(key, _)| key).collect()
    }
}

fn part(version: &str, sha256: Digest, source: &str, proof: &Proof) -> Part {
    Part { version: version.to_owned(), sha256, source: source.to_owned(), proof: proof.clone() }
}

/// Name and tag. A port's colon has a slash behind it.
fn image_name(name: &str) -> (String, String) {
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name.to_owned(), tag.to_owned()),
        _ => (name.to_owned(), String::new()),
    }
}
