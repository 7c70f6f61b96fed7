//! The headers of an rpm package: who it says it is, and what its signatures are over.
//!
//! ```text
//! lead (96 bytes) │ signature header, padded to 8 │ header │ payload
//!                                                 └ signed ┘
//!                                                 └──── signed ───┘   by old packages
//! ```
//!
//! The layout and the tags are those of rpm's documentation, "RPM V4 Package format".

use std::io::{self, Read};

use crate::digest::Digest;

const LEAD: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
const LEAD_SIZE: usize = 96;
const HEADER: [u8; 4] = [0x8e, 0xad, 0xe8, 0x01];
/// Bytes before the index of a header: magic, reserved, two counts.
const PREFIX: usize = 16;
/// Bytes of an entry of the index.
const ENTRY: usize = 16;
/// Largest header, in bytes. That of a kernel with all its files has 3 MB.
const MAX_HEADER: usize = 64 << 20;
/// Most entries of a header. rpm itself allows as many.
const MAX_ENTRIES: usize = 0xffff;

/// Tags of the signature header.
const SIGNATURES_OF_HEADER: [u32; 2] = [268, 267];
const SIGNATURES_OF_ALL: [u32; 2] = [1002, 1005];
/// Tags of the header.
const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const ARCH: u32 = 1022;
const PAYLOAD_DIGEST: u32 = 5092;
const PAYLOAD_DIGEST_ALGORITHM: u32 = 5093;
/// SHA-256 as OpenPGP counts algorithms.
const SHA256: u32 = 8;

/// A file that is no rpm package.
#[derive(Debug, thiserror::Error)]
pub enum BadRpm {
    /// It cannot be read, or ends too early.
    #[error("it is no whole rpm package")]
    Read(#[from] io::Error),
    /// It does not follow the format.
    #[error("it is no sound rpm package: {0}")]
    Format(&'static str),
}

/// The headers of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rpm {
    /// Its name.
    pub name: String,
    /// `[epoch:]version-release`.
    pub version: String,
    /// Its architecture.
    pub arch: String,
    /// The digest of the payload that the header names.
    pub payload: Option<Digest>,
    /// The header as it is in the file.
    pub header: Vec<u8>,
    /// Where the header begins in the file.
    pub start: u64,
    /// OpenPGP signatures over the header.
    pub over_header: Vec<Vec<u8>>,
    /// OpenPGP signatures over header and payload.
    pub over_all: Vec<Vec<u8>>,
}

impl Rpm {
    /// Reads the headers of a package.
    ///
    /// # Errors
    /// A file that ends too early or does not follow the format; limits.
    pub fn read(mut file: impl Read) -> Result<Self, BadRpm> {
        let mut lead = [0; LEAD_SIZE];
        file.read_exact(&mut lead)?;
        if !lead.starts_with(&LEAD) {
            return Err(BadRpm::Format("it does not begin like one"));
        }
        let signatures = Header::read(&mut file)?;
        let end = LEAD_SIZE + signatures.all.len();
        let start = end.next_multiple_of(8);
        let mut padding = vec![0; start - end];
        file.read_exact(&mut padding)?;
        let header = Header::read(&mut file)?;
        let text = |tag| header.text(tag).ok_or(BadRpm::Format("its header lacks a name, version or architecture"));
        let epoch = header.number(EPOCH).filter(|epoch| *epoch > 0).map(|epoch| format!("{epoch}:"));
        let is_sha256 = header.number(PAYLOAD_DIGEST_ALGORITHM) == Some(SHA256);
        let payload = header.text(PAYLOAD_DIGEST).filter(|_| is_sha256).and_then(|digest| digest.parse().ok());
        Ok(Self {
            name: text(NAME)?,
            version: format!("{}{}-{}", epoch.unwrap_or_default(), text(VERSION)?, text(RELEASE)?),
            arch: text(ARCH)?,
            payload,
            start: start as u64,
            over_header: SIGNATURES_OF_HEADER.iter().filter_map(|tag| signatures.bytes(*tag)).collect(),
            over_all: SIGNATURES_OF_ALL.iter().filter_map(|tag| signatures.bytes(*tag)).collect(),
            header: header.all,
        })
    }

    /// Where the payload begins in the file.
    pub fn payload_start(&self) -> u64 {
        self.start + self.header.len() as u64
    }
}

/// A header with its index.
struct Header {
    all: Vec<u8>,
    entries: usize,
}

impl Header {
    fn read(file: &mut impl Read) -> Result<Self, BadRpm> {
        let mut all = vec![0; PREFIX];
        file.read_exact(&mut all)?;
        if !all.starts_with(&HEADER) {
            return Err(BadRpm::Format("a header does not begin like one"));
        }
        let count = |at| word(&all, at).ok_or(BadRpm::Format("a header has no size"));
        let (entries, size) = (count(8)? as usize, count(12)? as usize);
        if entries > MAX_ENTRIES || size > MAX_HEADER {
            return Err(BadRpm::Format("a header is too large"));
        }
        let rest = entries * ENTRY + size;
        file.take(rest as u64).read_to_end(&mut all)?;
        if all.len() != PREFIX + rest {
            return Err(BadRpm::Read(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Self { all, entries })
    }

    /// What an entry of this tag holds, from where it begins, with its type and count.
    fn find(&self, tag: u32) -> Option<(u32, usize, &[u8])> {
        let at =
            (0..self.entries).map(|number| PREFIX + number * ENTRY).find(|at| word(&self.all, *at) == Some(tag))?;
        let (kind, offset, count) = (word(&self.all, at + 4)?, word(&self.all, at + 8)?, word(&self.all, at + 12)?);
        let data = self.all.get(PREFIX + self.entries * ENTRY..)?;
        Some((kind, count as usize, data.get(offset as usize..)?))
    }

    /// A text, or the first of several.
    fn text(&self, tag: u32) -> Option<String> {
        let (kind, _, data) = self.find(tag)?;
        let end = memchr::memchr(0, data)?;
        let text = std::str::from_utf8(data.get(..end)?).ok()?;
        // STRING, STRING_ARRAY
        matches!(kind, 6 | 8).then(|| text.to_owned())
    }

    fn number(&self, tag: u32) -> Option<u32> {
        let (kind, count, data) = self.find(tag)?;
        // INT32
        (kind == 4 && count > 0).then(|| word(data, 0)).flatten()
    }

    fn bytes(&self, tag: u32) -> Option<Vec<u8>> {
        let (kind, count, data) = self.find(tag)?;
        // BIN
        (kind == 7).then(|| data.get(..count)).flatten().map(<[u8]>::to_vec)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let begin = [(0, LEAD), (96, HEADER), (128, HEADER)];
            for (at, magic) in begin {
                if let Some(place) = bytes.get_mut(at..at + 4) {
                    place.copy_from_slice(&magic);
                }
            }
            // Counts that are small enough to lead somewhere.
            for at in [104, 108, 136, 140] {
                if let Some(place) = bytes.get_mut(at..at + 3) {
                    place.fill(0);
                }
            }
            let _ = Rpm::read(&bytes[..]);
        }
    }
}
