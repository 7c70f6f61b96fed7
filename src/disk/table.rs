//! The table of partitions (UEFI specification 2.10, chapter 5), its GUIDs made of what the disk holds.

use std::collections::BTreeMap;
use std::fs::File;

use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition::Partition;
use gpt::partition_types::{self, Type};
use uuid::Uuid;

use super::SECTOR;
use super::error::DiskError;
use crate::digest::Digest;

/// Partitions begin and end at multiples of this, in bytes: blocks of flash and of arrays do, too.
const ALIGNMENT: u64 = 1 << 20;

/// "Read-only" for partitions of data (Discoverable Partitions Specification, bit 60).
const READ_ONLY: u64 = 1 << 60;

/// A partition's place, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) size: u64,
}

impl Extent {
    fn after(before: u64, size: u64) -> Self {
        Self { start: before, size: size.next_multiple_of(ALIGNMENT) }
    }

    fn end(self) -> u64 {
        self.start + self.size
    }
}

/// Where everything lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// GRUB for BIOS.
    pub(super) bios: Extent,
    /// The EFI system partition.
    pub(super) boot: Extent,
    /// The read-only root.
    pub(super) root: Extent,
}

impl Layout {
    /// For partitions of at least these sizes.
    pub(super) fn of(boot: u64, root: u64) -> Self {
        let bios = Extent::after(ALIGNMENT, ALIGNMENT);
        let boot = Extent::after(bios.end(), boot);
        Self { bios, boot, root: Extent::after(boot.end(), root) }
    }

    /// Bytes of the whole disk: behind the last partition there is room for the table's copy.
    pub(super) fn size(&self) -> u64 {
        self.root.end() + ALIGNMENT
    }
}

/// What tells this disk and its partitions from others: the same for the same contents, and for no others.
#[derive(Debug, Clone)]
pub(super) struct Identity(String);

impl Identity {
    /// Of a disk whose contents have this digest.
    pub(super) fn of(contents: &Digest) -> Self {
        Self(contents.hex())
    }

    /// A UUID of version 8, whose bits are the maker's own (RFC 9562, §5.8).
    fn uuid(&self, of: &str) -> Uuid {
        let digest = hex::decode(Digest::of(format!("{of} of {}", self.0).as_bytes()).hex()).unwrap_or_default();
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest).for_each(|(byte, from)| *byte = from);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// By which the kernel finds the root.
    pub(super) fn root(&self) -> Uuid {
        self.uuid("root")
    }

    /// The serial number of the boot file system.
    pub(super) fn serial(&self) -> u32 {
        self.uuid("boot").as_fields().0
    }
}

/// Writes sector 0 with `code`, the table, and its copy at the end.
pub(super) fn write(
    file: &File,
    layout: &Layout,
    identity: &Identity,
    code: Option<[u8; 440]>,
) -> Result<(), DiskError> {
    fn failed(error: impl std::error::Error + Send + Sync + 'static) -> DiskError {
        DiskError::Table { source: Box::new(error) }
    }
    let last = u32::try_from(layout.size() / SECTOR - 1).unwrap_or(u32::MAX);
    let mut mbr = ProtectiveMBR::with_lb_size(last);
    if let Some(code) = code {
        mbr.set_bootcode(code);
    }
    mbr.overwrite_lba0(&mut &*file).map_err(failed)?;
    let config = gpt::GptConfig::new().writable(true).logical_block_size(LogicalBlockSize::Lb512);
    let mut disk = config.create_from_device(file, Some(identity.uuid("disk"))).map_err(failed)?;
    let partition = |extent: Extent, kind: Type, guid: Uuid, flags: u64, name: &str| Partition {
        part_type_guid: kind,
        part_guid: guid,
        first_lba: extent.start / SECTOR,
        last_lba: extent.end() / SECTOR - 1,
        flags,
        name: name.to_owned(),
    };
    let partitions = BTreeMap::from([
        (1, partition(layout.bios, partition_types::BIOS, identity.uuid("bios"), 0, "khimg-bios")),
        (2, partition(layout.boot, partition_types::EFI, identity.uuid("boot"), 0, "khimg-boot")),
        (3, partition(layout.root, partition_types::LINUX_FS, identity.root(), READ_ONLY, "khimg-root")),
    ]);
    disk.update_partitions(partitions).map_err(failed)?;
    disk.write().map_err(failed).map(drop)
}
