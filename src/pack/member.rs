//! What a layer holds, as a list: the part of an archive that can be told without its bytes.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// One entry of a layer's tar segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Path in the bundle; a directory's ends with `/`.
    pub path: String,
    /// What lies there.
    pub what: What,
}

/// What lies at a path of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum What {
    /// A directory, mode 0755.
    Directory,
    /// A regular file.
    File {
        /// Permission bits.
        mode: u32,
        /// Size in bytes.
        size: u64,
        /// Digest of the content.
        sha256: Digest,
    },
    /// A symbolic link.
    Link {
        /// Where it points.
        target: String,
    },
}

/// The number of members, and a digest over their list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listing {
    /// How many: files, links and directories.
    pub count: u64,
    /// Over one line for each member, in order: kind, octal mode, size, digest or target, path, parted by tabs, which
    /// none of them may hold.
    pub sha256: Digest,
}

impl Listing {
    /// Sums up a list.
    pub fn of(members: &[Member]) -> Self {
        let mut lines = String::new();
        for Member { path, what } in members {
            let line = match what {
                What::Directory => format!("d\t0755\t0\t-\t{path}\n"),
                What::File { mode, size, sha256 } => format!("f\t{mode:04o}\t{size}\t{sha256}\t{path}\n"),
                What::Link { target } => format!("l\t0777\t0\t{target}\t{path}\n"),
            };
            lines.push_str(&line);
        }
        Self { count: members.len() as u64, sha256: Digest::of(lines.as_bytes()) }
    }
}
