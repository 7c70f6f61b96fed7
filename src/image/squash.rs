//! From a root to one file.

use std::path::Path;

use super::error::ImageError;
use super::program;
use super::tools::Equipped;
use crate::clock::ARCHIVE_EPOCH;

/// Compresses `root`. Nothing depends on the clock, nor on how many processors work (squashfs-tools 4.4 and later, "reproducible").
pub(super) fn squash(tools: &Equipped<'_>, root: &Path, out: &Path) -> Result<(), ImageError> {
    let epoch = ARCHIVE_EPOCH.to_string();
    let mut command = tools.command("usr/bin/mksquashfs");
    command.arg(root).arg(out).args(["-noappend", "-no-progress", "-quiet", "-no-exports"]);
    // More than this takes minutes and saves one byte in fifty.
    command.args(["-comp", "zstd", "-Xcompression-level", "9", "-b", "256K"]);
    command.args(["-mkfs-time", &epoch, "-all-time", &epoch]);
    program::run(command).map(drop)
}
