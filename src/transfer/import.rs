//! The side that has none.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::index::{BLOBS, DEPOT, FORMAT, FileEntry, INDEX};
use super::{Index, TransferError, parts};
use crate::deliver::{DeliverError, Restored, restore};
use crate::digest::Digest;
use crate::inspect::next_member;
use crate::pack::segment::END;
use crate::pack::{Format, Member, What, decode};
use crate::report::{Event, Reporter, next_task};
use crate::store::Store;

/// An index of more bytes than this is not one of ours.
const MOST_INDEX: u64 = 64 << 20;

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Digest of the index: the name of the export.
    pub index: Digest,
    /// Blobs that were new.
    pub new: usize,
    /// Blobs that the store had.
    pub known: usize,
    /// Files that were written, below the directory.
    pub files: Vec<String>,
    /// Where the depot was put.
    pub depot: Option<PathBuf>,
}

/// Only the index of the export at `path`, with its digest.
///
/// # Errors
/// A file that is no export.
pub fn read_index(path: &Path) -> Result<(Index, Digest), TransferError> {
    let mut stream = decode(parts::open(path)?, Format::TarZst).map_err(TransferError::io("read", path))?;
    index(path, &mut stream)
}

/// Takes everything that the export at `path` carries into `store`, and makes its files below `directory`.
///
/// Each blob is kept as soon as it is whole: an import that fails goes on there the next time.
///
/// # Errors
/// A file that is no export, is damaged or is not `expected`; files that are there with other contents, unless they may be replaced;
/// blobs of an earlier export that are missing.
pub fn import(
    path: &Path,
    expected: Option<&Digest>,
    directory: &Path,
    replace: bool,
    store: &Store,
    reporter: &dyn Reporter,
) -> Result<Imported, TransferError> {
    let mut stream = decode(parts::open(path)?, Format::TarZst).map_err(TransferError::io("read", path))?;
    let (index, actual) = index(path, &mut stream)?;
    if let Some(expected) = expected.filter(|expected| **expected != actual) {
        return Err(TransferError::Another { path: path.to_path_buf(), expected: *expected, actual });
    }
    let mut missing = 0;
    for digest in index.blobs.keys().filter(|digest| !index.carried.contains(digest)) {
        missing += usize::from(store.get(digest)?.is_none());
    }
    if let Some(since) = index.since.filter(|_| missing > 0) {
        return Err(TransferError::Since { path: path.to_path_buf(), since, missing });
    }
    let plain: Vec<(&String, &FileEntry)> = index.files.iter().filter(|(path, _)| !path.starts_with(DEPOT)).collect();
    if !replace {
        check_free(directory, &plain)?;
    }
    let task = next_task();
    let total = index.carried.iter().filter_map(|digest| index.blobs.get(digest)).sum();
    reporter.report(Event::Started { task, label: format!("import {}", path.display()), total: Some(total) });
    let taken = blobs(path, &index, &mut stream, store, |done| reporter.report(Event::Progress { task, done }));
    reporter.report(Event::Finished { task });
    let new = taken?;
    let mut files = Vec::new();
    for (name, entry) in plain {
        write(&directory.join(name), entry, store)?;
        files.push(name.clone());
    }
    let depot = depot(&index, &directory.join(DEPOT.trim_end_matches('/')), store, reporter)?;
    Ok(Imported { index: actual, new, known: index.carried.len() - new, files, depot })
}

fn damaged(path: &Path, part: &str) -> impl FnOnce(io::Error) -> TransferError {
    let (path, part) = (path.to_path_buf(), part.to_owned());
    move |source| TransferError::Damaged { path, part, source }
}

fn index(path: &Path, stream: &mut impl Read) -> Result<(Index, Digest), TransferError> {
    let foreign = |reason: String| TransferError::Foreign { path: path.to_path_buf(), reason };
    let mut text = Vec::new();
    let member = next_member(stream, &mut |bytes| {
        if text.len() as u64 + bytes.len() as u64 > MOST_INDEX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        text.extend_from_slice(bytes);
        Ok(())
    });
    let begins = member.map_err(|e| foreign(e.to_string()))?.is_some_and(|member| member.path == INDEX);
    if !begins {
        return Err(foreign(format!("it does not begin with {INDEX}")));
    }
    /// The version alone, so that a newer format is named as what it is.
    #[derive(serde::Deserialize)]
    struct Version {
        format: u32,
    }
    let wrong = |e: serde_json::Error| foreign(format!("{INDEX} cannot be read: {e}"));
    let version: Version = serde_json::from_slice(&text).map_err(wrong)?;
    if version.format != FORMAT {
        return Err(foreign(format!("it has the format {}, and this khimg reads {FORMAT}", version.format)));
    }
    let index: Index = serde_json::from_slice(&text).map_err(wrong)?;
    match index.flaw() {
        Some(flaw) => Err(foreign(flaw)),
        None => Ok((index, Digest::of(&text))),
    }
}

/// Takes the blobs in; says how many were new.
fn blobs(
    path: &Path,
    index: &Index,
    stream: &mut impl Read,
    store: &Store,
    progress: impl Fn(u64),
) -> Result<usize, TransferError> {
    let (mut new, mut done) = (0, 0);
    // The directories above the blobs come once, before the first.
    let mut above: BTreeSet<&str> = BTreeSet::from(["blobs/", BLOBS]);
    for expected in &index.carried {
        let size = index.blobs.get(expected).copied().unwrap_or_default();
        let part = format!("{BLOBS}{}", expected.hex());
        let mut writer = if store.get(expected)?.is_none() { Some(store.writer()?) } else { None };
        let mut count = 0;
        let member = loop {
            let member = next_member(stream, &mut |bytes| {
                count += bytes.len() as u64;
                if count > size {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than the index says"));
                }
                writer.as_mut().map_or(Ok(()), |writer| writer.write_all(bytes))
            });
            match member.map_err(damaged(path, &part))? {
                Some(Member { what: What::Directory, path }) if above.remove(path.as_str()) => {}
                other => break other,
            }
        };
        let right = |member: &Member| {
            let What::File { sha256, size: actual, .. } = member.what else { return false };
            member.path == part && sha256 == *expected && actual == size
        };
        if !member.as_ref().is_some_and(right) {
            let text = match member {
                None => "the file ends there".to_owned(),
                Some(member) => format!("{} stands there, and is not what the index says", member.path),
            };
            return Err(damaged(path, &part)(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        if let Some(writer) = writer {
            writer.commit()?;
            new += 1;
        }
        done += size;
        progress(done);
    }
    // Nothing else may follow: `next_member` takes the zeros of the end for the end of a segment's input only.
    let mut rest = Vec::new();
    stream.take(END.len() as u64 + 1).read_to_end(&mut rest).map_err(damaged(path, "its end"))?;
    if rest != END {
        let text = io::Error::new(io::ErrorKind::InvalidData, "it does not end as a tar archive does");
        return Err(damaged(path, "its end")(text));
    }
    Ok(new)
}

/// Whether every file is either new or there already with the same bytes.
fn check_free(directory: &Path, files: &[(&String, &FileEntry)]) -> Result<(), TransferError> {
    let mut taken = Vec::new();
    for (name, entry) in files {
        let path = directory.join(name);
        let there = match fs::File::open(&path) {
            Ok(file) => Some(Digest::of_reader(file).map_err(TransferError::io("read", &path))?.0),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(TransferError::io("read", &path)(e)),
        };
        // Files of a project travel in one piece.
        if there.is_some_and(|there| entry.pieces != [there]) {
            taken.push(path.display().to_string());
        }
    }
    if taken.is_empty() { Ok(()) } else { Err(TransferError::Exists { paths: taken }) }
}

fn write(path: &Path, entry: &FileEntry, store: &Store) -> Result<(), TransferError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(TransferError::io("create", parent))?;
    let mut file = NamedTempFile::new_in(parent).map_err(TransferError::io("create a file in", parent))?;
    join(entry, store, &mut file, path)?;
    let mode = fs::Permissions::from_mode(if entry.secret { 0o600 } else { 0o644 });
    file.as_file().set_permissions(mode).map_err(TransferError::io("set up", path))?;
    file.as_file().sync_all().map_err(TransferError::io("sync", path))?;
    file.persist(path).map_err(|e| TransferError::io("create", path)(e.error))?;
    Ok(())
}

/// Writes the pieces of a file, each proven once more.
fn join(entry: &FileEntry, store: &Store, out: &mut impl Write, path: &Path) -> Result<(), TransferError> {
    for digest in &entry.pieces {
        let blob = store.get(digest)?.ok_or(TransferError::Incomplete { missing: 1 })?;
        io::copy(&mut blob.open()?, out).map_err(TransferError::io("write", path))?;
    }
    Ok(())
}

/// Puts the depot in place, unless that would take away seeds that stand there.
fn depot(
    index: &Index,
    place: &Path,
    store: &Store,
    reporter: &dyn Reporter,
) -> Result<Option<PathBuf>, TransferError> {
    let delivered = index.files.iter().filter_map(|(path, entry)| Some((path.strip_prefix(DEPOT)?, entry)));
    let files: Vec<Restored<'_>> =
        delivered.map(|(path, entry)| Restored { path, secret: entry.secret, pieces: &entry.pieces }).collect();
    if files.is_empty() {
        return Ok(None);
    }
    match restore(&files, place, store) {
        Ok(place) => Ok(Some(place)),
        Err(error @ DeliverError::Seeds { .. }) => {
            reporter.report(Event::Note { text: error.to_string() });
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
