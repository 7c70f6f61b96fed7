//! The store: proven bytes on this machine, named by their digest.
//!
//! ```text
//! <root>/lock                   shared while a command works, exclusive for `gc`
//! <root>/blobs/sha256/ab/<hex>  complete and proven; written once, renamed into place
//! <root>/partial/<hex>          a download under way, beside `<hex>.lock` of the process that has it
//! <root>/memo/<kind>/<hex>      key → digest of the blob that was derived from it
//! <root>/spare/<hex>            a delivered file that was replaced: the next one may begin with the same bytes
//! <root>/tmp/                   what is being written
//! ```
//!
//! Bytes enter only through a hash: every way in ends in [`Verified`], and nobody else can make one.

mod directory;
mod error;
mod memo;
mod partial;
mod spare;
mod stamp;
mod upkeep;
mod verified;
mod writer;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::Digest;
pub use error::StoreError;
pub use partial::{Claim, Partial};
pub use stamp::Stamp;
pub use upkeep::{Checked, Damage, Freed};
pub use verified::{Reader, Verified};
pub use writer::{MAX_BLOB, Writer};

/// A content-addressed store on disk. Cheap to clone; clones are the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    /// Held as long as the store is open, so that `gc` of another process cannot take away what this one relies on.
    session: File,
}

impl Store {
    /// Opens the store at `root` and makes it if need be. Waits while another process collects garbage.
    ///
    /// Whoever opens it while nobody else uses it clears what killed processes left half-written (`tmp`); partial
    /// downloads stay, they can be resumed.
    ///
    /// # Errors
    /// A directory or the lock file that cannot be made.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let root = std::path::absolute(root).map_err(|e| StoreError::io("find", root, e))?;
        for below in ["", "blobs/sha256", "partial", "memo", "spare", "tmp"] {
            directory::create(&root, Path::new(below))?;
        }
        let path = root.join("lock");
        let session = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| StoreError::io("open", &path, e))?;
        match session.try_lock() {
            Ok(()) => directory::clear(&root.join("tmp"))?,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => return Err(StoreError::io("lock", &path, e)),
        }
        session.lock_shared().map_err(|e| StoreError::io("lock", &path, e))?;
        Ok(Self { inner: Arc::new(Inner { root, session }) })
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// The blob with this digest, if the store has it.
    ///
    /// Looks only at its name and kind: its bytes were proven when they came in and are proven again whenever they are read
    /// to the end through [`Verified::open`].
    ///
    /// # Errors
    /// A store that cannot be read.
    pub fn get(&self, digest: &Digest) -> Result<Option<Verified>, StoreError> {
        let path = self.blob_path(digest);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => Ok(Some(Verified::new(*digest, found.len(), path))),
            Ok(_) => Err(StoreError::NotAFile { path }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io("read", &path, e)),
        }
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let mut path = self.inner.root.join("blobs/sha256");
        path.push(hex.get(..2).unwrap_or_default());
        path.push(hex);
        path
    }

    fn blob_directory(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        let hex = digest.hex();
        let below = Path::new("blobs/sha256").join(hex.get(..2).unwrap_or_default());
        directory::create(&self.inner.root, &below)
    }
}
