//! A package repository on this disk: what the lock names, and nothing else.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::ImageError;
use super::program;
use crate::lock::Package;
use crate::store::Verified;

/// Largest description of one package, in bytes.
const MOST_CONTROL: usize = 64 << 10;

/// Writes the repository into `directory`. Every package is proven once more on its way.
pub(super) fn write(directory: &Path, packages: &[(&Package, &Verified)]) -> Result<PathBuf, ImageError> {
    let mut index = Vec::new();
    for (package, blob) in packages {
        let name = format!("{}.deb", package.sha256.hex());
        copy(package, blob, &directory.join(&name))?;
        let mut command = program::command("dpkg-deb");
        command.arg("--field").arg(directory.join(&name));
        let mut control = program::run(command)?;
        control.truncate(MOST_CONTROL);
        index.extend_from_slice(control.trim_ascii_end());
        let (size, digest) = (package.size, package.sha256.hex());
        index.extend(format!("\nFilename: ./{name}\nSize: {size}\nSHA256: {digest}\n\n").into_bytes());
    }
    let path = directory.join("Packages");
    fs::write(&path, index).map_err(ImageError::io("write", &path))?;
    Ok(directory.to_owned())
}

/// Copies a package out of the store, proving it.
pub(super) fn copy(package: &Package, blob: &Verified, path: &Path) -> Result<(), ImageError> {
    let damaged = |source| ImageError::Damaged { name: format!("{} {}", package.name, package.version), source };
    let mut reader = blob.open().map_err(|error| damaged(io::Error::other(error)))?;
    let mut file = File::create_new(path).map_err(ImageError::io("create", path))?;
    io::copy(&mut reader, &mut file).map_err(damaged)?;
    file.flush().map_err(ImageError::io("write", path))
}
