//! FAT32 (Microsoft, "FAT32 File System Specification" 1.03), written once from beginning to end.
//!
//! ```text
//! sector 0     boot sector; 1 free clusters; 6 and 7 the same again
//!        32    the table of clusters, twice
//!              clusters: directories, then files, each in one piece
//! ```
//!
//! `fatfs` (0.3.6, its last release) was tried: `fsck.vfat` finds `.` and `..` with long names and dates of month zero in what it makes.
//! Here every date is the first that the format has, and what is written follows from names and contents alone.

mod entry;

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};

use entry::{ENTRY, Entry};

/// Bytes of a sector.
const SECTOR: u64 = 512;

/// Sectors before the first table.
const RESERVED: u64 = 32;

/// Tables of clusters.
const TABLES: u64 = 2;

/// A volume with fewer clusters than this is FAT16, whatever it says (§3.5); with some distance, for readers that count otherwise.
const FEWEST_CLUSTERS: u64 = 65_525 + 16;

/// The first cluster there is; the root directory's.
const FIRST: u32 = 2;

/// Last in its chain.
const END: u32 = 0x0fff_ffff;

/// Where everything is on a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Geometry {
    /// Sectors of a cluster.
    cluster: u64,
    /// Sectors of each table.
    table: u64,
    /// Sectors of the volume.
    sectors: u64,
}

impl Geometry {
    /// Of a volume of so many clusters, each of `cluster` sectors.
    fn new(cluster: u64, clusters: u64) -> Self {
        let table = ((clusters + u64::from(FIRST)) * 4).div_ceil(SECTOR);
        Self { cluster, table, sectors: RESERVED + TABLES * table + clusters * cluster }
    }

    fn clusters(&self) -> u64 {
        (self.sectors - RESERVED - TABLES * self.table) / self.cluster
    }

    fn cluster_bytes(&self) -> u64 {
        self.cluster * SECTOR
    }

    /// Where a cluster begins, in bytes.
    fn place(&self, cluster: u32) -> u64 {
        (RESERVED + TABLES * self.table + u64::from(cluster - FIRST) * self.cluster) * SECTOR
    }
}

/// What is to stand on a volume; the contents come when it is written.
#[derive(Debug, Clone)]
pub(super) struct Volume {
    serial: u32,
    label: [u8; 11],
    /// By their paths.
    files: BTreeMap<String, u32>,
}

/// The place of a directory or a file.
struct Placed {
    first: u32,
    clusters: u32,
}

impl Volume {
    /// An empty volume.
    pub(super) fn new(serial: u32, label: [u8; 11]) -> Self {
        Self { serial, label, files: BTreeMap::new() }
    }

    /// Plans a file of `size` bytes. Its directories come with it.
    pub(super) fn file(&mut self, path: &str, size: u32) {
        self.files.insert(path.to_owned(), size);
    }

    /// All directories, the root as an empty text.
    fn directories(&self) -> Vec<&str> {
        let above = |path: &'_ String| path.match_indices('/').map(|(at, _)| at).collect::<Vec<_>>();
        let mut found: Vec<&str> =
            self.files.keys().flat_map(|path| above(path).into_iter().filter_map(|at| path.get(..at))).collect();
        found.push("");
        found.sort_unstable();
        found.dedup();
        found
    }

    /// As large as the files need, half as much again to put others there by hand, and at least as large as the format wants.
    fn geometry(&self) -> Geometry {
        let held: u64 = self.files.values().map(|size| u64::from(*size)).sum();
        let wanted = held + held / 2;
        // Small clusters first: a volume of large ones has to be large.
        let mut cluster = 2;
        while cluster < 64 && wanted / (cluster * SECTOR) > FEWEST_CLUSTERS * 8 {
            cluster *= 2;
        }
        let own = (self.files.len() + self.directories().len()) as u64;
        Geometry::new(cluster, (wanted.div_ceil(cluster * SECTOR) + own).max(FEWEST_CLUSTERS))
    }

    /// How many bytes the volume has.
    pub(super) fn size(&self) -> u64 {
        self.geometry().sectors * SECTOR
    }

    /// Writes the volume to `out`, which holds zeros; `fill` writes the content of the file whose path it is given.
    pub(super) fn write<O: Write + Seek, E: From<io::Error>>(
        &self,
        out: &mut O,
        mut fill: impl FnMut(&str, &mut O) -> Result<(), E>,
    ) -> Result<(), E> {
        let geometry = self.geometry();
        let (mut next, mut table) = (FIRST, vec![0x0fff_fff8, END]);
        let mut place = |bytes: u64| {
            let clusters = u32::try_from(bytes.div_ceil(geometry.cluster_bytes())).unwrap_or(u32::MAX);
            let placed = Placed { first: if clusters == 0 { 0 } else { next }, clusters };
            next = next.saturating_add(clusters);
            table.extend((1..clusters).map(|at| placed.first + at));
            table.extend((clusters > 0).then_some(END));
            placed
        };
        let mut places: BTreeMap<&str, Placed> = BTreeMap::new();
        let directories = self.directories();
        for path in &directories {
            let entries: usize = self.inside(&directories, path).iter().map(|entry| entry.slots()).sum();
            places.insert(path, place((entries as u64 + 2).max(1) * ENTRY as u64));
        }
        for (path, size) in &self.files {
            places.insert(path, place(u64::from(*size)));
        }
        let free = u32::try_from(geometry.clusters()).unwrap_or(u32::MAX) - (next - FIRST);
        for sector in [0, 6] {
            put(out, sector * SECTOR, &self.boot_sector(&geometry))?;
            put(out, (sector + 1) * SECTOR, &counts(free, next))?;
        }
        let table: Vec<u8> = table.iter().flat_map(|entry: &u32| entry.to_le_bytes()).collect();
        for copy in 0..TABLES {
            put(out, (RESERVED + copy * geometry.table) * SECTOR, &table)?;
        }
        for path in &directories {
            let Some(own) = places.get(path) else { continue };
            let above = path.rsplit_once('/').map_or("", |(above, _)| above);
            // Of the root it is said to be cluster 0 (§6.5).
            let parent = if above.is_empty() { 0 } else { places.get(above).map_or(0, |placed| placed.first) };
            let mut bytes = match path.is_empty() {
                true => Entry::label(self.label).to_vec(),
                false => [Entry::dot(1, own.first), Entry::dot(2, parent)].concat(),
            };
            for entry in self.inside(&directories, path) {
                let full = if path.is_empty() { entry.name.to_owned() } else { format!("{path}/{}", entry.name) };
                bytes.extend(entry.bytes(places.get(full.as_str()).map_or(0, |placed| placed.first)));
            }
            put(out, geometry.place(own.first), &bytes)?;
        }
        for path in self.files.keys() {
            let Some(placed) = places.get(path.as_str()).filter(|placed| placed.clusters > 0) else { continue };
            out.seek(SeekFrom::Start(geometry.place(placed.first)))?;
            fill(path, out)?;
        }
        Ok(())
    }

    /// What stands in a directory, in order.
    fn inside<'a>(&'a self, directories: &[&'a str], directory: &str) -> Vec<Entry<'a>> {
        let name = |path: &'a str| match path.rsplit_once('/') {
            Some((above, name)) => (above == directory).then_some(name),
            None => directory.is_empty().then_some(path),
        };
        let below = directories.iter().filter(|path| !path.is_empty());
        let mut found: Vec<Entry<'a>> =
            below.filter_map(|path| Some(Entry { name: name(path)?, size: None, number: 0 })).collect();
        let files = self.files.iter();
        found.extend(files.filter_map(|(path, size)| Some(Entry { name: name(path)?, size: Some(*size), number: 0 })));
        found.sort_by(|a, b| a.name.cmp(b.name));
        for (entry, number) in found.iter_mut().zip(1..) {
            entry.number = number;
        }
        found
    }

    fn boot_sector(&self, geometry: &Geometry) -> Vec<u8> {
        let sectors = u32::try_from(geometry.sectors).unwrap_or(u32::MAX);
        let mut bytes = vec![0xeb, 0x58, 0x90];
        bytes.extend(b"khimg   ");
        bytes.extend((SECTOR as u16).to_le_bytes());
        bytes.push(geometry.cluster as u8);
        bytes.extend((RESERVED as u16).to_le_bytes());
        bytes.push(TABLES as u8);
        // No root directory of a fixed size, no 16-bit count of sectors; a disk; no 16-bit size of a table.
        bytes.extend([0, 0, 0, 0, 0xf8, 0, 0]);
        // A disk's shape, which nobody asks for, and the sectors before the volume, which only a boot sector's own code needs.
        bytes.extend([63, 0, 255, 0]);
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(sectors.to_le_bytes());
        bytes.extend(u32::try_from(geometry.table).unwrap_or(u32::MAX).to_le_bytes());
        // Both tables count; version 0.0; the root's cluster; the sectors of the free clusters and of the copy of this one.
        bytes.extend([0, 0, 0, 0]);
        bytes.extend(FIRST.to_le_bytes());
        bytes.extend([1, 0, 6, 0]);
        bytes.extend([0; 12]);
        bytes.extend([0x80, 0, 0x29]);
        bytes.extend(self.serial.to_le_bytes());
        bytes.extend(self.label);
        bytes.extend(b"FAT32   ");
        bytes.resize(SECTOR as usize - 2, 0);
        bytes.extend([0x55, 0xaa]);
        bytes
    }
}

/// How many clusters are free, and where to look for the next.
fn counts(free: u32, next: u32) -> Vec<u8> {
    let mut bytes = b"RRaA".to_vec();
    bytes.resize(484, 0);
    bytes.extend(b"rrAa");
    bytes.extend(free.to_le_bytes());
    bytes.extend(next.to_le_bytes());
    bytes.resize(SECTOR as usize - 2, 0);
    bytes.extend([0x55, 0xaa]);
    bytes
}

fn put<O: Write + Seek>(out: &mut O, at: u64, bytes: &[u8]) -> io::Result<()> {
    out.seek(SeekFrom::Start(at))?;
    out.write_all(bytes)
}
