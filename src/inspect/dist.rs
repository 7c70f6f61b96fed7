//! Reads a delivered directory and proves that it is what its manifests say.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use walkdir::WalkDir;

use super::bundle::{BundleReport, bundle};
use super::error::InspectError;
use crate::deliver::manifest::{BUNDLES, FORMAT, FileRecord, KIND, MANIFEST, Manifest, PUBLIC, SECRET, SUMS};
use crate::digest::Digest;
use crate::render::tree::TargetPath;

/// A manifest or list of more bytes than this is not one of ours.
const MOST_MANIFEST: u64 = 64 << 20;

/// A delivered directory, and everything that is wrong with it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DistReport {
    /// The directory.
    pub path: PathBuf,
    /// The public files.
    pub public: Manifest,
    /// The secret files; absent where only the public part was copied.
    pub secret: Option<Manifest>,
    /// Every bundle that could be proven, by its path below `public/`.
    pub bundles: Vec<(String, BundleReport)>,
    /// What is wrong; nothing, if it is as it was delivered.
    #[serde(skip)]
    pub problems: Vec<InspectError>,
}

/// Reads the directory at `path`: what was delivered as a whole, or its `public` part alone.
///
/// # Errors
/// A directory without a readable manifest. Whatever is wrong below it goes into [`DistReport::problems`], all at once.
pub fn dist(path: &Path) -> Result<DistReport, InspectError> {
    let inner = path.join(PUBLIC);
    let (public_path, secret_path) =
        if inner.join(MANIFEST).exists() { (inner, Some(path.join(SECRET))) } else { (path.to_path_buf(), None) };
    let public = read_manifest(&public_path)?;
    let mut report =
        DistReport { path: path.to_path_buf(), public, secret: None, bundles: Vec::new(), problems: Vec::new() };
    report.problems.extend(check_files(&public_path, &report.public, Modes { directory: 0o755, file: 0o644 }));
    for (name, record) in &report.public.files {
        if name.strip_prefix(BUNDLES).is_none_or(|rest| !rest.starts_with('/')) || !is_safe(name) {
            continue;
        }
        let file = public_path.join(name);
        match bundle(&file) {
            Ok(found) if found.pieces == record.pieces => report.bundles.push((name.clone(), found)),
            Ok(_) => {
                let reason = "its layers are not where the manifest says";
                report.problems.push(InspectError::wrong(&file, "the table of layers", reason));
            }
            Err(problem) => report.problems.push(problem),
        }
    }
    if let Some(secret_path) = secret_path.filter(|path| path.exists()) {
        let secret = read_manifest(&secret_path)?;
        report.problems.extend(check_files(&secret_path, &secret, Modes { directory: 0o700, file: 0o600 }));
        report.secret = Some(secret);
    }
    Ok(report)
}

/// The modes that everything below a directory has.
#[derive(Clone, Copy)]
struct Modes {
    directory: u32,
    file: u32,
}

/// The manifest in `directory`, which is one half of a delivery. Whether it holds is not looked at.
///
/// # Errors
/// None there, or one of another kind or version.
pub fn read_manifest(directory: &Path) -> Result<Manifest, InspectError> {
    let path = directory.join(MANIFEST);
    let foreign = |reason: String| InspectError::Foreign { path: directory.to_path_buf(), reason };
    let text = read_limited(&path).map_err(|e| foreign(format!("its {MANIFEST} cannot be read ({e})")))?;
    /// The mark and the version alone, so that a newer format is named as what it is.
    #[derive(serde::Deserialize)]
    struct Version {
        kind: String,
        format: u32,
    }
    let bad = |e: serde_json::Error| foreign(format!("its {MANIFEST} cannot be read ({e})"));
    let version: Version = serde_json::from_slice(&text).map_err(bad)?;
    if version.kind != KIND {
        return Err(foreign(format!("its {MANIFEST} is of kind {:?}", version.kind)));
    }
    if version.format != FORMAT {
        return Err(InspectError::Newer { path, format: version.format });
    }
    serde_json::from_slice(&text).map_err(bad)
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MOST_MANIFEST).read_to_end(&mut text)?;
    Ok(text)
}

/// Whether a path of a manifest stays below it.
fn is_safe(path: &str) -> bool {
    format!("/{path}").parse::<TargetPath>().is_ok()
}

fn check_files(directory: &Path, manifest: &Manifest, modes: Modes) -> Vec<InspectError> {
    let mut problems = Vec::new();
    for (name, record) in &manifest.files {
        if is_safe(name) {
            problems.extend(check_file(&directory.join(name), name, record).err());
        } else {
            problems.push(InspectError::wrong(&directory.join(MANIFEST), format!("{name:?}"), "its path is unsafe"));
        }
    }
    problems.extend(check_sums(directory, manifest).err());
    problems.extend(check_tree(directory, manifest, modes));
    problems
}

fn check_file(path: &Path, name: &str, record: &FileRecord) -> Result<(), InspectError> {
    let found = fs::symlink_metadata(path).map_err(InspectError::io(path))?;
    if !found.is_file() {
        return Err(InspectError::wrong(path, name, "it is no regular file"));
    }
    let (actual, size) = File::open(path).and_then(Digest::of_reader).map_err(InspectError::io(path))?;
    if actual != record.sha256 {
        let (path, part, expected) = (path.to_path_buf(), "the content".to_owned(), record.sha256);
        return Err(InspectError::Digest { path, part, expected, actual });
    }
    if size == record.size { Ok(()) } else { Err(InspectError::wrong(path, name, "the manifest names another size")) }
}

fn check_sums(directory: &Path, manifest: &Manifest) -> Result<(), InspectError> {
    let path = directory.join(SUMS);
    let json = read_limited(&directory.join(MANIFEST)).map_err(InspectError::io(directory))?;
    let sums = read_limited(&path).map_err(InspectError::io(&path))?;
    if sums == manifest.sums(&json).into_bytes() {
        Ok(())
    } else {
        Err(InspectError::wrong(&path, "the list", "it does not agree with the manifest"))
    }
}

/// Nothing that the manifest does not list, and no other modes.
fn check_tree(directory: &Path, manifest: &Manifest, modes: Modes) -> Vec<InspectError> {
    let mut problems = Vec::new();
    let mut known: BTreeSet<PathBuf> = [MANIFEST, SUMS].iter().map(|name| directory.join(name)).collect();
    known.extend(manifest.files.keys().filter(|name| is_safe(name)).map(|name| directory.join(name)));
    for entry in WalkDir::new(directory).sort_by_file_name() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => {
                problems.push(InspectError::io(directory)(e.into()));
                continue;
            }
        };
        let is_directory = entry.file_type().is_dir();
        if !is_directory && !known.contains(entry.path()) {
            problems.push(InspectError::wrong(
                directory,
                entry.path().display().to_string(),
                "the manifest does not list it",
            ));
            continue;
        }
        let expected = if is_directory { modes.directory } else { modes.file };
        match entry.metadata() {
            Ok(found) if found.permissions().mode() & 0o7777 == expected => {}
            Ok(found) => {
                let mode = found.permissions().mode() & 0o7777;
                let reason = format!("its mode is {mode:04o} instead of {expected:04o}");
                problems.push(InspectError::wrong(entry.path(), "the mode", reason));
            }
            Err(e) => problems.push(InspectError::io(entry.path())(e.into())),
        }
    }
    problems
}
