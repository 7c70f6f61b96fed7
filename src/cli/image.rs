//! `khimg image`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use indicatif::HumanBytes;
use khimg::arch::Arch;
use khimg::image::Format;
use khimg::pipeline::image::{ImageRequest, image};

use super::build::{parse_program, programs};
use super::project::{ProjectArgs, RoleArgs, wait};
use super::{Failure, Global, Output};

/// Make what machines boot: an operating system with the bundle of its role installed
///
/// For each role, OUT/<role>-<arch> gets a kernel, an initial file system and a read-only root, made of Debian's packages that
/// khimg.lock pins; what is not locked yet is locked first. `khimg serve --boot OUT` boots machines with it over the network. On a
/// machine the root is never written to: what changes is in memory, and gone at the next boot, except for state that has a place of
/// its own.
///
/// Nothing of an image is secret, and nothing of it belongs to one node: that comes with the node's seed. The same lock gives the
/// same bytes. Run it as root on Debian, with mmdebstrap installed; it needs some 3 GB below OUT while it works.
#[derive(Debug, Args)]
pub struct ImageArgs {
    #[command(flatten)]
    roles: RoleArgs,

    /// What to make
    #[arg(long, value_enum, default_value_t = ImageFormat::Netboot)]
    format: ImageFormat,

    /// Where images go; each is replaced in one step when it is done
    #[arg(long, short, value_name = "DIR", default_value = "images")]
    out: PathBuf,

    /// Refuse to change khimg.lock
    #[arg(long)]
    locked: bool,

    /// The khimg program that goes into bundles, for an architecture other than this machine's (may be repeated)
    #[arg(long = "program", value_name = "ARCH=FILE", value_parser = parse_program)]
    programs: Vec<(Arch, PathBuf)>,

    #[command(flatten)]
    project: ProjectArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ImageFormat {
    /// Kernel, initial file system and root, for `khimg serve --boot`
    Netboot,
    /// The same, and disk.raw: a disk with a boot loader for BIOS and UEFI, to be written to a machine's disk
    Raw,
}

pub fn run(args: &ImageArgs, global: &Global, output: &Output) -> Result<(), Failure> {
    let project = args.project.open(global, output)?;
    let format = match args.format {
        ImageFormat::Netboot => Format::Netboot,
        ImageFormat::Raw => Format::Raw,
    };
    let request = ImageRequest {
        roles: args.roles.chosen().map(<[_]>::to_vec),
        format,
        out: args.out.clone(),
        locked: args.locked,
        programs: programs(&args.programs)?,
    };
    let images = wait(output, async { Ok(image(&project, &request).await?) })?;
    if output.json() {
        output.data(&images);
        return Ok(());
    }
    for image in &images {
        output.text(&image.directory.display().to_string());
        let sizes = image.files.iter().filter(|(_, part)| part.size > 4096);
        let sizes: Vec<String> = sizes.map(|(name, part)| format!("{name} {}", HumanBytes(part.size))).collect();
        output.note(&format!("  {}; bundle {}", sizes.join(", "), image.bundle));
    }
    Ok(())
}
