//! Inspect: bundles and delivered directories, read back, proven and explained.

mod bundle;
mod dist;
mod error;
mod segment;

use std::path::Path;

pub use bundle::{BundleReport, Sink, bundle, bundle_into};
pub use dist::{DistReport, dist, read_manifest};
pub use error::InspectError;
pub(crate) use segment::next_member;

/// What stands at a path.
#[derive(Debug)]
pub enum Report {
    /// A bundle file.
    Bundle(Box<BundleReport>),
    /// A delivered directory.
    Dist(Box<DistReport>),
}

/// Reads whatever stands at `path`: a bundle file or a delivered directory.
///
/// # Errors
/// Those of [`bundle`] and of [`dist`].
pub fn inspect(path: &Path) -> Result<Report, InspectError> {
    let found = std::fs::metadata(path).map_err(InspectError::io(path))?;
    if found.is_dir() {
        dist(path).map(|report| Report::Dist(Box::new(report)))
    } else {
        bundle(path).map(|report| Report::Bundle(Box::new(report)))
    }
}
