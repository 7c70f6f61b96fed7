//! The files that are served: those of the depot's manifest and those of one directory with what machines boot. Nothing else
//! has a path here, so that there is nothing to climb to.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use walkdir::WalkDir;

use super::error::ServeError;
use crate::deliver::manifest::{MANIFEST, Manifest, PUBLIC, SECRET, SUMS};
use crate::digest::Digest;
use crate::inspect;
use crate::render::tree::TargetPath;

/// A file that may be read by whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its entity tag, in quotes: strong, from its content or, for what machines boot, its size and time.
    pub etag: String,
}

impl Entry {
    /// Opens it, unless something else has taken its place.
    ///
    /// # Errors
    /// What the file system refuses; a link, or another size.
    pub fn open(&self) -> std::io::Result<File> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(&self.path)?;
        let meta = file.metadata()?;
        if meta.is_file() && meta.len() == self.size {
            return Ok(file);
        }
        Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "it was changed since it was listed"))
    }
}

/// What one delivery consists of.
#[derive(Debug, Default)]
pub struct Delivered {
    /// The public files by their path below `public/`.
    pub public: BTreeMap<String, Entry>,
    /// Node → its secret files by name, with their digests.
    pub secret: BTreeMap<String, BTreeMap<String, SecretFile>>,
}

/// A file of a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its digest.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl Delivered {
    /// Reads both manifests below `dist`. A depot without its secret half serves bundles alone.
    fn read(dist: &Path) -> Result<Self, ServeError> {
        let public_path = dist.join(PUBLIC);
        let manifest = inspect::read_manifest(&public_path)?;
        let mut public = BTreeMap::new();
        for (name, record) in sound(&manifest) {
            let etag = format!("\"{}\"", record.sha256.hex());
            public.insert(name.clone(), Entry { path: public_path.join(name), size: record.size, etag });
        }
        for name in [MANIFEST, SUMS] {
            let path = public_path.join(name);
            let bytes = fs::read(&path).map_err(ServeError::io("read", &path))?;
            let etag = format!("\"{}\"", Digest::of(&bytes).hex());
            public.insert(name.to_owned(), Entry { path, size: bytes.len() as u64, etag });
        }
        let secret_path = dist.join(SECRET);
        let mut secret: BTreeMap<String, BTreeMap<String, SecretFile>> = BTreeMap::new();
        if secret_path.exists() {
            let manifest = inspect::read_manifest(&secret_path)?;
            for (name, record) in sound(&manifest) {
                if let (Some(node), Some((_, file))) = (&record.node, name.split_once('/')) {
                    let found = SecretFile { path: secret_path.join(name), sha256: record.sha256, size: record.size };
                    secret.entry(node.clone()).or_default().insert(file.to_owned(), found);
                }
            }
        }
        Ok(Self { public, secret })
    }
}

fn sound(manifest: &Manifest) -> impl Iterator<Item = (&String, &crate::deliver::FileRecord)> {
    manifest.files.iter().filter(|(name, _)| format!("/{name}").parse::<TargetPath>().is_ok())
}

/// The delivery in a directory, read again when a build has put another one there.
pub struct Depot {
    dist: PathBuf,
    now: Mutex<(Stamp, Arc<Delivered>)>,
}

/// A file that was written anew has another number or another time.
type Stamp = Option<(u64, i64, i64)>;

impl Depot {
    /// Reads the manifests below `dist`.
    ///
    /// # Errors
    /// No delivery there.
    pub fn open(dist: &Path) -> Result<Self, ServeError> {
        let stamp = stamp(dist);
        let now = Mutex::new((stamp, Arc::new(Delivered::read(dist)?)));
        Ok(Self { dist: dist.to_path_buf(), now })
    }

    /// What is delivered now. While another delivery cannot be read, the former one.
    pub fn now(&self) -> Arc<Delivered> {
        let stamp = stamp(&self.dist);
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp.is_some()
            && stamp != now.0
            && let Ok(delivered) = Delivered::read(&self.dist)
        {
            *now = (stamp, Arc::new(delivered));
        }
        Arc::clone(&now.1)
    }
}

fn stamp(dist: &Path) -> Stamp {
    let meta = fs::metadata(dist.join(PUBLIC).join(MANIFEST)).ok()?;
    Some((meta.ino(), meta.ctime(), meta.ctime_nsec()))
}

/// All plain files below `directory`, by their path below it: kernels, initial file systems and roots that machines boot.
///
/// # Errors
/// A directory that cannot be read.
pub fn below(directory: &Path) -> Result<BTreeMap<String, Entry>, ServeError> {
    let mut found = BTreeMap::new();
    for entry in WalkDir::new(directory).sort_by_file_name() {
        let entry = entry.map_err(|error| ServeError::io("read", directory)(error.into()))?;
        let Some(name) = entry.path().strip_prefix(directory).ok().and_then(Path::to_str) else { continue };
        if entry.file_type().is_file() && format!("/{name}").parse::<TargetPath>().is_ok() {
            let meta = entry.metadata().map_err(|error| ServeError::io("read", directory)(error.into()))?;
            let etag = format!("\"{:x}-{:x}-{:x}\"", meta.len(), meta.mtime(), meta.mtime_nsec());
            found.insert(name.to_owned(), Entry { path: entry.path().to_path_buf(), size: meta.len(), etag });
        }
    }
    Ok(found)
}
