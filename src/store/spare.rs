//! Files that nobody needs any more, kept because the next ones will begin with the same bytes.

use std::fs;
use std::path::{Path, PathBuf};

use super::Store;
use crate::digest::Digest;

impl Store {
    /// Where the spare file of `key` lies, if there is one.
    pub fn spare(&self, key: &Digest) -> PathBuf {
        self.root().join("spare").join(key.hex())
    }

    /// Takes `file` away from its place and keeps it for `key` until the next garbage collection; says whether it could. Only a
    /// rename: a store on another file system keeps nothing.
    pub fn keep_spare(&self, key: &Digest, file: &Path) -> bool {
        fs::rename(file, self.spare(key)).is_ok()
    }
}
