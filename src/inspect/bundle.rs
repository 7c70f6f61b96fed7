//! Reads a bundle file from beginning to end and proves that it is what its table of contents says.
//!
//! The file may be hostile: everything is read as a stream, with bounds on what is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use serde::Serialize;

use super::error::InspectError;
use super::segment;
use crate::digest::{Digest, HashingReader};
use crate::pack::contents::{CONTENTS, FORMAT, LayerEntry};
use crate::pack::segment::END;
use crate::pack::{Contents, Format, Listing, Member, Piece, What, decode};

/// Most compressed bytes of the first layer, which holds the table of contents.
const MOST_HEAD: u64 = 4 << 20;

/// Most bytes of that layer once decompressed.
const MOST_CONTENTS: u64 = 32 << 20;

/// Most bytes of all layers once decompressed: 256 GiB. Only time is spent on them, no memory.
const MOST_RAW: u64 = 256 << 30;

/// Most bytes of paths that are kept.
const MOST_PATHS: usize = 64 << 20;

/// A bundle file that was read and proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleReport {
    /// How it is packed.
    pub format: Format,
    /// Digest of the whole file.
    pub sha256: Digest,
    /// Size of the whole file in bytes.
    pub size: u64,
    /// Its table of contents.
    pub contents: Contents,
    /// Its layers as stretches of the file.
    pub pieces: Vec<Piece>,
    /// Every entry of every layer, in order.
    pub members: Vec<Member>,
}

/// Reads the bundle at `path`. What it says of itself is proven; whether it is the one that somebody built is told by
/// [`BundleReport::sha256`] alone.
///
/// # Errors
/// A file that cannot be read, that is no bundle, or that contradicts its table of contents anywhere.
pub fn bundle(path: &Path) -> Result<BundleReport, InspectError> {
    bundle_into(path, &mut Nothing)
}

/// Takes what comes out of a bundle, in the archive's order. Nothing of it is proven before the whole bundle was read.
pub trait Sink {
    /// A piece of the content of the file that is named next.
    ///
    /// # Errors
    /// Whatever ends the reading.
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// The file whose content is complete, or a directory or link.
    ///
    /// # Errors
    /// Whatever ends the reading.
    fn member(&mut self, member: &Member) -> io::Result<()>;
}

/// Lets everything go.
struct Nothing;

impl Sink for Nothing {
    fn bytes(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn member(&mut self, _: &Member) -> io::Result<()> {
        Ok(())
    }
}

/// As [`bundle`], giving everything behind the table of contents to `sink` while it is read.
///
/// # Errors
/// Those of [`bundle`] and of the sink.
pub fn bundle_into(path: &Path, sink: &mut dyn Sink) -> Result<BundleReport, InspectError> {
    let file = File::open(path).map_err(InspectError::io(path))?;
    let mut tape = HashingReader::new(BufReader::with_capacity(1 << 18, file));
    let mut start = Vec::new();
    (&mut tape).take(MOST_HEAD).read_to_end(&mut start).map_err(InspectError::io(path))?;
    let (format, head, contents) = read_head(path, &start)?;
    // What was read beyond the first layer comes once more.
    let (head_bytes, rest) = start.split_at_checked(head).unwrap_or((&start, &[]));
    let mut reading = Reading {
        path,
        format,
        tape: io::Read::chain(rest, &mut tape),
        pieces: vec![piece("contents", 0, head as u64, Digest::of(head_bytes))],
        members: Vec::new(),
        seen: BTreeMap::new(),
        raw: 0,
        paths: 0,
    };
    for layer in &contents.layers {
        reading.layer(layer, sink)?;
    }
    reading.tail()?;
    let Reading { pieces, members, .. } = reading;
    check_contents(path, &contents, &members)?;
    let size = tape.count();
    Ok(BundleReport { format, sha256: tape.finish(), size, contents, pieces, members })
}

fn piece(name: &str, offset: u64, size: u64, sha256: Digest) -> Piece {
    Piece { name: name.to_owned(), offset, size, sha256 }
}

/// The format, the size of the first layer in the file, and the table of contents.
fn read_head(path: &Path, start: &[u8]) -> Result<(Format, usize, Contents), InspectError> {
    let foreign = |reason: &str| InspectError::Foreign { path: path.to_path_buf(), reason: reason.to_owned() };
    let damaged = |source| InspectError::Damaged { path: path.to_path_buf(), part: CONTENTS.to_owned(), source };
    // zstd's magic number (RFC 8878 §3.1.1), gzip's (RFC 1952 §2.3.1).
    let (format, head, raw) = match start {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let head = zstd::zstd_safe::find_frame_compressed_size(start)
                .map_err(|_| foreign("its first zstd frame is damaged, or too long for a table of contents"))?;
            let frame = start.get(..head).unwrap_or(start);
            let mut raw = Vec::new();
            let decoder = decode(frame, Format::TarZst).map_err(damaged)?;
            decoder.take(MOST_CONTENTS).read_to_end(&mut raw).map_err(damaged)?;
            (Format::TarZst, head, raw)
        }
        [0x1f, 0x8b, ..] => {
            let (head, raw) = read_members(start).map_err(damaged)?;
            (Format::TarGz, head, raw)
        }
        _ => return Err(foreign("it is compressed neither with zstd nor with gzip")),
    };
    let mut text = Vec::new();
    let mut segment = raw.as_slice();
    let first = segment::next_member(&mut segment, &mut |bytes| {
        text.extend_from_slice(bytes);
        Ok(())
    })
    .map_err(damaged)?;
    if first.is_none_or(|member| member.path != CONTENTS) || !segment.is_empty() {
        return Err(foreign("its first layer is not bundle.json alone"));
    }
    /// The version alone, so that a newer format is named as what it is.
    #[derive(serde::Deserialize)]
    struct Version {
        format: u32,
    }
    let wrong = |e: serde_json::Error| InspectError::wrong(path, CONTENTS, e.to_string());
    let version: Version = serde_json::from_slice(&text).map_err(wrong)?;
    if version.format != FORMAT {
        return Err(InspectError::Newer { path: path.to_path_buf(), format: version.format });
    }
    let contents = serde_json::from_slice(&text).map_err(wrong)?;
    Ok((format, head, contents))
}

/// Decompresses gzip members until the first tar entry is complete. Gives their size in the file and what they hold.
fn read_members(start: &[u8]) -> io::Result<(usize, Vec<u8>)> {
    let (mut rest, mut raw) = (start, Vec::new());
    loop {
        let mut member = flate2::bufread::GzDecoder::new(rest);
        let room = MOST_CONTENTS.saturating_sub(raw.len() as u64);
        (&mut member).take(room).read_to_end(&mut raw)?;
        rest = member.into_inner();
        let mut segment = raw.as_slice();
        let complete = segment::next_member(&mut segment, &mut |_| Ok(())).is_ok_and(|found| found.is_some());
        if complete || rest.is_empty() || raw.len() as u64 >= MOST_CONTENTS {
            return Ok((start.len() - rest.len(), raw));
        }
    }
}

/// The state of reading one bundle.
struct Reading<'a, R> {
    path: &'a Path,
    format: Format,
    tape: R,
    pieces: Vec<Piece>,
    members: Vec<Member>,
    /// Path without a closing slash → whether it is a directory.
    seen: BTreeMap<String, bool>,
    raw: u64,
    paths: usize,
}

impl<R: Read> Reading<'_, R> {
    fn layer(&mut self, entry: &LayerEntry, sink: &mut dyn Sink) -> Result<(), InspectError> {
        let (path, name) = (self.path, entry.name.as_str());
        let damaged =
            |source| InspectError::Damaged { path: path.to_path_buf(), part: format!("layer {name}"), source };
        let wrong = |reason: &str| InspectError::wrong(path, format!("layer {name}"), reason);
        self.raw = self.raw.saturating_add(entry.raw_size);
        if self.raw > MOST_RAW || entry.size > MOST_RAW {
            return Err(wrong("it claims more bytes than khimg handles"));
        }
        let mut compressed = HashingReader::new((&mut self.tape).take(entry.size));
        let mut members = Vec::new();
        {
            let decoder = decode(&mut compressed, self.format).map_err(damaged)?;
            let mut segment = decoder.take(entry.raw_size);
            while let Some(member) =
                segment::next_member(&mut segment, &mut |bytes| sink.bytes(bytes)).map_err(damaged)?
            {
                sink.member(&member).map_err(damaged)?;
                self.paths += member.path.len();
                if self.paths > MOST_PATHS {
                    return Err(wrong("it has too many entries"));
                }
                members.push(member);
            }
            let short = segment.limit() > 0;
            if short || segment.into_inner().read(&mut [0]).map_err(damaged)? > 0 {
                return Err(wrong("it does not have the size that the table of contents names"));
            }
        }
        io::copy(&mut compressed, &mut io::sink()).map_err(damaged)?;
        let (count, actual) = (compressed.count(), compressed.finish());
        if count != entry.size {
            return Err(wrong("the file ends within it"));
        }
        if actual != entry.sha256 {
            let (path, part, expected) = (path.to_path_buf(), format!("layer {name}"), entry.sha256);
            return Err(InspectError::Digest { path, part, expected, actual });
        }
        if Listing::of(&members) != entry.members {
            return Err(wrong("its entries are not those of the table of contents"));
        }
        for member in &members {
            let is_directory = member.what == What::Directory;
            let place = member.path.trim_end_matches('/').to_owned();
            let known = self.seen.insert(place, is_directory);
            if known.is_some_and(|was_directory| !(is_directory && was_directory)) {
                return Err(wrong(&format!("{} stands there twice", member.path)));
            }
        }
        self.pieces.push(piece(name, self.end(), entry.size, actual));
        self.members.extend(members);
        Ok(())
    }

    /// The two blocks of zeros that end an archive, and nothing behind them.
    fn tail(&mut self) -> Result<(), InspectError> {
        let path = self.path;
        let damaged = |source| InspectError::Damaged { path: path.to_path_buf(), part: "the end".to_owned(), source };
        let mut compressed = HashingReader::new((&mut self.tape).take(MOST_HEAD));
        let mut end = Vec::new();
        let decoder = decode(&mut compressed, self.format).map_err(damaged)?;
        decoder.take(END.len() as u64 + 1).read_to_end(&mut end).map_err(damaged)?;
        if end != END {
            return Err(InspectError::wrong(path, "the end", "it is not that of a tar archive"));
        }
        io::copy(&mut compressed, &mut io::sink()).map_err(damaged)?;
        let (count, sha256) = (compressed.count(), compressed.finish());
        if count == MOST_HEAD {
            return Err(InspectError::wrong(path, "the end", "something follows it"));
        }
        self.pieces.push(piece("end", self.end(), count, sha256));
        Ok(())
    }

    fn end(&self) -> u64 {
        self.pieces.last().map_or(0, |last| last.offset + last.size)
    }
}

/// Compares the table of contents with what is there.
fn check_contents(path: &Path, contents: &Contents, members: &[Member]) -> Result<(), InspectError> {
    let files: BTreeMap<&str, &What> = members.iter().map(|member| (member.path.as_str(), &member.what)).collect();
    let mut listed: BTreeSet<&str> = BTreeSet::new();
    for package in &contents.packages {
        listed.insert(&package.file);
        match files.get(package.file.as_str()) {
            Some(What::File { size, sha256, .. }) if *sha256 == package.sha256 && *size == package.size => {}
            Some(What::File { sha256: actual, .. }) => {
                let (path, part) = (path.to_path_buf(), format!("package {}", package.name));
                return Err(InspectError::Digest { path, part, expected: package.sha256, actual: *actual });
            }
            _ => return Err(InspectError::wrong(path, format!("package {}", package.name), "it is missing")),
        }
    }
    for image in &contents.images {
        listed.insert(&image.file);
        if !matches!(files.get(image.file.as_str()), Some(What::File { .. })) {
            return Err(InspectError::wrong(path, format!("image {}", image.name), "it is missing"));
        }
    }
    let known = |member: &Member| {
        member.path.starts_with("rootfs/")
            || listed.contains(member.path.as_str())
            || (member.what == What::Directory && matches!(member.path.as_str(), "packages/" | "images/"))
    };
    match members.iter().find(|member| !known(member)) {
        Some(stranger) => {
            Err(InspectError::wrong(path, stranger.path.clone(), "the table of contents does not list it"))
        }
        None => Ok(()),
    }
}
