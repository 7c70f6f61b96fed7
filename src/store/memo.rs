//! What was derived from what: a key (the digest of all inputs) → the digest of the blob that was made.
//!
//! Only a shortcut. An entry that is missing, half-written or nonsense means "not known", never an error.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use super::{Store, StoreError, directory};
use crate::digest::Digest;

/// A record of more bytes than this is not one of ours.
const MOST_RECORD: u64 = 64 << 20;

/// The key and the value, each `sha256:` with 64 digits, a blank between them, a newline.
const ENTRY: u64 = 144;

impl Store {
    /// The digest that was remembered for `key`; `kind` is a plain name such as `layer`.
    pub fn memo(&self, kind: &'static str, key: &Digest) -> Option<Digest> {
        let mut text = String::new();
        File::open(self.memo_path(kind, key)).ok()?.take(ENTRY + 1).read_to_string(&mut text).ok()?;
        parse(&text, &key.hex())
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
        writeln!(file, "{key} {value}").map_err(|e| StoreError::io("write", &path, e))?;
        file.persist(&path).map_err(|e| StoreError::io("create", &path, e.error))?;
        Ok(())
    }

    /// What [`Store::keep_record`] kept for `key`, if it is whole.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub fn record<T: DeserializeOwned>(&self, kind: &'static str, key: &Digest) -> Result<Option<T>, StoreError> {
        let Some(digest) = self.memo(kind, key) else { return Ok(None) };
        let Some(blob) = self.get(&digest)? else { return Ok(None) };
        let Ok(text) = blob.read(MOST_RECORD) else { return Ok(None) };
        Ok(serde_json::from_slice(&text).ok())
    }

    /// Keeps a record as a blob of its own and remembers it for `key`. It must be one that JSON can hold.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn keep_record(&self, kind: &'static str, key: &Digest, record: &impl Serialize) -> Result<(), StoreError> {
        // What cannot be told is kept as nothing, which nobody can read back.
        let text = serde_json::to_vec(record).unwrap_or_default();
        let blob = self.insert_bytes(&text)?;
        self.remember(kind, key, &blob.digest())
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
                let key = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let blob = match fs::read_to_string(&entry).ok().and_then(|text| parse(&text, key)) {
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

/// The value of an entry. It repeats its key, so that one that came to lie under another key's name is not believed; without
/// its newline it is only half there.
fn parse(text: &str, key: &str) -> Option<Digest> {
    let (of, value) = text.strip_suffix('\n')?.split_once(' ')?;
    (of.parse::<Digest>().ok()?.hex() == key).then(|| value.parse().ok())?
}
