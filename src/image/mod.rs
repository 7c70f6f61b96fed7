//! `image`: from a bundle and the packages of an operating system to what a machine boots.
//!
//! ```text
//! lock, store ─▶ local repository ─▶ mmdebstrap, no network ─▶ root ─┬▶ kernel, initrd
//! bundle ────────────────────────▶ khimg node install, in the root  └▶ root.squashfs
//! ```
//!
//! The root is read-only on machines. It holds the role's bundle, installed; what differs between nodes comes with their seeds, so
//! that nothing secret is in it. The same lock and bundle give the same bytes: whatever time, chance or the machine leaves in a
//! root is taken out of it, and what compresses it is pinned by the lock, too.

mod error;
mod layer;
mod output;
mod program;
mod raw;
mod repository;
mod root;
mod squash;
mod tidy;
mod tools;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::arch::Arch;
use crate::cluster::Role;
use crate::digest::Digest;
use crate::lock::Package;
use crate::pack::Bundle;
use crate::render::Overlays;
use crate::report::{self, Event, Reporter};
use crate::store::Verified;
use crate::target::Target;
pub use error::ImageError;

/// The kernel, in the directory of an image.
pub const KERNEL: &str = "kernel";
/// The initial file system.
pub const INITRD: &str = "initrd";
/// The root.
pub const ROOT: &str = "root.squashfs";
/// The other files as a disk, in [`Format::Raw`].
pub const DISK: &str = "disk.raw";
/// The kernel's command line for network boot, in which `{files}` and `{seed}` become URLs.
pub const CMDLINE: &str = "cmdline";
/// The digests of the others, for `sha256sum -c`.
pub const SUMS: &str = "SHA256SUMS";

/// What every kernel is told. The console of servers is often the serial one; what is named last is where services write.
const WORDS: &str = "boot=khimg panic=60 console=tty0 console=ttyS0,115200n8";

/// What is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// What `khimg serve` boots machines with.
    Netboot,
    /// The same, and a disk with it.
    Raw,
}

/// What an image is made of.
pub struct Materials<'a> {
    /// The bundle of its role.
    pub bundle: &'a Bundle,
    /// The khimg program for its architecture, which installs the bundle.
    pub program: &'a Verified,
    /// Everything that is installed, the bundle's own packages too.
    pub packages: Vec<(&'a Package, &'a Verified)>,
    /// What the image is written with, and bootloaders: nothing of it is installed.
    pub tools: Vec<(&'a Package, &'a Verified)>,
    /// What `{codename}` is for its operating system.
    pub codename: &'a str,
    /// Overlays, of which the layer `image` is for it.
    pub overlays: &'a Overlays,
}

/// A file of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// An image: what a machine of one role boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    /// The role.
    pub role: Role,
    /// The operating system.
    pub target: Target,
    /// Digest of the bundle in it.
    pub bundle: Digest,
    /// Its directory, `<role>-<arch>`.
    pub directory: PathBuf,
    /// Its files by their names.
    pub files: BTreeMap<String, Part>,
}

/// Whether images can be made here, before anything is fetched.
///
/// # Errors
/// Not root, another architecture, a program that is not installed.
pub fn check(archs: impl Iterator<Item = Arch>) -> Result<(), ImageError> {
    program::check()?;
    for arch in archs {
        if arch.machine() != std::env::consts::ARCH {
            return Err(ImageError::Foreign { arch });
        }
    }
    Ok(())
}

/// Makes an image and puts it into `out`, at `<role>-<arch>`, in one step.
///
/// # Errors
/// What was fetched was damaged since; mmdebstrap or a maintainer script fails; the disk is full.
pub fn image(
    materials: &Materials<'_>,
    format: Format,
    out: &Path,
    reporter: &dyn Reporter,
) -> Result<Image, ImageError> {
    let (role, target) = (materials.bundle.role(), materials.bundle.target().clone());
    let name = format!("{role}-{}", target.arch);
    let staging = output::Staging::begin(out, &name)?;
    let step = |label: &str| Step::begin(reporter, format!("{label} {name}"));

    let at = step("collect");
    let repository = repository::write(&staging.work("repository")?, &materials.packages)?;
    let tree = layer::stage(&staging.work("stage")?, materials)?;
    let tools = tools::unpack(&staging.work("tools")?, materials)?;
    drop(at);

    let at = step("install");
    let root = root::make(&staging.work_path("root"), materials, &repository, &tree)?;
    let kernel = staging.keep(&root.kernel, KERNEL)?;
    let initrd = staging.keep(&root.initrd, INITRD)?;
    tidy::tidy(&root.path, materials.bundle)?;
    drop(at);

    let at = step("compress");
    squash::squash(&tools.with(&root.path), &root.path, &staging.path(ROOT))?;
    drop(at);

    let squashed = staging.part(ROOT)?;
    let cmdline = staging.text(CMDLINE, &cmdline(&squashed))?;
    let files = [(KERNEL, kernel), (INITRD, initrd), (ROOT, squashed), (CMDLINE, cmdline)];
    let mut files: BTreeMap<String, Part> = files.map(|(name, part)| (name.to_owned(), part)).into();
    if format == Format::Raw {
        let _at = step("write the disk of");
        let disk = raw::write(&staging, &tools.with(&root.path), &files)?;
        files.insert(DISK.to_owned(), disk);
    }
    let sums: String = files.iter().map(|(name, part)| format!("{}  {name}\n", part.sha256.hex())).collect();
    staging.text(SUMS, &sums)?;
    let directory = staging.commit()?;
    Ok(Image { role, target, bundle: materials.bundle.sha256, directory, files })
}

/// iPXE knows which network card it booted from, and fills that in.
fn cmdline(root: &Part) -> String {
    format!(
        "{WORDS} khimg.root={{files}}/{ROOT} khimg.sha256={} khimg.size={} khimg.seed={{seed}}/ \
         BOOTIF=01-${{netX/mac:hexhyp}}\n",
        root.sha256.hex(),
        root.size
    )
}

/// A piece of work that is told while it lasts.
struct Step<'r> {
    reporter: &'r dyn Reporter,
    task: u64,
}

impl<'r> Step<'r> {
    fn begin(reporter: &'r dyn Reporter, label: String) -> Self {
        let task = report::next_task();
        reporter.report(Event::Started { task, label, total: None });
        Self { reporter, task }
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.reporter.report(Event::Finished { task: self.task });
    }
}
