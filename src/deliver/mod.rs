//! Deliver: bundles and seeds become a directory that can be served as it is.
//!
//! ```text
//! dist/public/bundles/<role>-<os>-<arch>.<format>   0644, reproducible, no secret
//! dist/public/manifest.json, SHA256SUMS             every public file
//! dist/secret/<node>/user-data, …                   0600 below 0700
//! dist/secret/<node>/cidata.iso                     the same as a disc, on request
//! dist/secret/manifest.json                         every secret file; apart, because secrets differ from cluster to cluster
//! ```
//!
//! The whole directory appears in one step; a build that dies leaves the former one.

mod disc;
mod error;
mod former;
pub mod manifest;
mod restore;
mod swap;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::cluster::Role;
use crate::digest::Digest;
use crate::pack::Bundle;
use crate::render::tree::TargetPath;
use crate::report::{self, Event, Reporter};
use crate::store::{Store, Verified};
use crate::target::Target;
pub use disc::{DISC, NodeDisc};
pub use error::DeliverError;
use former::Former;
use manifest::{BUNDLES, MANIFEST, PUBLIC, SECRET, SUMS};
pub use manifest::{FileRecord, Manifest, Origin};
pub use restore::{Restored, restore};
use swap::Staging;

/// What one node alone gets.
#[derive(Debug, Clone)]
pub struct NodeSeed<'a> {
    /// The node's name.
    pub node: &'a str,
    /// Its role.
    pub role: Role,
    /// Its base system.
    pub target: &'a Target,
    /// File name → content: `user-data`, `meta-data`, `network-config`.
    pub files: BTreeMap<&'a str, &'a [u8]>,
    /// What goes onto the node's disc, if it gets one.
    pub disc: Option<NodeDisc<'a>>,
}

/// What a further public file holds.
#[derive(Debug, Clone)]
pub enum PublicContent<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// A blob of the store, copied as a stream.
    Blob(&'a Verified),
}

/// A further public file, such as the lock.
#[derive(Debug, Clone)]
pub struct PublicFile<'a> {
    /// Path below `public/`.
    pub path: &'a str,
    /// Its content.
    pub content: PublicContent<'a>,
    /// Where it comes from, in a few words.
    pub origin: &'a str,
}

/// What was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The directory.
    pub path: PathBuf,
    /// The public files.
    pub public: Manifest,
    /// The secret files.
    pub secret: Manifest,
    /// How many bundles were there already, with the right bytes, and were taken over as they are.
    pub reused: usize,
}

impl Delivery {
    /// How many nodes have a seed.
    pub fn seeded_nodes(&self) -> usize {
        let nodes: BTreeSet<_> = self.secret.files.values().map(|file| &file.node).collect();
        nodes.len()
    }
}

/// Writes everything to a new directory and puts it at `out` in one step, in place of a former delivery. The bundles of that
/// one go to `store`, where the next delivery finds what has not changed.
///
/// # Errors
/// A place that holds something else, a bundle whose layers were damaged in the store, and whatever the disk refuses; in each
/// case `out` stays as it was.
pub fn deliver(
    bundles: &[Bundle],
    seeds: &[NodeSeed<'_>],
    files: &[PublicFile<'_>],
    out: &Path,
    store: &Store,
    reporter: &dyn Reporter,
) -> Result<Delivery, DeliverError> {
    let staging = Staging::begin(out)?;
    let mut former = Former::at(staging.place(), store);
    staging.directory(&Path::new(PUBLIC).join(BUNDLES), 0o755)?;
    staging.directory(Path::new(SECRET), 0o700)?;
    // Together: a processor that is done with its bundles takes what is left.
    let (written, blobs) = rayon::join(
        || bundles.par_iter().map(|bundle| write_bundle(bundle, &staging, &former, reporter)).collect::<Vec<_>>(),
        || files.par_iter().map(|file| write_blob(file, &staging)).collect::<Vec<_>>(),
    );
    let mut taken_over = BTreeSet::new();
    for (bundle, was_there) in bundles.iter().zip(written) {
        if was_there? {
            taken_over.insert(bundle.file_name());
        }
    }
    blobs.into_iter().collect::<Result<(), _>>()?;
    let mut public = Listed::default();
    for bundle in bundles {
        public.add(format!("{BUNDLES}/{}", bundle.file_name()), FileRecord::of_bundle(bundle))?;
    }
    for file in files {
        let (origin, below) = (Origin::made(file.origin), format!("{PUBLIC}/{}", file.path));
        match file.content {
            PublicContent::Bytes(bytes) => {
                public.add(file.path.to_owned(), FileRecord::of_bytes(bytes, origin))?;
                put(&staging, &below, bytes, (0o755, 0o644))?;
            }
            PublicContent::Blob(blob) => {
                public.add(file.path.to_owned(), FileRecord::new(blob.size(), blob.digest(), origin))?;
            }
        }
    }
    let mut secret = Listed::default();
    for seed in seeds {
        for (name, bytes) in &seed.files {
            let path = format!("{}/{name}", seed.node);
            let origin = Origin::made("rendered from the cluster file and its secrets");
            secret.add(path.clone(), of_node(seed, FileRecord::of_bytes(bytes, origin)))?;
            put(&staging, &format!("{SECRET}/{path}"), bytes, (0o700, 0o600))?;
        }
        if let Some(plan) = &seed.disc {
            let path = format!("{}/{DISC}", seed.node);
            let (size, sha256) = disc::write(seed, plan, &public, &staging, &format!("{SECRET}/{path}"))?;
            let origin = Origin::made("the files beside it, as an ISO 9660 image");
            secret.add(path, of_node(seed, FileRecord::new(size, sha256, origin)))?;
        }
    }
    let public = close(&staging, PUBLIC, public, (0o755, 0o644))?;
    let secret = close(&staging, SECRET, secret, (0o700, 0o600))?;
    staging.commit()?;
    for bundle in bundles.iter().filter(|bundle| !taken_over.contains(&bundle.file_name())) {
        let name = bundle.file_name();
        former.retire(&name, &staging.path(&format!("{PUBLIC}/{BUNDLES}/{name}")));
    }
    staging.clear();
    let path = staging.place().to_path_buf();
    former.remember(bundles, &path.join(PUBLIC).join(BUNDLES));
    Ok(Delivery { path, public, secret, reused: taken_over.len() })
}

/// The record as that of one node.
fn of_node(seed: &NodeSeed<'_>, record: FileRecord) -> FileRecord {
    let (node, role, target) = (Some(seed.node.to_owned()), Some(seed.role), Some(seed.target.clone()));
    FileRecord { node, role, target, ..record }
}

/// Nothing outside of the directory, and nothing that the delivery writes itself.
fn check_path(path: &str) -> Result<(), DeliverError> {
    let sound = format!("/{path}").parse::<TargetPath>().is_ok() && !path.contains('\\');
    if sound && path != MANIFEST && path != SUMS { Ok(()) } else { Err(DeliverError::Path { path: path.to_owned() }) }
}

/// Records by path, each path once and sound.
#[derive(Default)]
struct Listed(BTreeMap<String, FileRecord>);

impl Listed {
    fn add(&mut self, path: String, record: FileRecord) -> Result<(), DeliverError> {
        check_path(&path)?;
        if self.0.contains_key(&path) {
            return Err(DeliverError::Twice { path });
        }
        self.0.insert(path, record);
        Ok(())
    }
}

/// Writes the manifest and the sums of `directory`. The manifest is the mark of a delivery, so it must survive a loss of power.
fn close(staging: &Staging, directory: &str, files: Listed, modes: (u32, u32)) -> Result<Manifest, DeliverError> {
    let manifest = Manifest::new(files.0);
    let json = manifest.to_json();
    put(staging, &format!("{directory}/{SUMS}"), manifest.sums(&json).as_bytes(), modes)?;
    let file = put(staging, &format!("{directory}/{MANIFEST}"), &json, modes)?;
    file.sync_all().map_err(DeliverError::io("sync", &staging.path(directory)))?;
    Ok(manifest)
}

fn put(staging: &Staging, path: &str, bytes: &[u8], modes: (u32, u32)) -> Result<File, DeliverError> {
    let (directory_mode, file_mode) = modes;
    if let Some(parent) = Path::new(path).parent() {
        staging.directory(parent, directory_mode)?;
    }
    let mut file = staging.file(path, file_mode)?;
    file.write_all(bytes).map_err(DeliverError::io("write", &staging.path(path)))?;
    Ok(file)
}

/// Copies a blob into the new directory, proving it on the way.
fn write_blob(file: &PublicFile<'_>, staging: &Staging) -> Result<(), DeliverError> {
    let PublicContent::Blob(blob) = file.content else { return Ok(()) };
    check_path(file.path)?;
    let below = format!("{PUBLIC}/{}", file.path);
    let reader = blob.open().map_err(|source| DeliverError::Store { path: file.path.to_owned(), source })?;
    let mut out = put(staging, &below, &[], (0o755, 0o644))?;
    io::copy(&mut BufReader::with_capacity(1 << 18, reader), &mut out)
        .map_err(DeliverError::io("write", &staging.path(&below)))?;
    Ok(())
}

/// Puts a bundle's file into the new directory; says whether the former delivery had it.
fn write_bundle(
    bundle: &Bundle,
    staging: &Staging,
    former: &Former<'_>,
    reporter: &dyn Reporter,
) -> Result<bool, DeliverError> {
    let name = bundle.file_name();
    let below = format!("{PUBLIC}/{BUNDLES}/{name}");
    if take_over(bundle, former, &staging.previous(&below), &staging.path(&below)) {
        reporter.report(Event::Skipped { label: format!("deliver {name}"), reason: "it is there already".to_owned() });
        return Ok(true);
    }
    let task = report::next_task();
    reporter.report(Event::Started { task, label: format!("deliver {name}"), total: Some(bundle.size) });
    let result = copy_bundle(bundle, staging, former, &below);
    reporter.report(Event::Finished { task });
    result.map(|()| false)
}

fn copy_bundle(bundle: &Bundle, staging: &Staging, former: &Former<'_>, below: &str) -> Result<(), DeliverError> {
    let (mut out, there) = match former.begin(bundle, &staging.path(below)) {
        Some(begun) => begun,
        None => (staging.file(below, 0o644)?, 0),
    };
    let failed = |source| DeliverError::Bundle { bundle: bundle.file_name(), source: Box::new(source) };
    bundle.write_file(&mut out, there).map_err(failed)
}

/// Gives the former delivery's file a second name if its bytes are the bundle's: known, or read again. Any doubt means no.
fn take_over(bundle: &Bundle, former: &Former<'_>, previous: &Path, new: &Path) -> bool {
    let fits =
        |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == bundle.size);
    // Most others are known by their end.
    let ends_like = |mut file: File| {
        let mut end = Vec::new();
        file.seek(SeekFrom::End(-bundle.end_size().cast_signed()))?;
        file.take(bundle.end_size()).read_to_end(&mut end)?;
        Ok::<bool, io::Error>(bundle.ends_like(&end))
    };
    let same = |path: &Path| match former.digest(&bundle.file_name(), path) {
        Some(known) => known == bundle.sha256,
        None => {
            File::open(path).and_then(ends_like).is_ok_and(|alike| alike)
                && File::open(path).and_then(Digest::of_reader).is_ok_and(|(actual, _)| actual == bundle.sha256)
        }
    };
    fits(previous) && same(previous) && plain(previous) && fs::hard_link(previous, new).is_ok()
}

/// Restores the mode that a delivered file has.
fn plain(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).is_ok()
}
