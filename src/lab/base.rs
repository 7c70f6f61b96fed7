//! The operating system under every node: made once by mmdebstrap, then shared read-only.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::LabError;
use super::interrupt::Interrupt;
use super::{place, program};
use crate::arch::Arch;
use crate::catalog::system::System;
use crate::digest::Digest;
use crate::report::{Event, Reporter};
use crate::target::Target;

/// Done in the new root before it counts. What mmdebstrap takes over from this machine or makes up must not be the same on all
/// nodes; a real machine's installer would have made it there.
const FINISH: &str = r#"rm -f "$1/etc/resolv.conf" "$1/etc/hostname"; : >"$1/etc/machine-id""#;

/// Part of the recipe's digest: to be raised when the way of making a base changes.
const METHOD: u32 = 1;

/// The directory of the base for `target`, made if it is not there yet.
///
/// The name is the digest of the recipe, not of the content: packages of the archive change, and nodes of a lab may be as old
/// as the machines of a rack.
pub(super) fn base(
    bases: &Path,
    target: &Target,
    system: &System,
    reporter: &dyn Reporter,
    interrupt: &Interrupt,
) -> Result<PathBuf, LabError> {
    let own = Arch::ALL.into_iter().find(|arch| arch.machine() == std::env::consts::ARCH);
    // mmdebstrap brings Debian's keys.
    if system.distribution != "debian" || Some(target.arch) != own {
        let remedy = Some("rehearse nodes of a Debian of this machine's own architecture".to_owned());
        return Err(LabError::Unsupported { what: format!("a lab has no machine for {target}"), remedy });
    }
    let packages = [&system.base.packages[..], &system.rehearsal[..]].concat().join(",");
    let recipe = format!("{METHOD} {} {} {packages} {FINISH}", system.codename, target.arch);
    place::private_directory(bases)?;
    let name = format!("{target}-{}", Digest::of(recipe.as_bytes()).short()).replace('/', "-");
    let path = bases.join(&name);
    // One at a time makes it; the others wait and find it.
    let lock = bases.join(format!(".{name}.lock"));
    let file = File::create(&lock).map_err(LabError::io("open", &lock))?;
    file.lock().map_err(LabError::io("lock", &lock))?;
    if path.is_dir() {
        return Ok(path);
    }
    reporter.report(Event::Note { text: format!("making a {target} machine with mmdebstrap (once)") });
    let half = bases.join(format!(".{name}.half"));
    place::remove(&half)?;
    let mut command: Command = program::command("mmdebstrap");
    command.args(["--quiet", "--variant=minbase", "--mode=root", "--format=directory"]);
    command.arg(format!("--include={packages}")).arg(format!("--customize-hook={FINISH}"));
    command.arg(&system.codename).arg(&half);
    let made = program::run_long(command, interrupt);
    let kept = made.and_then(|_| fs::rename(&half, &path).map_err(LabError::io("rename", &half)));
    if kept.is_err() {
        place::remove(&half)?;
    }
    kept.map(|()| path)
}
