//! A tar segment: headers, contents and padding, without the two zero blocks that end an archive, so that segments can
//! be put one behind the other.
//!
//! Every field is set here and none is read from a disk: owner 0, no names, one time stamp, modes from [`Mode`].

use std::collections::BTreeSet;
use std::io::{self, Write};

use tar::{EntryType, Header};

use super::member::{Member, What};
use crate::clock::ARCHIVE_EPOCH;
use crate::digest::{Digest, Hasher};
use crate::render::tree::Mode;

/// Size of a tar block in bytes (POSIX.1-1988 ustar).
pub(crate) const BLOCK: u64 = 512;

/// What ends a tar archive: two blocks of zeros.
pub(crate) const END: [u8; 1024] = [0; 1024];

/// Longest name that a header holds; a longer one goes into an entry of its own in front (GNU `LongLink`).
const NAME: usize = 100;

/// Mode of every directory.
const DIRECTORY: u32 = 0o755;

/// Writes one segment.
pub(crate) struct Segment<W> {
    out: W,
    directories: BTreeSet<String>,
    members: Vec<Member>,
}

impl<W: Write> Segment<W> {
    /// Begins a segment.
    pub(crate) fn new(out: W) -> Self {
        Self { out, directories: BTreeSet::new(), members: Vec::new() }
    }

    /// Adds a file of exactly `size` bytes, which `fill` writes. Whoever knows the content's digest and proves it while
    /// filling says so in `known`; otherwise it is computed here.
    ///
    /// # Errors
    /// Those of `fill` and of the output; another number of bytes than `size`.
    pub(crate) fn file<E: From<io::Error>>(
        &mut self,
        path: &str,
        mode: Mode,
        size: u64,
        known: Option<Digest>,
        fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<Digest, E> {
        self.parents(path)?;
        self.header(path, EntryType::Regular, mode.bits(), size, None)?;
        let mut content = Content { out: &mut self.out, hasher: known.is_none().then(Hasher::default), written: 0 };
        fill(&mut content)?;
        let Content { hasher, written, .. } = content;
        if written != size {
            let text = format!("{path} has {written} bytes instead of {size}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text).into());
        }
        self.pad(size)?;
        let sha256 = known.unwrap_or_else(|| hasher.unwrap_or_default().digest());
        let what = What::File { mode: mode.bits(), size, sha256 };
        self.members.push(Member { path: path.to_owned(), what });
        Ok(sha256)
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.parents(path)?;
        self.header(path, EntryType::Symlink, 0o777, 0, Some(target))?;
        let what = What::Link { target: target.to_owned() };
        self.members.push(Member { path: path.to_owned(), what });
        Ok(())
    }

    /// Gives the writer back, with the list of what was added.
    pub(crate) fn finish(self) -> (W, Vec<Member>) {
        (self.out, self.members)
    }

    /// Adds the directories above `path` that this segment does not have yet.
    fn parents(&mut self, path: &str) -> io::Result<()> {
        for (at, _) in path.match_indices('/') {
            let Some(parent) = path.get(..=at) else { continue };
            if self.directories.insert(parent.to_owned()) {
                self.header(parent, EntryType::Directory, DIRECTORY, 0, None)?;
                self.members.push(Member { path: parent.to_owned(), what: What::Directory });
            }
        }
        Ok(())
    }

    fn header(&mut self, path: &str, kind: EntryType, mode: u32, size: u64, link: Option<&str>) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(ARCHIVE_EPOCH);
        header.set_size(size);
        if let Some(target) = link {
            let short = self.short_name(target, EntryType::GNULongLink)?;
            header.set_link_name_literal(short)?;
        }
        let short = self.short_name(path, EntryType::GNULongName)?;
        if let Some(gnu) = header.as_gnu_mut() {
            // `set_path` would drop a directory's slash or refuse what `TargetPath` has already judged.
            gnu.name = [0; NAME];
            for (place, byte) in gnu.name.iter_mut().zip(short) {
                *place = *byte;
            }
        }
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    /// The part of a name that fits into a header; where that is not all, the whole goes in front.
    fn short_name<'n>(&mut self, name: &'n str, kind: EntryType) -> io::Result<&'n [u8]> {
        let bytes = name.as_bytes();
        let Some((short, _)) = bytes.split_at_checked(NAME).filter(|(_, rest)| !rest.is_empty()) else {
            return Ok(bytes);
        };
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_path("././@LongLink")?;
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64 + 1);
        header.set_cksum();
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(bytes)?;
        self.out.write_all(&[0])?;
        self.pad(bytes.len() as u64 + 1)?;
        Ok(short)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];
        let missing = (size.next_multiple_of(BLOCK) - size) as usize;
        self.out.write_all(ZEROS.get(..missing).unwrap_or_default())
    }
}

/// Counts, and hashes where nobody else does.
struct Content<'a, W> {
    out: &'a mut W,
    hasher: Option<Hasher>,
    written: u64,
}

impl<W: Write> Write for Content<'_, W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let taken = self.out.write(buf)?;
        if let (Some(hasher), Some(bytes)) = (&mut self.hasher, buf.get(..taken)) {
            hasher.update(bytes);
        }
        self.written += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Counts how long a segment becomes, without writing it.
#[derive(Debug, Default)]
pub(crate) struct Length {
    directories: BTreeSet<String>,
    /// Bytes so far.
    pub(crate) bytes: u64,
}

impl Length {
    /// Adds an entry with its header, long names, content, and the directories above it.
    pub(crate) fn add(&mut self, path: &str, link: Option<&str>, size: u64) {
        for (at, _) in path.match_indices('/') {
            let Some(parent) = path.get(..=at) else { continue };
            if self.directories.insert(parent.to_owned()) {
                self.bytes += member_size(parent, None, 0);
            }
        }
        self.bytes = self.bytes.saturating_add(member_size(path, link, size));
    }
}

/// How many bytes one entry takes: header, long names, content and padding.
pub(crate) fn member_size(path: &str, link: Option<&str>, size: u64) -> u64 {
    let content = size.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX);
    content.saturating_add(BLOCK + long_name(path) + link.map_or(0, long_name))
}

fn long_name(name: &str) -> u64 {
    if name.len() > NAME { BLOCK + (name.len() as u64 + 1).next_multiple_of(BLOCK) } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::{any, prop, proptest};
    use proptest::{prop_assert, prop_assert_eq};

    use super::*;

    fn write(entries: &[(String, Vec<u8>)], links: &[(String, String)]) -> (Vec<u8>, u64) {
        let mut segment = Segment::new(Vec::new());
        let mut length = Length::default();
        for (path, bytes) in entries {
            let size = bytes.len() as u64;
            segment.file(path, Mode::Plain, size, None, |out| out.write_all(bytes)).expect("in memory");
            length.add(path, None, size);
        }
        for (path, target) in links {
            segment.link(path, target).expect("in memory");
            length.add(path, Some(target), 0);
        }
        (segment.finish().0, length.bytes)
    }

    proptest! {
        #[test]
        fn an_independent_reader_sees_the_same(
            names in prop::collection::btree_set("[a-z0-9.é_-]{1,40}(/x[A-Za-z0-9+~ ]{0,90}){0,4}", 1..6),
            bytes in prop::collection::vec(any::<u8>(), 0..1500),
        ) {
            // A file cannot be a directory as well.
            let names: Vec<&String> = names.iter()
                .filter(|name| !names.iter().any(|other| other.starts_with(&format!("{name}/")))).collect();
            let entries: Vec<_> = names.iter().map(|name| (format!("rootfs/{name}"), bytes.clone())).collect();
            let links: Vec<_> = names.iter().map(|name| (format!("links/{name}"), format!("/to/{name}"))).collect();
            let (mut tape, length) = write(&entries, &links);
            prop_assert_eq!(tape.len() as u64, length);
            tape.extend_from_slice(&END);
            let (mut files, mut symlinks) = (Vec::new(), Vec::new());
            for entry in tar::Archive::new(&tape[..]).entries().expect("in memory") {
                let mut entry = entry.expect("a sound entry");
                let header = entry.header();
                prop_assert_eq!(header.uid().ok(), Some(0));
                prop_assert_eq!(header.gid().ok(), Some(0));
                prop_assert_eq!(header.mtime().ok(), Some(ARCHIVE_EPOCH));
                prop_assert_eq!(header.username_bytes(), Some(&b""[..]));
                let path = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
                match header.entry_type() {
                    EntryType::Regular => {
                        let mut content = Vec::new();
                        entry.read_to_end(&mut content).expect("in memory");
                        files.push((path, content));
                    }
                    EntryType::Symlink => {
                        let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
                        symlinks.push((path, String::from_utf8(target).expect("UTF-8")));
                    }
                    kind => prop_assert!(kind == EntryType::Directory && path.ends_with('/')),
                }
            }
            prop_assert_eq!(files, entries);
            prop_assert_eq!(symlinks, links);
        }
    }

    #[test]
    fn refuses_a_content_of_another_size() {
        let mut segment = Segment::new(Vec::new());
        assert!(segment.file("a", Mode::Plain, 3, None, |out| out.write_all(b"four")).is_err());
    }

    #[test]
    fn writes_each_directory_once_and_before_its_files() {
        let file = |path: &str| (path.to_owned(), Vec::new());
        let (tape, _) = write(&[file("a/b/one"), file("a/b/two"), file("a/c")], &[]);
        let paths: Vec<String> = tar::Archive::new(&tape[..])
            .entries()
            .expect("in memory")
            .map(|entry| String::from_utf8_lossy(&entry.expect("sound").path_bytes()).into_owned())
            .collect();
        assert_eq!(paths, ["a/", "a/b/", "a/b/one", "a/b/two", "a/c"]);
    }
}
