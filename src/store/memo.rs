//! What was derived from what: a key (the digest of all inputs) → the digest of the blob that was made.
//!
//! Only a shortcut. An entry that is missing, half-written or nonsense means "not known", never an error.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;

use tempfile::NamedTempFile;

use super::{Store, StoreError, directory};
use crate::digest::Digest;

/// `sha256:`, 64 digits, a newline.
const ENTRY: u64 = 72;

impl Store {
    /// The digest that was remembered for `key`; `kind` is a plain name such as `layer`.
    pub fn memo(&self, kind: &'static str, key: &Digest) -> Option<Digest> {
        let mut text = String::new();
        File::open(self.memo_path(kind, key)).ok()?.take(ENTRY + 1).read_to_string(&mut text).ok()?;
        // Without its newline an entry is only half there.
        text.strip_suffix('\n')?.parse().ok()
    }

    /// Remembers `value` for `key` in place of whatever was there.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn remember(&self, kind: &'static str, key: &Digest, value: &Digest) -> Result<(), StoreError> {
        let path = self.memo_path(kind, key);
        directory::create(self.root(), &PathBuf::from("memo").join(kind))?;
        let tmp = self.root().join("tmp");
        let mut file = NamedTempFile::new_in(&tmp).map_err(|e| StoreError::io("create a file in", &tmp, e))?;
        writeln!(file, "{value}").map_err(|e| StoreError::io("write", &path, e))?;
        file.persist(&path).map_err(|e| StoreError::io("create", &path, e.error))?;
        Ok(())
    }

    fn memo_path(&self, kind: &'static str, key: &Digest) -> PathBuf {
        let mut path = self.root().join("memo");
        path.push(kind);
        path.push(key.hex());
        path
    }

    /// Removes every entry whose blob is gone.
    pub(super) fn forget_dangling(&self) -> Result<(), StoreError> {
        for kind in directory::entries(&self.root().join("memo"))? {
            for entry in directory::entries(&kind)? {
                let value = fs::read_to_string(&entry).ok().and_then(|text| text.trim_end().parse::<Digest>().ok());
                let blob = match value {
                    Some(value) => self.get(&value)?,
                    None => None,
                };
                if blob.is_none() {
                    directory::remove(&entry)?;
                }
            }
        }
        Ok(())
    }
}
