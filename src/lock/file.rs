//! The lock as a file.

use std::io::{self, Read, Write};
use std::path::Path;

use serde::Deserialize;

use super::{Lock, LockError, VERSION};
use crate::input;

const HEADER: &str = "# Written by khimg; keep it under version control. `khimg lock` brings it up to date.\n";
/// Largest lock, in bytes. A cluster with every component has some 200 kB.
const MAX_SIZE: u64 = 32 << 20;

/// What writing came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The file had these very bytes already and was not touched.
    Unchanged,
    /// The file is new or has new bytes.
    Changed,
}

/// What every version of the format begins with.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

/// Reads the lock at `path`.
///
/// # Errors
/// No such file, one that cannot be read, or that is no lock of this version.
pub fn read(path: &Path) -> Result<Lock, LockError> {
    let file = match input::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(LockError::Missing { path: path.to_owned() });
        }
        Err(source) => return Err(LockError::Read { path: path.to_owned(), source }),
    };
    let mut text = String::new();
    let read = file.take(MAX_SIZE + 1).read_to_string(&mut text);
    read.map_err(|source| LockError::Read { path: path.to_owned(), source })?;
    if text.len() as u64 > MAX_SIZE {
        return Err(LockError::Malformed { path: path.to_owned(), why: format!("it has more than {MAX_SIZE} bytes") });
    }
    parse(path, &text)
}

/// Reads the lock at `path`; `None` where there is none.
///
/// # Errors
/// One that cannot be read, or that is no lock of this version.
pub fn read_if_exists(path: &Path) -> Result<Option<Lock>, LockError> {
    match read(path) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a lock from its text; `path` is for messages.
///
/// # Errors
/// A text that is no lock of this version.
pub fn parse(path: &Path, text: &str) -> Result<Lock, LockError> {
    let malformed = |why: String| LockError::Malformed { path: path.to_owned(), why };
    // The version first: a later format may differ in everything else.
    let head: Head = serde_saphyr::from_str(text).map_err(|error| malformed(error.to_string()))?;
    if head.version > VERSION {
        return Err(LockError::Newer { path: path.to_owned(), found: head.version });
    }
    if head.version != VERSION {
        return Err(malformed(format!("version {} never was", head.version)));
    }
    serde_saphyr::from_str(text).map_err(|error| malformed(error.to_string()))
}

/// Writes the lock to `path`, all of it or nothing; does not touch a file that has the same bytes.
///
/// # Errors
/// Those of the file system.
pub fn write(path: &Path, lock: &Lock) -> Result<Written, LockError> {
    let text = to_yaml(lock)?;
    if input::read(path, MAX_SIZE).is_ok_and(|present| present == text.as_bytes()) {
        return Ok(Written::Unchanged);
    }
    replace(path, text.as_bytes()).map_err(|source| LockError::Write { path: path.to_owned(), source })?;
    Ok(Written::Changed)
}

/// The text of the lock: in order, whatever order its parts are in, with a newline at the end.
///
/// # Errors
/// None that a lock can bring about.
pub fn to_yaml(lock: &Lock) -> Result<String, LockError> {
    let mut lock = lock.clone();
    lock.normalise();
    // One line per value, whatever it holds, so that diffs show values and nothing depends on how long they are.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let body = serde_saphyr::to_string_with_options(&lock, options)
        .map_err(|error| LockError::Unwritable { why: error.to_string() })?;
    Ok(format!("{HEADER}{body}"))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let mut file = tempfile::Builder::new().prefix(".khimg.lock.").permissions(mode).tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    std::fs::File::open(directory)?.sync_all()
}
