//! Reads foreign gzipped tar archives as a stream, without ever unpacking them to a disk.
//!
//! Nothing in them is believed: no absolute path, no `..`, no device, no link out, nothing twice, and no more than
//! [`MOST_MEMBERS`] members and [`MOST_BYTES`] bytes.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use crate::render::tree::{Mode, TargetPath};

/// Most members that an archive may have.
const MOST_MEMBERS: usize = 50_000;

/// Most bytes that an archive may have once it is decompressed: 4 GiB.
const MOST_BYTES: u64 = 4 << 30;

/// Which members go where: the fields of [`crate::catalog::component::Install::Archive`], judged.
#[derive(Debug, Clone)]
pub(crate) struct Selection<'a> {
    /// Directory on the node.
    pub(crate) to: TargetPath,
    /// How many leading path elements to drop.
    pub(crate) strip: usize,
    /// Only these, by their path after `strip`; all where empty.
    pub(crate) only: &'a [String],
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It cannot be read as a gzipped tar archive.
    #[error("cannot read it as a gzipped tar archive")]
    Read {
        /// Why not.
        #[from]
        source: io::Error,
    },
    /// A member whose path leaves the archive or is none.
    #[error("its member {path:?} has an unsafe path")]
    Path {
        /// The path, with what is no UTF-8 replaced.
        path: String,
    },
    /// Neither a file, a directory nor a symbolic link.
    #[error("its member {path} is {kind}, which khimg does not install")]
    Kind {
        /// The member.
        path: String,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// A symbolic link that points out of the archive.
    #[error("its member {path} is a link out of the archive, to {target:?}")]
    Link {
        /// The member.
        path: String,
        /// Where it points.
        target: String,
    },
    /// Two members of one path.
    #[error("its member {path} occurs twice")]
    Twice {
        /// The path.
        path: String,
    },
    /// More than any sound archive has.
    #[error("it has more than {MOST_MEMBERS} members or {MOST_BYTES} bytes")]
    Large,
    /// A member that the catalogue asks for.
    #[error("it has no member {path}")]
    Missing {
        /// The path after dropping leading elements.
        path: String,
    },
}

/// A member that was selected.
pub(crate) enum Found<'a> {
    /// A regular file.
    File { mode: Mode, size: u64, content: &'a mut dyn Read },
    /// A symbolic link within the archive.
    Link { target: String },
}

/// Calls `visit` for every selected member in the archive's order, with its path on the node, then reads to the very end, so
/// that a reader that proves a digest gets to do so.
pub(crate) fn walk<E: From<UnpackError>>(
    mut compressed: impl Read,
    selection: &Selection<'_>,
    mut visit: impl FnMut(&TargetPath, Found<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let fail = |source: io::Error| E::from(UnpackError::Read { source });
    let mut limited = MultiGzDecoder::new(BufReader::with_capacity(1 << 16, &mut compressed)).take(MOST_BYTES + 1);
    let mut seen = BTreeSet::new();
    let mut archive = Archive::new(&mut limited);
    for (count, entry) in archive.entries().map_err(fail)?.enumerate() {
        let mut entry = entry.map_err(fail)?;
        if count == MOST_MEMBERS || entry.size() > MOST_BYTES {
            return Err(UnpackError::Large.into());
        }
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let inside =
            inside(&entry.path_bytes()).ok_or_else(|| UnpackError::Path { path: lossy(&entry.path_bytes()) })?;
        if kind == EntryType::Directory {
            continue;
        }
        let Some(below) = stripped(&inside, selection.strip) else {
            if inside.is_empty() {
                return Err(UnpackError::Path { path: lossy(&entry.path_bytes()) }.into());
            }
            continue;
        };
        if !selection.only.is_empty() && !selection.only.iter().any(|only| only == below) {
            continue;
        }
        if !seen.insert(below.to_owned()) {
            return Err(UnpackError::Twice { path: inside }.into());
        }
        let target: TargetPath =
            format!("{}/{below}", selection.to).parse().map_err(|_| UnpackError::Path { path: inside.clone() })?;
        match kind {
            EntryType::Regular | EntryType::Continuous => {
                let runs = entry.header().mode().map_err(fail)? & 0o111 != 0;
                let mode = if runs { Mode::Program } else { Mode::Plain };
                let size = entry.size();
                visit(&target, Found::File { mode, size, content: &mut entry })?;
            }
            EntryType::Symlink => {
                let link = lossy(&entry.link_name_bytes().unwrap_or_default());
                if !stays(below, &link) {
                    return Err(UnpackError::Link { path: inside, target: link }.into());
                }
                visit(&target, Found::Link { target: link })?;
            }
            other => return Err(UnpackError::Kind { path: inside, kind: name_of(other) }.into()),
        }
    }
    if let Some(missing) = selection.only.iter().find(|only| !seen.contains(*only)) {
        return Err(UnpackError::Missing { path: missing.clone() }.into());
    }
    io::copy(&mut limited, &mut io::sink()).map_err(fail)?;
    if limited.limit() == 0 {
        return Err(UnpackError::Large.into());
    }
    drop(limited);
    io::copy(&mut compressed, &mut io::sink()).map_err(fail)?;
    Ok(())
}

/// The path of a member below the archive's root, without `./` and closing slashes; empty for the root itself.
fn inside(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw).ok()?;
    if text.is_empty() || text.starts_with('/') || text.chars().any(char::is_control) {
        return None;
    }
    let elements: Vec<&str> = text.split('/').filter(|element| !matches!(*element, "" | ".")).collect();
    (!elements.contains(&"..")).then(|| elements.join("/"))
}

/// What is left of a path without its first `strip` elements, if anything is.
fn stripped(path: &str, strip: usize) -> Option<&str> {
    let rest = match strip.checked_sub(1) {
        None => path,
        Some(last) => path.match_indices('/').nth(last).and_then(|(at, _)| path.get(at + 1..))?,
    };
    (!rest.is_empty()).then_some(rest)
}

/// Whether a link at `path` with this target stays below the archive's root.
fn stays(path: &str, target: &str) -> bool {
    if target.is_empty() || target.starts_with('/') || target.len() > 4095 || target.chars().any(char::is_control) {
        return false;
    }
    let mut depth = path.matches('/').count();
    for element in target.split('/') {
        match element {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return false,
            },
            _ => depth += 1,
        }
    }
    true
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn name_of(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a named pipe",
        EntryType::GNUSparse => "a sparse file",
        _ => "of an unknown kind",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::{any, prop, proptest};
    use proptest::prop_assert;

    use super::*;

    /// A member by its raw name, so that names which no writer would make can be written.
    fn member(tape: &mut Vec<u8>, name: &str, kind: EntryType, link: &str, bytes: &[u8]) {
        let mut header = tar::Header::new_gnu();
        for (place, byte) in header.as_gnu_mut().expect("gnu").name.iter_mut().zip(name.as_bytes()) {
            *place = *byte;
        }
        for (place, byte) in header.as_gnu_mut().expect("gnu").linkname.iter_mut().zip(link.as_bytes()) {
            *place = *byte;
        }
        header.set_entry_type(kind);
        header.set_mode(0o4751);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tape.extend_from_slice(header.as_bytes());
        tape.extend_from_slice(bytes);
        tape.resize(tape.len().next_multiple_of(512), 0);
    }

    fn gzip(tape: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(tape).expect("in memory");
        encoder.write_all(&[0; 1024]).expect("in memory");
        encoder.finish().expect("in memory")
    }

    fn list(compressed: &[u8], strip: usize, only: &[String]) -> Result<Vec<String>, UnpackError> {
        let selection = Selection { to: "/opt/it".parse().expect("absolute"), strip, only };
        let mut lines = Vec::new();
        walk(compressed, &selection, |path, found| {
            lines.push(match found {
                Found::File { mode, size, content } => {
                    let read = io::copy(content, &mut io::sink())?;
                    assert_eq!(read, size);
                    format!("{path} {:o} {size}", mode.bits())
                }
                Found::Link { target } => format!("{path} -> {target}"),
            });
            Ok::<(), UnpackError>(())
        })?;
        Ok(lines)
    }

    #[test]
    fn selects_and_strips() {
        let mut tape = Vec::new();
        member(&mut tape, "./v1/", EntryType::Directory, "", b"");
        member(&mut tape, "./v1/bin/tool", EntryType::Regular, "", b"12345");
        member(&mut tape, "v1/bin/same", EntryType::Symlink, "../bin/tool", b"");
        member(&mut tape, "LICENSE", EntryType::Regular, "", b"x");
        let archive = gzip(&tape);
        let all = list(&archive, 1, &[]).expect("sound");
        assert_eq!(all, ["/opt/it/bin/tool 755 5", "/opt/it/bin/same -> ../bin/tool"]);
        assert_eq!(list(&archive, 1, &["bin/tool".to_owned()]).expect("sound").len(), 1);
        let missing = list(&archive, 1, &["bin/other".to_owned()]).expect_err("not there");
        assert_eq!(missing.to_string(), "it has no member bin/other");
    }

    #[test]
    fn refuses_what_is_hostile() {
        let cases = [
            ("/etc/passwd", EntryType::Regular, "", "unsafe path"),
            ("a/../../etc/passwd", EntryType::Regular, "", "unsafe path"),
            ("a\nb", EntryType::Regular, "", "unsafe path"),
            ("./", EntryType::Regular, "", "unsafe path"),
            ("dev", EntryType::Char, "", "a device"),
            ("pipe", EntryType::Fifo, "", "a named pipe"),
            ("hard", EntryType::Link, "other", "a hard link"),
            ("out", EntryType::Symlink, "../etc", "link out of"),
            ("a/out", EntryType::Symlink, "b/../../../etc", "link out of"),
            ("root", EntryType::Symlink, "/etc/shadow", "link out of"),
        ];
        for (name, kind, link, expected) in cases {
            let mut tape = Vec::new();
            member(&mut tape, name, kind, link, b"");
            let refused = list(&gzip(&tape), 0, &[]).expect_err(name);
            assert!(refused.to_string().contains(expected), "{name}: {refused}");
        }
        let mut tape = Vec::new();
        member(&mut tape, "twice", EntryType::Regular, "", b"1");
        member(&mut tape, "./twice", EntryType::Regular, "", b"2");
        assert!(list(&gzip(&tape), 0, &[]).expect_err("twice").to_string().contains("occurs twice"));
    }

    #[test]
    fn refuses_what_was_cut_off() {
        let mut tape = Vec::new();
        member(&mut tape, "file", EntryType::Regular, "", &[7; 5000]);
        let archive = gzip(&tape);
        for length in [0, 5, 20, archive.len() - 9, archive.len() - 1] {
            assert!(list(&archive[..length], 0, &[]).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_stays_below_the_target(
            names in prop::collection::vec("[./a-c]{0,12}", 1..6),
            links in prop::collection::vec("[./a-c]{0,12}", 6),
            strip in 0_usize..3,
        ) {
            let mut tape = Vec::new();
            for (name, link) in names.iter().zip(&links) {
                let kind = if link.len() % 2 == 0 { EntryType::Regular } else { EntryType::Symlink };
                member(&mut tape, name, kind, link, b"");
            }
            for line in list(&gzip(&tape), strip, &[]).unwrap_or_default() {
                prop_assert!(line.starts_with("/opt/it/"));
                let path = line.split(' ').next().unwrap_or_default();
                prop_assert!(!path.split('/').skip(1).any(|element| matches!(element, "" | "." | "..")));
            }
        }

        #[test]
        fn noise_is_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = list(&bytes, 0, &[]);
            let _ = list(&gzip(&bytes), 0, &[]);
        }
    }
}
