//! From a bundle file to a directory: whole and proven, or not there at all.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::durable;
use super::error::NodeError;
use super::record::write_json;
use super::state::State;
use crate::digest::Digest;
use crate::inspect::{self, Sink};
use crate::pack::contents::{CONTENTS, Contents};
use crate::pack::{Member, What};

/// The list of everything in an unpacked bundle, with digests.
const MEMBERS: &str = "members.json";

/// The full digest of the bundle that a directory was unpacked from.
const DIGEST: &str = "sha256";

/// An unpacked bundle.
#[derive(Debug, Clone)]
pub(super) struct Unpacked {
    /// Its directory.
    pub(super) path: PathBuf,
    /// Its digest.
    pub(super) sha256: Digest,
    /// Its table of contents.
    pub(super) contents: Contents,
    /// Everything in it.
    pub(super) members: Vec<Member>,
}

/// The unpacked bundle `sha256`, if it is there.
pub(super) fn open(state: &State, sha256: &Digest) -> Result<Option<Unpacked>, NodeError> {
    let path = state.bundle(sha256);
    let read = |name: &str| fs::read(path.join(name)).map_err(NodeError::io("read", &path.join(name)));
    if !path.exists() {
        return Ok(None);
    }
    // Two digests may begin alike.
    if read(DIGEST)? != sha256.hex().as_bytes() {
        return Ok(None);
    }
    let parsed = |name: &str| {
        let path = path.join(name);
        move |error: serde_json::Error| NodeError::Record { path, reason: error.to_string() }
    };
    Ok(Some(Unpacked {
        contents: serde_json::from_slice(&read(CONTENTS)?).map_err(parsed(CONTENTS))?,
        members: serde_json::from_slice(&read(MEMBERS)?).map_err(parsed(MEMBERS))?,
        sha256: *sha256,
        path,
    }))
}

/// Unpacks the bundle at `file`, which must have this digest, unless that was done already.
pub(super) fn unpack(state: &State, file: &Path, sha256: &Digest) -> Result<Unpacked, NodeError> {
    if let Some(unpacked) = open(state, sha256)? {
        return Ok(unpacked);
    }
    let path = state.bundle(sha256);
    let half = path.with_extension("partial");
    durable::directory(&state.bundles())?;
    durable::remove(&half)?;
    durable::remove(&path)?;
    durable::directory(&half)?;
    let unpacked = fill(&half, file, sha256);
    if unpacked.is_err() {
        durable::remove(&half)?;
    }
    let (contents, members) = unpacked?;
    durable::rename(&half, &path)?;
    Ok(Unpacked { path, sha256: *sha256, contents, members })
}

fn fill(half: &Path, file: &Path, expected: &Digest) -> Result<(Contents, Vec<Member>), NodeError> {
    let mut writer = Writer::new(half);
    let read = inspect::bundle_into(file, &mut writer);
    let report = read.map_err(|source| NodeError::Bundle { source })?;
    if report.sha256 != *expected {
        return Err(NodeError::Digest { path: file.to_owned(), expected: *expected, actual: report.sha256 });
    }
    let io = |action| NodeError::io(action, half);
    fs::write(half.join(CONTENTS), report.contents.to_json()).map_err(io("write into"))?;
    write_json(&half.join(MEMBERS), &report.members)?;
    fs::write(half.join(DIGEST), expected.hex()).map_err(io("write into"))?;
    // One flush for some thousand files.
    let directory = File::open(half).map_err(io("open"))?;
    rustix::fs::syncfs(&directory).map_err(|error| io("flush")(error.into()))?;
    Ok((report.contents, report.members))
}

/// Writes members below a directory, as they come out of the archive. Their paths are sound; that none leads through a link
/// or a file is seen to here.
struct Writer<'a> {
    root: &'a Path,
    /// The file whose content is coming in: its path comes last.
    incoming: Option<File>,
    directories: BTreeSet<String>,
}

impl<'a> Writer<'a> {
    fn new(root: &'a Path) -> Self {
        Self { root, incoming: None, directories: BTreeSet::from([String::new()]) }
    }

    fn incoming(&self) -> PathBuf {
        self.root.join(".incoming")
    }

    fn open(&mut self) -> io::Result<File> {
        self.incoming.take().map_or_else(|| File::create_new(self.incoming()), Ok)
    }
}

impl Sink for Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.open()?;
        file.write_all(bytes)?;
        self.incoming = Some(file);
        Ok(())
    }

    fn member(&mut self, member: &Member) -> io::Result<()> {
        let path = member.path.trim_end_matches('/');
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if !self.directories.contains(parent) {
            let text = format!("{path} lies below something that is no directory");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let place = self.root.join(path);
        match &member.what {
            What::Directory if self.directories.insert(path.to_owned()) => fs::create_dir(&place),
            What::Directory => Ok(()),
            What::File { mode, .. } => {
                self.open()?.set_permissions(Permissions::from_mode(*mode))?;
                fs::rename(self.incoming(), &place)
            }
            What::Link { target } => symlink(target, &place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_through_a_link_or_outside() {
        let dir = tempfile::tempdir().expect("a directory");
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        fs::create_dir(&root).expect("a directory");
        fs::create_dir(&outside).expect("a directory");
        let member = |path: &str, what: What| Member { path: path.to_owned(), what };
        let file = || What::File { mode: 0o644, size: 1, sha256: Digest::of(b"x") };
        let mut writer = Writer::new(&root);
        writer.member(&member("rootfs/", What::Directory)).expect("a directory");
        writer.member(&member("rootfs/a", What::Link { target: "../../outside".to_owned() })).expect("a link");
        for path in ["rootfs/a/x", "missing/x"] {
            writer.bytes(b"x").expect("content");
            let refused = writer.member(&member(path, file()));
            assert_eq!(refused.map_err(|error| error.kind()), Err(io::ErrorKind::InvalidData), "{path}");
        }
        assert_eq!(fs::read_dir(&outside).expect("a directory").count(), 0);
        writer.member(&member("rootfs/x", file())).expect("a file");
        assert_eq!(fs::read_link(root.join("rootfs/a")).expect("a link"), Path::new("../../outside"));
    }
}
