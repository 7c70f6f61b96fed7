//! `--check`: every layer is built again, with one thread and with several, and compared with the one in the store.

use std::fmt;
use std::io::{self, Read, Write};

use super::compress::{Format, Workers};
use super::error::PackError;
use super::layer::{Layer, compress};
use super::member::{Member, What};
use super::recipe::Recipe;
use super::segment::member_size;

/// Where the first byte of two builds differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In an entry of the tar segment.
    Entry {
        /// Path of the entry.
        path: String,
        /// Bytes from the beginning of the entry's header.
        offset: u64,
    },
    /// Nowhere in the segment, but in its compressed form.
    Compressed {
        /// Bytes from the beginning of the layer.
        offset: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry { path, offset } => write!(f, "the first difference is byte {offset} of the entry {path}"),
            Self::Compressed { offset } => {
                write!(f, "the entries are equal, but byte {offset} of their compressed form differs")
            }
        }
    }
}

/// Builds `recipe` again with each of `workers` and compares it with `layer`.
pub(super) fn compare(
    recipe: &Recipe<'_>,
    layer: &Layer,
    format: Format,
    workers: &[&Workers],
) -> Result<Option<Place>, PackError> {
    let store = |source| PackError::Store { layer: layer.name.clone(), source };
    let failed = |source| PackError::Io { layer: layer.name.clone(), source };
    for workers in workers {
        let raw_size = recipe.length()?;
        let out = Comparison::new(layer.blob.open().map_err(store)?);
        let (out, _) = compress(recipe, &layer.parameters, raw_size, out, workers)?;
        let Some(offset) = out.finish().map_err(failed)? else { continue };
        let decoded = super::decode(layer.blob.open().map_err(store)?, format).map_err(failed)?;
        let (raw, members) = recipe.write(Comparison::new(decoded))?;
        let place = match raw.finish().map_err(failed)? {
            Some(offset) => entry_at(&members, offset),
            None => Place::Compressed { offset },
        };
        return Ok(Some(place));
    }
    Ok(None)
}

/// The entry in which byte `offset` of a segment lies.
fn entry_at(members: &[Member], offset: u64) -> Place {
    let mut begin = 0;
    for member in members {
        let (link, size) = match &member.what {
            What::Directory => (None, 0),
            What::File { size, .. } => (None, *size),
            What::Link { target } => (Some(target.as_str()), 0),
        };
        let end = begin + member_size(&member.path, link, size);
        if offset < end {
            return Place::Entry { path: member.path.clone(), offset: offset - begin };
        }
        begin = end;
    }
    Place::Entry { path: "(behind the last)".to_owned(), offset: offset - begin }
}

/// Compares what is written with what a reader yields, and remembers the first difference.
struct Comparison<R> {
    expected: R,
    buffer: Vec<u8>,
    offset: u64,
    difference: Option<u64>,
}

impl<R: Read> Comparison<R> {
    fn new(expected: R) -> Self {
        Self { expected, buffer: Vec::new(), offset: 0, difference: None }
    }

    /// The offset of the first difference, of which another length is one.
    fn finish(mut self) -> io::Result<Option<u64>> {
        let ended = self.difference.is_some() || self.expected.read(&mut [0])? == 0;
        Ok(self.difference.or((!ended).then_some(self.offset)))
    }
}

impl<R: Read> Write for Comparison<R> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.difference.is_none() {
            self.buffer.clear();
            (&mut self.expected).take(buf.len() as u64).read_to_end(&mut self.buffer)?;
            let equal = self.buffer.iter().zip(buf).take_while(|(expected, actual)| expected == actual).count();
            if equal < buf.len() {
                self.difference = Some(self.offset + equal as u64);
            }
            self.offset += equal as u64;
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn compared(expected: &[u8], written: &[u8]) -> Option<u64> {
        let mut comparison = Comparison::new(expected);
        for chunk in written.chunks(3) {
            comparison.write_all(chunk).expect("in memory");
        }
        comparison.finish().expect("in memory")
    }

    #[test]
    fn finds_the_first_difference() {
        assert_eq!(compared(b"", b""), None);
        assert_eq!(compared(b"0123456789", b"0123456789"), None);
        assert_eq!(compared(b"0123456789", b"01234x67x9"), Some(5));
        assert_eq!(compared(b"0123456789", b"01234"), Some(5));
        assert_eq!(compared(b"01234", b"0123456789"), Some(5));
    }

    #[test]
    fn names_the_entry() {
        let file = |path: &str, size| Member {
            path: path.to_owned(),
            what: What::File { mode: 0o644, size, sha256: Digest::of(b"") },
        };
        let members = [Member { path: "a/".to_owned(), what: What::Directory }, file("a/one", 513), file("a/two", 1)];
        let entry = |path: &str, offset| Place::Entry { path: path.to_owned(), offset };
        assert_eq!(entry_at(&members, 511), entry("a/", 511));
        assert_eq!(entry_at(&members, 512 + 512 + 7), entry("a/one", 519));
        assert_eq!(entry_at(&members, 4 * 512), entry("a/two", 0));
        assert_eq!(entry_at(&members, 7 * 512), entry("(behind the last)", 512));
    }
}
