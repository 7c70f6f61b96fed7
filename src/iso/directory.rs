//! Directory records (ECMA-119 §9.1), with Rock Ridge's fields behind them (SUSP and RRIP 1.10).

use super::field::{DATE, both16, both32, ucs2};
use super::{Access, SECTOR};

/// Bytes of a path table that holds the root alone (§9.4).
pub(super) const PATH_TABLE: u32 = 10;

/// Bytes of a record before the name.
const HEAD: usize = 33;

/// A record's length is one byte.
const LONGEST_RECORD: usize = 255;

/// The flag of a directory (§9.1.6).
const DIRECTORY: u8 = 2;

/// The bit of a regular file and that of a directory in a POSIX mode (RRIP §4.1.1).
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;

/// A run of sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) sector: u32,
    /// Bytes of it that count.
    pub(super) size: u32,
}

/// One file in one tree.
pub(super) struct Entry {
    identifier: Vec<u8>,
    /// Length of the identifier without its version, by which entries are ordered (§9.3).
    name: usize,
    extent: Extent,
    system_use: Vec<u8>,
}

impl Entry {
    /// In the primary tree, with its real name and its mode.
    pub(super) fn primary(short: &str, name: &str, access: Access, extent: Extent) -> Self {
        let mut system_use = posix(REGULAR | access.bits(), 1);
        // NM (RRIP §4.1.4): length, version, no flags, the name.
        system_use.extend_from_slice(&[b'N', b'M', 5 + name.len() as u8, 1, 0]);
        system_use.extend_from_slice(name.as_bytes());
        Self { identifier: format!("{short};1").into_bytes(), name: short.len(), extent, system_use }
    }

    /// In the Joliet tree.
    pub(super) fn joliet(name: &str, extent: Extent) -> Self {
        let (identifier, name) = (ucs2(&format!("{name};1")), 2 * name.len());
        Self { identifier, name, extent, system_use: Vec::new() }
    }

    fn name(&self) -> &[u8] {
        self.identifier.get(..self.name).unwrap_or_default()
    }
}

/// A root directory.
pub(super) struct Directory {
    sector: u32,
    bytes: Vec<u8>,
}

impl Directory {
    /// The primary tree's, at `sector`; the notice of Rock Ridge lies at `notice`.
    pub(super) fn primary(sector: u32, notice: u32, entries: Vec<Entry>) -> Self {
        // SP (SUSP §5.3): the check bytes, nothing to skip.
        let mut own = vec![b'S', b'P', 7, 1, 0xbe, 0xef, 0];
        own.extend_from_slice(&posix(FOLDER | 0o555, 2));
        // CE (SUSP §5.1): where the notice lies.
        own.extend_from_slice(b"CE\x1c\x01");
        for value in [notice, 0, NOTICE.len() as u32] {
            own.extend_from_slice(&both32(value));
        }
        Self::new(sector, entries, &own, &posix(FOLDER | 0o555, 2))
    }

    /// The Joliet tree's, at `sector`.
    pub(super) fn joliet(sector: u32, entries: Vec<Entry>) -> Self {
        Self::new(sector, entries, &[], &[])
    }

    fn new(sector: u32, mut entries: Vec<Entry>, own: &[u8], parent: &[u8]) -> Self {
        entries.sort_by(|a, b| a.name().cmp(b.name()));
        let size = |records: &[Vec<u8>]| lay(records).len() as u32;
        let files: Vec<Vec<u8>> =
            entries.iter().map(|entry| record(&entry.identifier, entry.extent, 0, &entry.system_use)).collect();
        let dots = |size: u32| {
            let extent = Extent { sector, size };
            [record(&[0], extent, DIRECTORY, own), record(&[1], extent, DIRECTORY, parent)]
        };
        let all = |size: u32| dots(size).into_iter().chain(files.iter().cloned()).collect::<Vec<_>>();
        let size = size(&all(0));
        Self { sector, bytes: lay(&all(size)) }
    }

    pub(super) fn extent(&self) -> Extent {
        Extent { sector: self.sector, size: self.bytes.len() as u32 }
    }

    /// Whole sectors.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The root's record in a descriptor.
pub(super) fn root(extent: Extent) -> Vec<u8> {
    record(&[0], extent, DIRECTORY, &[])
}

/// A path table of the root alone, its numbers in the byte order of the caller; a whole sector.
pub(super) fn path_table(sector: [u8; 4], parent: [u8; 2]) -> Vec<u8> {
    let mut table = vec![1, 0];
    table.extend_from_slice(&sector);
    table.extend_from_slice(&parent);
    table.resize(SECTOR as usize, 0);
    table
}

/// One record; its length is even.
fn record(identifier: &[u8], extent: Extent, flags: u8, system_use: &[u8]) -> Vec<u8> {
    let mut record = vec![0, 0];
    record.extend_from_slice(&both32(extent.sector));
    record.extend_from_slice(&both32(extent.size));
    record.extend_from_slice(&DATE);
    record.extend_from_slice(&[flags, 0, 0]);
    record.extend_from_slice(&both16(1));
    record.push(identifier.len() as u8);
    record.extend_from_slice(identifier);
    if record.len() % 2 == 1 {
        record.push(0);
    }
    record.extend_from_slice(system_use);
    if record.len() % 2 == 1 {
        record.push(0);
    }
    debug_assert!(record.len() > HEAD && record.len() <= LONGEST_RECORD);
    let length = record.len() as u8;
    if let Some(first) = record.first_mut() {
        *first = length;
    }
    record
}

/// Records one behind the other, none across the end of a sector (§6.8.1.1), filled up to whole sectors.
fn lay(records: &[Vec<u8>]) -> Vec<u8> {
    let sector = SECTOR as usize;
    let mut bytes = Vec::new();
    for record in records {
        let room = sector - bytes.len() % sector;
        if record.len() > room {
            bytes.resize(bytes.len() + room, 0);
        }
        bytes.extend_from_slice(record);
    }
    bytes.resize(bytes.len().next_multiple_of(sector), 0);
    bytes
}

/// PX (RRIP §4.1.1): mode, links, owner, group.
fn posix(mode: u32, links: u32) -> Vec<u8> {
    let mut field = b"PX\x24\x01".to_vec();
    for value in [mode, links, 0, 0] {
        field.extend_from_slice(&both32(value));
    }
    field
}

/// ER (SUSP §5.5): that the fields are Rock Ridge's, in the words that RRIP §4.3 asks for.
const NOTICE: &[u8] = b"ER\xed\x01\x0a\x54\x87\x01RRIP_1991A\
THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS\
PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION.";

/// The notice, a whole sector.
pub(super) fn notice() -> Vec<u8> {
    let mut sector = NOTICE.to_vec();
    sector.resize(SECTOR as usize, 0);
    sector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notice_has_the_lengths_that_it_names() {
        assert_eq!(NOTICE.len(), 0xed);
        assert_eq!(8 + 0x0a + 0x54 + 0x87, 0xed);
    }

    #[test]
    fn the_longest_name_fits_into_a_record() {
        let name = "x".repeat(super::super::LONGEST_NAME);
        let short = format!("{}.", "X".repeat(30));
        let extent = Extent { sector: 1, size: 1 };
        for entry in [Entry::primary(&short, &name, Access::Root, extent), Entry::joliet(&name, extent)] {
            assert!(record(&entry.identifier, extent, 0, &entry.system_use).len() <= LONGEST_RECORD);
        }
    }

    #[test]
    fn no_record_crosses_a_sector() {
        let extent = Extent { sector: 1, size: 1 };
        let entries = (0..200).map(|at| Entry::joliet(&format!("file-{at:03}"), extent)).collect();
        let directory = Directory::joliet(30, entries);
        let mut found = 0;
        for sector in directory.bytes().chunks(SECTOR as usize) {
            let mut at = 0;
            while sector.get(at).copied().unwrap_or_default() > 0 {
                at += usize::from(sector[at]);
                found += 1;
            }
            assert!(at <= sector.len());
        }
        assert_eq!(found, 202);
    }
}
