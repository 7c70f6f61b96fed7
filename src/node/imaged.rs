//! A bundle that was installed in the root of an image: what it leaves there for the machines that boot it.

use std::io::Write;
use std::path::Path;

use jiff::Timestamp;

use super::durable;
use super::error::NodeError;
use super::record::Installed;
use super::state::{STATE, State};
use crate::clock::ARCHIVE_EPOCH;
use crate::digest::Digest;

/// Of an unpacked bundle: what is installed already and needs no installing again.
const PACKAGES: &str = "packages";

/// Takes the bundle `sha256` for what the image with this `root` brings: stage 0 on a machine then does not look for it elsewhere.
///
/// What is of the moment of installation goes, and so do the bundle's package files: they are installed, and to go back to this
/// bundle is to boot the image again.
///
/// # Errors
/// A record that is not as an installation leaves it.
pub fn settle(root: &Path, sha256: &Digest) -> Result<(), NodeError> {
    let place = root.join(STATE.trim_start_matches('/'));
    let state = State::at(&place);
    let mut record = Installed::read(&state)?;
    let epoch = i64::try_from(ARCHIVE_EPOCH).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    for generation in &mut record.history {
        generation.at = epoch.unwrap_or_default();
    }
    record.write(&state)?;
    let packages = state.bundle(sha256).join(PACKAGES);
    durable::remove(&packages)?;
    durable::directory(&packages)?;
    for passing in [state.status(), state.scratch(), place.join("lock")] {
        durable::remove(&passing)?;
    }
    durable::write(&state.image(), 0o644, |file| writeln!(file, "{}", sha256.hex()))
}
