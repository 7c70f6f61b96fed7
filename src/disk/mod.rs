//! Disk images: what a machine boots without a network, from the same three files that it boots over one.
//!
//! ```text
//! sector 0        GRUB's first sector, for BIOS          ┐
//!        1        table of partitions                    │ the same bytes on every machine: GUIDs and serial numbers
//! 1 khimg-bios    the rest of GRUB for BIOS              │ are made of the contents' digests, there is no clock
//! 2 khimg-boot    FAT32: shim, GRUB, kernel, initrd      │
//! 3 khimg-root    the root file system, bare             ┘
//!                 copy of the table of partitions
//! 4 khimg-data    not in the image: a machine makes it at its first boot, from the rest of its disk
//! ```
//!
//! The table of partitions is written by the crate `gpt`. The root stands in a partition of its own, so that neither FAT's
//! limit for files nor a second file system lies between the kernel and it.

mod bios;
mod boot;
mod error;
mod fat;
mod loader;
mod table;
mod window;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use boot::{Boot, Source};
pub use error::DiskError;
pub use loader::Loader;
use table::{Extent, Identity, Layout};
use window::Window;

use crate::digest::Digest;
use crate::shipped;

/// Bytes of a sector.
const SECTOR: u64 = 512;

/// Where GRUB's settings stand on the boot partition, and their name below `overlays/disk/`.
const SETTINGS: &str = "EFI/debian/grub.cfg";

/// What those settings read: this disk's command line.
const COMMAND_LINE: &str = "EFI/debian/khimg.cfg";

/// A file's length is a 32-bit number on the boot partition (FAT specification 1.03, §6).
pub const LARGEST_FILE: u64 = u32::MAX as u64;

/// A file that goes onto the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it is.
    pub path: PathBuf,
    /// Its digest; proven while it is copied.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// What goes onto the disk.
#[derive(Debug, Clone)]
pub struct Contents<'a> {
    /// Where the image is to be made. Nothing may be there.
    pub image: &'a Path,
    /// The kernel.
    pub kernel: Piece,
    /// The initial file system.
    pub initrd: Piece,
    /// The root file system.
    pub root: Piece,
    /// The kernel's command line, but for the words that say where its root is.
    pub cmdline: &'a str,
}

impl Contents<'_> {
    /// The whole command line. Without `gpt` the kernel would not take the table's copy, should the power fail while the table is
    /// written.
    fn command_line(&self, identity: &Identity) -> Result<String, DiskError> {
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\'' | '"' | '\\' | '$');
        if !self.cmdline.chars().all(|c| c == ' ' || plain(c)) {
            return Err(DiskError::CommandLine { text: self.cmdline.to_owned() });
        }
        let root = format!("khimg.root=PARTUUID={}", identity.root());
        let proof = format!("khimg.sha256={} khimg.size={}", self.root.sha256.hex(), self.root.size);
        Ok(format!("{} {root} {proof} gpt", self.cmdline).trim_start().to_owned())
    }

    /// Of everything that the disk depends on.
    fn digest(&self, loader: &Loader) -> Digest {
        let piece = |piece: &Piece| piece.sha256.hex();
        let mut parts = vec![piece(&self.kernel), piece(&self.initrd), piece(&self.root), self.cmdline.to_owned()];
        parts.extend(loader.files.iter().map(|(path, bytes)| format!("{path} {}", Digest::of(bytes).hex())));
        let bios = loader.bios.iter().flat_map(|(boot, core)| [boot, core]);
        parts.extend(bios.map(|bytes| Digest::of(bytes).hex()));
        Digest::of(parts.join("\n").as_bytes())
    }
}

/// Makes the disk image; gives its size in bytes. The file is sparse.
///
/// # Errors
/// A kernel or initial file system of more than [`LARGEST_FILE`] bytes, a file that is not what its digest says, a command line that
/// GRUB would read otherwise, a boot loader of an unknown form, and what the file system says. Nothing is left then.
pub fn write(contents: &Contents<'_>, loader: &Loader) -> Result<u64, DiskError> {
    let file = File::options().read(true).write(true).create_new(true).open(contents.image);
    let file = file.map_err(DiskError::io("make", contents.image))?;
    let made = fill(&file, contents, loader);
    if made.is_err() {
        std::fs::remove_file(contents.image).map_err(DiskError::io("remove", contents.image))?;
    }
    made
}

fn fill(file: &File, contents: &Contents<'_>, loader: &Loader) -> Result<u64, DiskError> {
    let writing = DiskError::io("write", contents.image);
    let identity = Identity::of(&contents.digest(loader));
    let settings = shipped::overlays().remove(format!("disk/{SETTINGS}").as_str()).unwrap_or_default();
    let command_line = format!("set cmdline='{}'\n", contents.command_line(&identity)?);
    let mut files: BTreeMap<&str, Source<'_>> =
        loader.files.iter().map(|(path, bytes)| (*path, Source::Bytes(bytes))).collect();
    files.insert(SETTINGS, Source::Bytes(settings));
    files.insert(COMMAND_LINE, Source::Bytes(command_line.as_bytes()));
    files.insert("khimg/initrd", Source::Piece(&contents.initrd));
    files.insert("khimg/kernel", Source::Piece(&contents.kernel));
    let boot = Boot::new(files, identity.serial())?;
    let layout = Layout::of(boot.size(), contents.root.size);
    file.set_len(layout.size()).map_err(&writing)?;
    let linked = match &loader.bios {
        Some((first, core)) => Some(bios::link(first, core, layout.bios.start / SECTOR, layout.bios.size)?),
        None => None,
    };
    table::write(file, &layout, &identity, linked.as_ref().map(|linked| linked.code))?;
    let window = |extent: Extent| Window::new(file, extent.start, extent.size);
    if let Some(linked) = &linked {
        window(layout.bios).write_all(&linked.core).map_err(&writing)?;
    }
    boot.write(&mut window(layout.boot), contents.image)?;
    boot::copy(&contents.root, &mut window(layout.root), &writing)?;
    file.sync_all().map_err(&writing)?;
    Ok(layout.size())
}
