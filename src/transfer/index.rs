//! `export.json`: what an export carries and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::render::tree::TargetPath;

/// What stands in [`Index::kind`].
pub const KIND: &str = "khimg-export";

/// Version of the format.
pub const FORMAT: u32 = 1;

/// Path of the index in the stream.
pub const INDEX: &str = "export.json";

/// Where blobs lie in the stream.
pub const BLOBS: &str = "blobs/sha256/";

/// Files below this go to the depot.
pub const DEPOT: &str = "dist/";

/// The contents of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Index {
    /// [`KIND`].
    pub kind: String,
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the khimg that wrote it.
    pub khimg: String,
    /// Digest of the index that this export builds on: what that one carried must be in the store already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Digest>,
    /// The files that it makes, by their path below the project's directory.
    pub files: BTreeMap<String, FileEntry>,
    /// Artifacts of the lock.
    pub store: BTreeSet<Digest>,
    /// The size of every blob that is needed, carried or not.
    pub blobs: BTreeMap<Digest, u64>,
    /// The blobs that follow, in this order.
    pub carried: BTreeSet<Digest>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileEntry {
    /// Whether nobody but its owner may read it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// The blobs that it is made of, in order.
    pub pieces: Vec<Digest>,
}

impl Index {
    /// Its text.
    pub fn to_json(&self) -> Vec<u8> {
        // Texts, numbers and text keys: serialisation to memory has no way to fail.
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// What is wrong with one that came from elsewhere, if anything is.
    pub fn flaw(&self) -> Option<String> {
        if self.kind != KIND {
            return Some(format!("it is of the kind {:?}", self.kind));
        }
        let needed = self.files.values().flat_map(|file| &file.pieces).chain(&self.store).chain(&self.carried);
        if let Some(stranger) = needed.into_iter().find(|digest| !self.blobs.contains_key(digest)) {
            return Some(format!("it does not tell the size of {stranger}"));
        }
        if self.since.is_none() && self.carried.len() != self.blobs.len() {
            return Some("it lacks blobs and builds on no other export".to_owned());
        }
        let bad = |path: &&String| {
            let sound = format!("/{path}").parse::<TargetPath>().is_ok();
            // Nothing hidden: such files may be read by programs that nobody thinks of, such as `.git/hooks`.
            !sound || path.split('/').any(|element| element.starts_with('.'))
        };
        self.files.keys().find(bad).map(|path| format!("{path:?} is no path that it may write"))
    }
}
