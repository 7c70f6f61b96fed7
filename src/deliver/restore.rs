//! A delivery that was made elsewhere, put together again from the blobs that it travelled as.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::DeliverError;
use super::manifest::SECRET;
use super::swap::Staging;
use crate::digest::Digest;
use crate::store::{Store, StoreError};

/// A file of a delivery, as blobs of the store.
#[derive(Debug, Clone)]
pub struct Restored<'a> {
    /// Path below the delivered directory.
    pub path: &'a str,
    /// Whether nobody but its owner may read it.
    pub secret: bool,
    /// Its pieces, in order.
    pub pieces: &'a [Digest],
}

/// Puts `files` at `out` in one step, in place of a former delivery. Each piece is proven while it is copied.
///
/// # Errors
/// Seeds at `out` that the files have not; a blob that is missing or damaged; those of [`deliver`](super::deliver).
pub fn restore(files: &[Restored<'_>], out: &Path, store: &Store) -> Result<PathBuf, DeliverError> {
    let seeds = fs::read_dir(out.join(SECRET)).is_ok_and(|mut entries| entries.next().is_some());
    if seeds && !files.iter().any(|file| file.secret) {
        return Err(DeliverError::Seeds { path: out.to_path_buf() });
    }
    let staging = Staging::begin(out)?;
    if files.iter().any(|file| file.secret) {
        staging.directory(Path::new(SECRET), 0o700)?;
    }
    for Restored { path, secret, pieces } in files {
        let (directory_mode, file_mode) = if *secret { (0o700, 0o600) } else { (0o755, 0o644) };
        staging.directory(Path::new(path).parent().unwrap_or(Path::new("")), directory_mode)?;
        let (mut file, place) = (staging.file(path, file_mode)?, staging.path(path));
        let failed = |source| DeliverError::Store { path: (*path).to_owned(), source };
        for digest in *pieces {
            let missing = || StoreError::Missing { digest: *digest };
            let blob = store.get(digest).and_then(|found| found.ok_or_else(missing)).map_err(failed)?;
            let mut reader = blob.open().map_err(failed)?;
            io::copy(&mut reader, &mut file).map_err(DeliverError::io("write", &place))?;
        }
    }
    staging.commit()?;
    Ok(staging.place().to_path_buf())
}
