//! Reads a bundle file from beginning to end and proves that it is what its table of contents says.
//!
//! The file may be hostile: everything is read as a stream, with bounds on what is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Serialize;

use super::error::InspectError;
use super::segment;
use crate::digest::{Digest, HashingReader};
use crate::pack::contents::{CONTENTS, FORMAT, LayerEntry};
use crate::pack::locator::Locator;
use crate::pack::segment::END;
use crate::pack::{Contents, Format, Listing, Member, Piece, What, decode};

/// Most compressed bytes of the layer that holds the table of contents.
const MOST_TABLE: u64 = 4 << 20;

/// Most bytes of that layer once decompressed.
const MOST_CONTENTS: u64 = 32 << 20;

/// Most compressed bytes of the end of the archive, with the locator.
const MOST_END: u64 = 64 << 10;

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

/// As [`bundle`], giving everything but the table of contents to `sink` while it is read.
///
/// # Errors
/// Those of [`bundle`] and of the sink.
pub fn bundle_into(path: &Path, sink: &mut dyn Sink) -> Result<BundleReport, InspectError> {
    let mut file = File::open(path).map_err(InspectError::io(path))?;
    let Table { format, locator, compressed, contents } = read_table(path, &mut file)?;
    file.rewind().map_err(InspectError::io(path))?;
    let mut reading = Reading {
        path,
        format,
        tape: HashingReader::new(BufReader::with_capacity(1 << 18, file)),
        pieces: Vec::new(),
        members: Vec::new(),
        seen: BTreeMap::new(),
        raw: 0,
        paths: 0,
    };
    for layer in &contents.layers {
        reading.layer(layer, sink)?;
    }
    reading.table(locator, &compressed)?;
    reading.end(locator)?;
    let Reading { tape, pieces, members, .. } = reading;
    check_contents(path, &contents, &members)?;
    let size = tape.count();
    Ok(BundleReport { format, sha256: tape.finish(), size, contents, pieces, members })
}

fn piece(name: &str, offset: u64, size: u64, sha256: Digest) -> Piece {
    Piece { name: name.to_owned(), offset, size, sha256 }
}

/// The table of contents, and where it was found.
struct Table {
    format: Format,
    locator: Locator,
    compressed: Vec<u8>,
    contents: Contents,
}

fn read_table(path: &Path, file: &mut File) -> Result<Table, InspectError> {
    let foreign = |reason: &str| InspectError::Foreign { path: path.to_path_buf(), reason: reason.to_owned() };
    let damaged = |source| InspectError::Damaged { path: path.to_path_buf(), part: CONTENTS.to_owned(), source };
    let mut begin = Vec::new();
    Read::take(&mut *file, 4).read_to_end(&mut begin).map_err(InspectError::io(path))?;
    // zstd's magic number (RFC 8878 §3.1.1), gzip's (RFC 1952 §2.3.1).
    let format = match begin[..] {
        [0x28, 0xb5, 0x2f, 0xfd] => Format::TarZst,
        [0x1f, 0x8b, ..] => Format::TarGz,
        _ => return Err(foreign("it is compressed neither with zstd nor with gzip")),
    };
    let length = file.metadata().map_err(InspectError::io(path))?.len();
    let end = stretch(file, length.saturating_sub(Locator::MOST as u64), Locator::MOST as u64);
    let locator = Locator::of_end(&end.map_err(InspectError::io(path))?, format)
        .ok_or_else(|| foreign("its end does not say where its table of contents is"))?;
    let within = locator.offset.checked_add(locator.size).is_some_and(|end| end <= length);
    if locator.size > MOST_TABLE || !within {
        return Err(foreign("its end does not say where its table of contents is"));
    }
    let compressed = stretch(file, locator.offset, locator.size).map_err(InspectError::io(path))?;
    let mut raw = Vec::new();
    let decoder = decode(compressed.as_slice(), format).map_err(damaged)?;
    decoder.take(MOST_CONTENTS).read_to_end(&mut raw).map_err(damaged)?;
    let mut text = Vec::new();
    let mut segment = raw.as_slice();
    let first = segment::next_member(&mut segment, &mut |bytes| {
        text.extend_from_slice(bytes);
        Ok(())
    })
    .map_err(damaged)?;
    if first.is_none_or(|member| member.path != CONTENTS) || !segment.is_empty() {
        return Err(foreign("bundle.json is not alone in its layer"));
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
    Ok(Table { format, locator, compressed, contents })
}

/// What the file has of these bytes.
fn stretch(file: &mut File, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    Read::take(file, size).read_to_end(&mut bytes)?;
    Ok(bytes)
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
        self.pieces.push(piece(name, self.position(), entry.size, actual));
        self.members.extend(members);
        Ok(())
    }

    /// The table of contents, where it was found before and as it was.
    fn table(&mut self, locator: Locator, expected: &[u8]) -> Result<(), InspectError> {
        let mut compressed = Vec::new();
        let read = (&mut self.tape).take(locator.size).read_to_end(&mut compressed);
        read.map_err(InspectError::io(self.path))?;
        if self.position() != locator.offset || compressed != expected {
            return Err(InspectError::wrong(self.path, CONTENTS, "it does not lie behind the layers that it names"));
        }
        self.pieces.push(piece("contents", locator.offset, locator.size, Digest::of(expected)));
        Ok(())
    }

    /// The two blocks of zeros that end an archive, and nothing behind them but the locator.
    fn end(&mut self, locator: Locator) -> Result<(), InspectError> {
        let path = self.path;
        let damaged = |source| InspectError::Damaged { path: path.to_path_buf(), part: "the end".to_owned(), source };
        let mut compressed = Vec::new();
        (&mut self.tape).take(MOST_END).read_to_end(&mut compressed).map_err(InspectError::io(path))?;
        let mut end = Vec::new();
        let decoder = decode(compressed.as_slice(), self.format).map_err(damaged)?;
        decoder.take(END.len() as u64 + 1).read_to_end(&mut end).map_err(damaged)?;
        if end != END
            || compressed.len() as u64 == MOST_END
            || Locator::of_end(&compressed, self.format) != Some(locator)
        {
            return Err(InspectError::wrong(path, "the end", "it is not that of a bundle"));
        }
        self.pieces.push(piece("end", self.position(), compressed.len() as u64, Digest::of(&compressed)));
        Ok(())
    }

    /// Where the next piece begins.
    fn position(&self) -> u64 {
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
