//! Programs that write images, as the lock pins them: unpacked beside the root, and run with its libraries, so that their output does
//! not depend on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::ImageError;
use super::{Materials, program, repository};
use crate::arch::Arch;

/// Unpacked tools.
pub(super) struct Tools {
    path: PathBuf,
    arch: Arch,
}

/// Tools with a root whose libraries they use.
pub(super) struct Equipped<'a> {
    tools: &'a Tools,
    root: &'a Path,
}

/// Unpacks the tools into `directory`.
pub(super) fn unpack(directory: &Path, materials: &Materials<'_>) -> Result<Tools, ImageError> {
    for (package, blob) in &materials.tools {
        let file = directory.join(format!("{}.deb", package.sha256.hex()));
        repository::copy(package, blob, &file)?;
        let mut command = program::command("dpkg-deb");
        command.arg("--extract").arg(&file).arg(directory);
        program::run(command)?;
        std::fs::remove_file(&file).map_err(ImageError::io("remove", &file))?;
    }
    Ok(Tools { path: directory.to_owned(), arch: materials.bundle.target().arch })
}

impl Tools {
    /// With the libraries of `root`.
    pub(super) fn with<'a>(&'a self, root: &'a Path) -> Equipped<'a> {
        Equipped { tools: self, root }
    }
}

impl Equipped<'_> {
    /// Where they are unpacked.
    pub(super) fn place(&self) -> &Path {
        &self.tools.path
    }

    /// What they run on.
    pub(super) fn arch(&self) -> Arch {
        self.tools.arch
    }

    /// A command that runs the tool at this path. The root's own dynamic linker starts it (ld.so(8)).
    pub(super) fn command(&self, tool: &str) -> Command {
        let (linker, triplet) = match self.tools.arch {
            Arch::Amd64 => ("usr/lib64/ld-linux-x86-64.so.2", "x86_64-linux-gnu"),
            Arch::Arm64 => ("usr/lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu"),
        };
        let tools = &self.tools.path;
        let places = [self.root, tools].into_iter().flat_map(|top| {
            ["usr/lib", "lib"].map(|directory| top.join(directory).join(triplet).display().to_string())
        });
        let mut command = program::command(self.root.join(linker));
        command.arg("--library-path").arg(places.collect::<Vec<_>>().join(":")).arg(tools.join(tool));
        command
    }
}
