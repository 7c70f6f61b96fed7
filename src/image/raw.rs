//! The files of an image as a disk, for machines that boot without a network.

use std::collections::BTreeMap;

use super::error::ImageError;
use super::output::Staging;
use super::tools::Equipped;
use super::{DISK, INITRD, KERNEL, Part, ROOT, WORDS};
use crate::disk::{self, Contents, Loader, Piece};

/// Writes the disk with these files of the image.
pub(super) fn write(
    staging: &Staging,
    tools: &Equipped<'_>,
    files: &BTreeMap<String, Part>,
) -> Result<Part, ImageError> {
    let piece = |name: &str| {
        let part = files.get(name).ok_or_else(|| ImageError::Lost { name: name.to_owned() })?;
        Ok::<_, ImageError>(Piece { path: staging.path(name), sha256: part.sha256, size: part.size })
    };
    let loader = Loader::of(tools.arch(), tools.place(), tools.command("usr/bin/grub-mkimage"))?;
    let image = staging.path(DISK);
    let (kernel, initrd, root) = (piece(KERNEL)?, piece(INITRD)?, piece(ROOT)?);
    disk::write(&Contents { image: &image, kernel, initrd, root, cmdline: WORDS }, &loader)?;
    staging.part(DISK)
}
