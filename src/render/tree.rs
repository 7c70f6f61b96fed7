//! Files as data: what a node gets, by path on the node. Path safety lives here.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// An absolute, normal path on a node: begins with `/`, no empty, `.` or `..` element, no control character, at most 4095 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetPath(String);

/// A text that is no safe absolute path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an absolute path without \".\", \"..\" and empty elements")]
pub struct BadPath(String);

impl TargetPath {
    /// The path with its leading `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path below the root, without the leading `/`.
    pub fn relative(&self) -> &str {
        &self.0[1..]
    }
}

impl FromStr for TargetPath {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let sound = text
            .strip_prefix('/')
            .is_some_and(|below| below.split('/').all(|element| !matches!(element, "" | "." | "..")));
        let plain = text.len() < 4096 && !text.chars().any(char::is_control);
        if sound && plain { Ok(Self(text.to_owned())) } else { Err(BadPath(text.to_owned())) }
    }
}

impl fmt::Display for TargetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Permission bits. There are no others than these, and none is read from a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// 0644.
    Plain,
    /// 0755.
    Program,
    /// 0600: holds a secret.
    Private,
}

impl Mode {
    /// The bits.
    pub fn bits(self) -> u32 {
        match self {
            Self::Plain => 0o644,
            Self::Program => 0o755,
            Self::Private => 0o600,
        }
    }
}

/// What lies at a path. Its `Debug` shows a size and no bytes: they may be a secret's.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A symbolic link to this target.
    Link(String),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Link(target) => write!(f, "Link({target:?})"),
        }
    }
}

/// One file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its permission bits; of no meaning for a link.
    pub mode: Mode,
    /// What it holds.
    pub content: Content,
    /// Where it comes from, for people: `overlays/base/etc/hosts.j2`, `kubeadm configuration`.
    pub origin: String,
}

/// Files by path, in byte order of the paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<TargetPath, Entry>);

impl Tree {
    /// The file at `path`.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.0.get(&TargetPath::from_str(path).ok()?)
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All files, in byte order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&TargetPath, &Entry)> {
        self.0.iter()
    }
}

impl Entry {
    /// The bytes of a regular file; none for a link.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Bytes(bytes) => Some(bytes),
            Content::Link(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_safe_or_refused() {
        assert_eq!(
            "/etc/hosts".parse::<TargetPath>().map(|path| path.relative().to_owned()),
            Ok("etc/hosts".to_owned())
        );
        for bad in ["", "/", "etc", "/etc/", "/etc//x", "/etc/../x", "/./x", "/etc/x\n", "/e\0"] {
            assert!(bad.parse::<TargetPath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_no_bytes() {
        let content = Content::Bytes(b"hunter2".to_vec());
        assert_eq!(format!("{content:?}"), "Bytes(7)");
    }
}
