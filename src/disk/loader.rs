//! The boot loader, out of Debian's packages: shim and GRUB as Debian signs them for UEFI, and GRUB for BIOS.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::DiskError;
use crate::arch::Arch;
use crate::input;

/// Largest file of a boot loader, in bytes.
const MAX_PART: u64 = 16 << 20;

/// What GRUB for BIOS has to know before it can read its settings: disks, this table of partitions, this file system, and the
/// commands of the settings.
const MODULES: [&str; 6] = ["biosdisk", "part_gpt", "fat", "normal", "configfile", "linux"];

/// Where GRUB looks for its settings, on the second partition of the disk that it came from. The directory is the one that is
/// built into Debian's signed GRUB, so that both read the same file.
const PREFIX: &str = "(,gpt2)/EFI/debian";

/// What starts a kernel from a disk.
#[derive(Debug, Clone)]
pub struct Loader {
    /// Files of the boot partition, by their paths there.
    pub(super) files: BTreeMap<&'static str, Vec<u8>>,
    /// `boot.img` and the core image, where there is a BIOS.
    pub(super) bios: Option<(Vec<u8>, Vec<u8>)>,
}

impl Loader {
    /// Takes the boot loader out of `unpacked`: the files of the packages `shim-signed` and `grub-efi-<arch>-signed`, and for amd64
    /// `grub-pc-bin`, at their places. `maker` starts the `grub-mkimage` of the same GRUB, which puts GRUB for BIOS together. Its output
    /// depends on nothing but its input.
    ///
    /// # Errors
    /// A file of the boot loader that is not there, a `grub-mkimage` that fails.
    pub fn of(arch: Arch, unpacked: &Path, maker: Command) -> Result<Self, DiskError> {
        let part = |path: &str| {
            let path = unpacked.join(path);
            input::read(&path, MAX_PART).map_err(DiskError::io("read", &path))
        };
        let files = match arch {
            Arch::Amd64 => [
                ("EFI/BOOT/BOOTX64.EFI", part("usr/lib/shim/shimx64.efi.signed")?),
                ("EFI/BOOT/grubx64.efi", part("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed")?),
            ],
            Arch::Arm64 => [
                ("EFI/BOOT/BOOTAA64.EFI", part("usr/lib/shim/shimaa64.efi.signed")?),
                ("EFI/BOOT/grubaa64.efi", part("usr/lib/grub/arm64-efi-signed/grubaa64.efi.signed")?),
            ],
        };
        let bios = match arch {
            Arch::Amd64 => Some((part("usr/lib/grub/i386-pc/boot.img")?, core_image(unpacked, maker)?)),
            Arch::Arm64 => None,
        };
        Ok(Self { files: files.into(), bios })
    }
}

/// The core image for BIOS.
fn core_image(unpacked: &Path, mut maker: Command) -> Result<Vec<u8>, DiskError> {
    let out = unpacked.join("core.img");
    maker.args(["--format=i386-pc", "--prefix", PREFIX, "--directory"]).arg(unpacked.join("usr/lib/grub/i386-pc"));
    maker.arg("--output").arg(&out).args(MODULES);
    maker.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    let failed = |said: String| DiskError::Maker { said };
    let ended = maker.output().map_err(|error| failed(format!("it did not start: {error}")))?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        return Err(failed(said.trim().lines().last().unwrap_or("it said nothing").to_owned()));
    }
    input::read(&out, MAX_PART).map_err(DiskError::io("read", &out))
}
