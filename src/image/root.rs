//! The root of an image: an operating system from pinned packages, with the bundle installed.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::ImageError;
use super::layer::{BUNDLE, CARRIED, PROGRAM};
use super::{Materials, program};

/// A repository of single packages does not say of which release it is, so that mmdebstrap cannot know this by itself: /bin and the
/// like are links into /usr.
const MERGED: &str = "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr";

/// A root, complete but for its kernel and what it has of time and chance.
pub(super) struct Root {
    /// Its directory.
    pub(super) path: PathBuf,
    /// The kernel, in its `boot`.
    pub(super) kernel: PathBuf,
    /// The initial file system, there.
    pub(super) initrd: PathBuf,
}

/// Installs the packages of `repository` in a new directory `path`, puts the files of `stage` into it, and installs the bundle.
pub(super) fn make(
    path: &Path,
    materials: &Materials<'_>,
    repository: &Path,
    stage: &Path,
) -> Result<Root, ImageError> {
    let names: Vec<&str> = materials.packages.iter().map(|(package, _)| package.name.as_str()).collect();
    let mut command = program::apart("mmdebstrap");
    // The initial file system is made once, at the end, when everything is in place.
    command.env("INITRD", "No").env("DEBIAN_FRONTEND", "noninteractive");
    command.args(["--mode=root", "--variant=apt", "--format=directory", MERGED]);
    command.arg(format!("--include={}", names.join(",")));
    command.args(["--aptopt=Acquire::Languages \"none\"", "--dpkgopt=force-unsafe-io"]);
    let (bundle, stage) = (materials.bundle.sha256.hex(), quoted(stage));
    for hook in [
        format!("cp --recursive --preserve=mode --no-target-directory {stage} \"$1\""),
        format!("chroot \"$1\" /{CARRIED}/{PROGRAM} node install /{CARRIED}/{BUNDLE} --sha256 {bundle}"),
        format!("rm -r \"$1/{CARRIED}\""),
        "chroot \"$1\" env --unset=INITRD update-initramfs -c -k all".to_owned(),
    ] {
        command.arg(format!("--customize-hook={hook}"));
    }
    // mmdebstrap copies what apt would only point at.
    command.arg(materials.codename).arg(path);
    command.arg(format!("deb [trusted=yes] copy://{} ./", repository.display()));
    program::run(command)?;
    let boot = path.join("boot");
    Ok(Root { kernel: only(&boot, "vmlinuz-")?, initrd: only(&boot, "initrd.img-")?, path: path.to_owned() })
}

/// A path between single quotes.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// The one file of a directory whose name begins so.
fn only(directory: &Path, begin: &str) -> Result<PathBuf, ImageError> {
    let entries = fs::read_dir(directory).map_err(ImageError::io("read", directory))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(ImageError::io("read", directory))?;
        if entry.file_name().to_string_lossy().starts_with(begin) {
            found.push(entry.path());
        }
    }
    match &found[..] {
        [one] => Ok(one.clone()),
        _ => Err(ImageError::Kernels { found: found.len() }),
    }
}
