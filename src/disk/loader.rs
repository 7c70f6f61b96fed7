//! The boot loader, out of Debian's packages: shim and GRUB as Debian signs them for UEFI, and GRUB for BIOS.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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

/// The package of `grub-mkimage`, and those of the libraries that it is linked with.
const MAKER: [&str; 7] =
    ["grub-common", "libc6", "libdevmapper1.02.1", "liblzma5", "libpcre2-8-0", "libselinux1", "libudev1"];

/// What starts a kernel from a disk.
#[derive(Debug, Clone)]
pub struct Loader {
    /// Files of the boot partition, by their paths there.
    pub(super) files: BTreeMap<&'static str, Vec<u8>>,
    /// `boot.img` and the core image, where there is a BIOS.
    pub(super) bios: Option<(Vec<u8>, Vec<u8>)>,
}

impl Loader {
    /// The names of the Debian packages that [`Self::of`] needs.
    pub fn packages(arch: Arch) -> Vec<&'static str> {
        match arch {
            Arch::Amd64 => [&["grub-efi-amd64-signed", "grub-pc-bin", "shim-signed"][..], &MAKER].concat(),
            Arch::Arm64 => vec!["grub-efi-arm64-signed", "shim-signed"],
        }
    }

    /// Takes the boot loader out of `packages`: verified `.deb` files by name, those of [`Self::packages`] among them. `scratch` is an
    /// empty directory, in which they are unpacked.
    ///
    /// GRUB for BIOS is put together by the `grub-mkimage` of these very packages, which runs with their own C library: what is
    /// installed on this machine does not matter. Its output depends on nothing else.
    ///
    /// # Errors
    /// A missing package, one without the files of a boot loader, a program that fails.
    pub fn of(arch: Arch, packages: &BTreeMap<String, PathBuf>, scratch: &Path) -> Result<Self, DiskError> {
        for package in Self::packages(arch) {
            let deb = packages.get(package).ok_or(DiskError::NoPackage { package })?;
            run("dpkg-deb", Command::new("dpkg-deb").arg("--extract").arg(deb).arg(scratch))?;
        }
        let part = |path: &str| {
            let path = scratch.join(path);
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
            Arch::Amd64 => Some((part("usr/lib/grub/i386-pc/boot.img")?, core_image(scratch)?)),
            Arch::Arm64 => None,
        };
        Ok(Self { files: files.into(), bios })
    }
}

/// The core image for BIOS, as the packages' own `grub-mkimage` makes it.
fn core_image(unpacked: &Path) -> Result<Vec<u8>, DiskError> {
    let out = unpacked.join("core.img");
    let libraries: Vec<String> = ["lib", "usr/lib"]
        .into_iter()
        .map(|below| unpacked.join(below).join("x86_64-linux-gnu").display().to_string())
        .collect();
    let mut command = Command::new(unpacked.join("lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"));
    command.arg("--library-path").arg(libraries.join(":")).arg(unpacked.join("usr/bin/grub-mkimage"));
    command.args(["--format=i386-pc", "--prefix", PREFIX, "--directory"]).arg(unpacked.join("usr/lib/grub/i386-pc"));
    command.arg("--output").arg(&out).args(MODULES);
    run("grub-mkimage", &mut command)?;
    input::read(&out, MAX_PART).map_err(DiskError::io("read", &out))
}

fn run(program: &'static str, command: &mut Command) -> Result<(), DiskError> {
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    let failed = |said: String| DiskError::Program { program, said };
    let ended = command.output().map_err(|error| failed(format!("it did not start: {error}")))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    Err(failed(said.trim().lines().last().unwrap_or("it said nothing").to_owned()))
}
