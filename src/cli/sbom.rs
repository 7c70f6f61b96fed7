//! `khimg sbom`.

use std::path::PathBuf;

use clap::Args;
use khimg::bill::{self, cyclonedx};

use super::{Failure, Global, Output};

/// Print what a lock or a bundle is made of, as CycloneDX 1.6 JSON
///
/// A depot gives one document for each bundle, in an array. The same input gives the same bytes.
#[derive(Debug, Args)]
pub struct SbomArgs {
    /// A lock, a bundle file or a delivered directory
    #[arg(default_value = "khimg.lock")]
    path: PathBuf,
}

pub fn run(args: &SbomArgs, _: &Global, output: &Output) -> Result<(), Failure> {
    let mut documents: Vec<_> = bill::read(&args.path)?.iter().map(cyclonedx::document).collect();
    match documents.len() {
        1 => output.data(&documents.remove(0)),
        _ => output.data(&documents),
    }
    Ok(())
}
