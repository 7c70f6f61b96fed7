//! How a BIOS gets to GRUB: sector 0 loads the first sector of the BIOS boot partition, which loads the rest of it.
//!
//! ```text
//! sector 0          boot.img: at 0x5c the first sector of the core image; at 0x66 a jump for floppies
//! BIOS boot ┬ 0     diskboot.img: in its last 12 bytes where the rest lies, how long it is, and where it goes in memory
//!           └ 1…    GRUB itself, compressed
//! ```
//!
//! This is what `grub-bios-setup` writes (GRUB 2.06, `util/setup.c`, `include/grub/i386/pc/boot.h`, `grub-core/boot/i386/pc`), to an
//! image instead of to a disk of this machine.

use super::error::DiskError;

/// Code before the disk's signature and the table of partitions.
const CODE: usize = 440;

/// `GRUB_BOOT_MACHINE_KERNEL_SECTOR`: where the core image begins, 64 bits.
const KERNEL_SECTOR: usize = 0x5c;

/// `GRUB_BOOT_MACHINE_DRIVE_CHECK`: a jump that lets a floppy be one. Some firmware calls every disk one.
const DRIVE_CHECK: usize = 0x66;

/// `jmp` over three bytes, as GRUB assembles it.
const JUMP: [u8; 2] = [0xeb, 0x05];

/// Two `nop`.
const NOTHING: [u8; 2] = [0x90, 0x90];

/// Bytes of a sector.
const SECTOR: usize = 512;

/// In the core image's first sector: sector (64 bits), number of sectors, segment (16 bits each).
const BLOCK_LIST: usize = SECTOR - 12;

/// What goes into sector 0 and into the BIOS boot partition.
pub(super) struct Bios {
    pub(super) code: [u8; CODE],
    pub(super) core: Vec<u8>,
}

/// Links both parts, for a core image that begins at `sector` and has room for `room` bytes.
pub(super) fn link(boot: &[u8], core: &[u8], sector: u64, room: u64) -> Result<Bios, DiskError> {
    let unknown = |file: &str, reason: String| DiskError::Loader { file: file.to_owned(), reason };
    let in_boot = |reason: &str| unknown("boot.img", reason.to_owned());
    if boot.len() != SECTOR || boot.get(SECTOR - 2..) != Some(&[0x55, 0xaa]) {
        return Err(in_boot("it is no boot sector"));
    }
    let mut code = [0; CODE];
    code.copy_from_slice(boot.get(..CODE).unwrap_or_default());
    put(&mut code, KERNEL_SECTOR, &1_u64.to_le_bytes(), &sector.to_le_bytes())
        .ok_or_else(|| in_boot("it does not say that its core image begins in sector 1"))?;
    put(&mut code, DRIVE_CHECK, &JUMP, &NOTHING).ok_or_else(|| in_boot("it does not check for floppies"))?;
    let in_core = |reason: String| unknown("the core image", reason);
    let mut core = core.to_vec();
    core.resize(core.len().next_multiple_of(SECTOR), 0);
    if core.len() as u64 > room {
        return Err(in_core(format!("it has {} bytes, and there is room for {room}", core.len())));
    }
    let rest = (core.len() / SECTOR).checked_sub(1).and_then(|rest| u16::try_from(rest).ok());
    let list = core.get(BLOCK_LIST + 8..BLOCK_LIST + 10).map(<[u8]>::to_vec);
    let said = list.and_then(|list| list.try_into().ok()).map(u16::from_le_bytes);
    if rest.is_none() || said != rest {
        return Err(in_core(format!("it says that {said:?} sectors follow its first, and there are {rest:?}")));
    }
    put(&mut core, BLOCK_LIST, &2_u64.to_le_bytes(), &(sector + 1).to_le_bytes())
        .ok_or_else(|| in_core("it does not say that its rest begins in sector 2".to_owned()))?;
    Ok(Bios { code, core })
}

/// Writes `new` where `old` stands.
fn put(bytes: &mut [u8], at: usize, old: &[u8], new: &[u8]) -> Option<()> {
    let place = bytes.get_mut(at..at + old.len()).filter(|place| *place == old)?;
    place.copy_from_slice(new);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> (Vec<u8>, Vec<u8>) {
        let mut boot = vec![0; SECTOR];
        boot[KERNEL_SECTOR] = 1;
        boot[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&JUMP);
        boot[SECTOR - 2..].copy_from_slice(&[0x55, 0xaa]);
        let mut core = vec![0; 3 * SECTOR - 7];
        core[BLOCK_LIST] = 2;
        core[BLOCK_LIST + 8] = 2;
        (boot, core)
    }

    #[test]
    fn each_part_says_where_the_next_is() {
        let (boot, core) = parts();
        let bios = link(&boot, &core, 2048, 1 << 20).expect("links");
        assert_eq!(bios.code[KERNEL_SECTOR..KERNEL_SECTOR + 8], 2048_u64.to_le_bytes());
        assert_eq!(bios.core[BLOCK_LIST..BLOCK_LIST + 8], 2049_u64.to_le_bytes());
        assert_eq!((bios.core.len(), bios.code[DRIVE_CHECK]), (3 * SECTOR, 0x90));
    }

    #[test]
    fn what_is_not_grub_is_refused() {
        let (boot, core) = parts();
        assert!(link(&boot, &core, 2048, 1024).is_err(), "no room");
        assert!(link(&[], &core, 2048, 1 << 20).is_err() && link(&boot, &[], 2048, 1 << 20).is_err());
        assert!(link(&boot, &core[..SECTOR], 2048, 1 << 20).is_err(), "cut off");
        assert!(link(&vec![0; SECTOR], &core, 2048, 1 << 20).is_err());
        let bios = link(&boot, &core, 2048, 1 << 20).expect("links");
        assert!(link(&boot, &bios.core, 2048, 1 << 20).is_err(), "linked already");
    }
}
