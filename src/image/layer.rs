//! What is put into a root beside packages: the files of the overlay layer `image`, the bundle, and the program that installs it.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Materials;
use super::error::ImageError;
use crate::render::layer::Scope;

/// The overlay layer.
const LAYER: &str = "image";

/// Where the bundle and the program lie in the root until the bundle is installed.
pub(super) const CARRIED: &str = "var/tmp/khimg-image";

/// The bundle there.
pub(super) const BUNDLE: &str = "bundle";

/// The program there.
pub(super) const PROGRAM: &str = "khimg";

/// Writes everything below `directory`, at its path in the root.
pub(super) fn stage(directory: &Path, materials: &Materials<'_>) -> Result<PathBuf, ImageError> {
    let fault = |fault: String| ImageError::Layer { fault };
    let layer = materials.overlays.layer(LAYER).ok_or_else(|| fault("is not there".to_owned()))?;
    for (path, file) in &layer.files {
        if file.template || file.declaration.secret || file.declaration.scope != Scope::Role {
            return Err(fault(format!("has {path}, which is a template, a secret or a node's own")));
        }
        let place = directory.join(path.as_str().trim_start_matches('/'));
        directories(directory, place.parent().unwrap_or(directory))?;
        let mode = file.declaration.mode().bits();
        write(&place, mode, |out| out.write_all(&file.bytes))?;
    }
    let carried = directory.join(CARRIED);
    directories(directory, &carried)?;
    let bundle = carried.join(BUNDLE);
    let mut file = BufWriter::new(File::create_new(&bundle).map_err(ImageError::io("create", &bundle))?);
    materials.bundle.write(&mut file)?;
    file.flush().map_err(ImageError::io("write", &bundle))?;
    let program = carried.join(PROGRAM);
    fs::copy(materials.program.path(), &program).map_err(ImageError::io("write", &program))?;
    fs::set_permissions(&program, Permissions::from_mode(0o755)).map_err(ImageError::io("set up", &program))?;
    Ok(directory.to_owned())
}

fn write(path: &Path, mode: u32, fill: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<(), ImageError> {
    let mut file = File::create_new(path).map_err(ImageError::io("create", path))?;
    fill(&mut file).map_err(ImageError::io("write", path))?;
    file.set_permissions(Permissions::from_mode(mode)).map_err(ImageError::io("set up", path))
}

/// Makes the directories down to `path`, whatever the umask.
fn directories(top: &Path, path: &Path) -> Result<(), ImageError> {
    let Ok(below) = path.strip_prefix(top) else { return Ok(()) };
    let mut at = top.to_owned();
    for part in below {
        at.push(part);
        if !at.is_dir() {
            DirBuilder::new().mode(0o755).create(&at).map_err(ImageError::io("create", &at))?;
            fs::set_permissions(&at, Permissions::from_mode(0o755)).map_err(ImageError::io("set up", &at))?;
        }
    }
    Ok(())
}
