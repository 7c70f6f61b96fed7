//! Reads tar segments that khimg wrote, strictly: whatever [`crate::pack`] does not write is an error.
//!
//! The input may be hostile. Names are bounded before they are read, and contents are only hashed.

use std::io::{self, ErrorKind, Read};

use tar::{EntryType, Header};

use crate::clock::ARCHIVE_EPOCH;
use crate::digest::HashingReader;
use crate::pack::{Member, What};

const BLOCK: usize = 512;

/// Longest path or link target, PATH_MAX (linux/limits.h).
const LONGEST_NAME: u64 = 4096;

/// Reads the next member; `None` at the end of the input.
///
/// `sink` gets the content of a file, piece by piece.
pub(crate) fn next_member(
    reader: &mut impl Read,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Option<Member>> {
    let (mut long_path, mut long_link) = (None, None);
    loop {
        let Some(header) = read_header(reader)? else {
            return if long_path.is_none() && long_link.is_none() { Ok(None) } else { Err(cut()) };
        };
        let size = header.size()?;
        match header.entry_type() {
            EntryType::GNULongName if long_path.is_none() => long_path = Some(read_name(reader, size)?),
            EntryType::GNULongLink if long_link.is_none() => long_link = Some(read_name(reader, size)?),
            kind => {
                let short = |field: &[u8]| text(field.split(|byte| *byte == 0).next().unwrap_or_default());
                let old = header.as_old();
                let path = long_path.map_or_else(|| short(&old.name), Ok)?;
                let what =
                    what(reader, kind, &header, size, sink, || long_link.map_or_else(|| short(&old.linkname), Ok))?;
                check_path(&path, &what)?;
                return Ok(Some(Member { path, what }));
            }
        }
    }
}

fn what(
    reader: &mut impl Read,
    kind: EntryType,
    header: &Header,
    size: u64,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    link: impl FnOnce() -> io::Result<String>,
) -> io::Result<What> {
    let (mode, empty) = (header.mode()?, size == 0);
    let plain = header.uid()? == 0 && header.gid()? == 0 && header.mtime()? == ARCHIVE_EPOCH;
    match kind {
        EntryType::Regular if plain && matches!(mode, 0o644 | 0o755) => {
            let mut content = HashingReader::new(reader.take(size));
            let mut buffer = [0; 1 << 16];
            loop {
                let read = content.read(&mut buffer)?;
                match buffer.get(..read) {
                    None | Some([]) => break,
                    Some(bytes) => sink(bytes)?,
                }
            }
            if content.count() != size {
                return Err(cut());
            }
            let sha256 = content.finish();
            skip_padding(reader, size)?;
            Ok(What::File { mode, size, sha256 })
        }
        EntryType::Directory if plain && mode == 0o755 && empty => Ok(What::Directory),
        EntryType::Symlink if plain && mode == 0o777 && empty => {
            let target = link()?;
            let sound = !target.is_empty() && !target.chars().any(char::is_control);
            if sound { Ok(What::Link { target }) } else { Err(bad("an entry links to an unsound target")) }
        }
        _ => Err(bad("an entry is of a kind, owner, mode or time that khimg does not write")),
    }
}

fn read_header(reader: &mut impl Read) -> io::Result<Option<Header>> {
    let mut header = Header::new_gnu();
    let block = header.as_mut_bytes();
    let mut filled = 0;
    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest)? {
            0 if filled == 0 => return Ok(None),
            0 => return Err(cut()),
            read => filled += read,
        }
    }
    // The checksum counts itself as spaces (POSIX.1-1988 ustar, field chksum at 148).
    let counted = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) };
    let sum: u32 = header.as_bytes().iter().enumerate().map(counted).sum();
    if header.cksum()? == sum { Ok(Some(header)) } else { Err(bad("a tar header has a wrong checksum")) }
}

/// A name that is too long for a header: the text, a NUL, padding.
fn read_name(reader: &mut impl Read, size: u64) -> io::Result<String> {
    if size == 0 || size > LONGEST_NAME + 1 {
        return Err(bad("an entry's name is longer than any path may be"));
    }
    let mut name = vec![0; size as usize];
    reader.read_exact(&mut name)?;
    skip_padding(reader, size)?;
    match name.split_last() {
        Some((0, bytes)) => text(bytes),
        _ => Err(bad("an entry's long name does not end")),
    }
}

fn skip_padding(reader: &mut impl Read, size: u64) -> io::Result<()> {
    let mut padding = [0; BLOCK];
    let missing = (size.next_multiple_of(BLOCK as u64) - size) as usize;
    if let Some(padding) = padding.get_mut(..missing) {
        reader.read_exact(padding)?;
    }
    if padding == [0; BLOCK] { Ok(()) } else { Err(bad("an entry's padding is not empty")) }
}

fn check_path(path: &str, what: &What) -> io::Result<()> {
    let below = if *what == What::Directory { path.strip_suffix('/') } else { Some(path) };
    let sound = |below: &str| {
        below.len() < 4096
            && !below.chars().any(char::is_control)
            && below.split('/').all(|element| !matches!(element, "" | "." | ".."))
    };
    if below.is_some_and(sound) { Ok(()) } else { Err(bad("an entry has an unsafe path")) }
}

fn text(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| bad("an entry's name is not UTF-8"))
}

fn bad(reason: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

fn cut() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "it ends within an entry")
}
