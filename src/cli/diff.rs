//! `khimg diff`.

use std::path::PathBuf;

use clap::Args;
use khimg::bill;

use super::{Failure, Global, Output};

/// Say what changed between two locks, two bundles or two depots
///
/// Packages, plain files and images with their versions, and every file on the nodes. Both sides are proven first.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// A lock, a bundle file or a delivered directory
    #[arg(value_name = "A")]
    from: PathBuf,

    /// The same kind of thing
    #[arg(value_name = "B")]
    to: PathBuf,
}

pub fn run(args: &DiffArgs, _: &Global, output: &Output) -> Result<(), Failure> {
    let changes = bill::changes(&bill::read(&args.from)?, &bill::read(&args.to)?);
    if output.json() {
        output.data(&changes);
        return Ok(());
    }
    for change in &changes {
        output.text(&change.to_string());
    }
    output.note(&match changes.len() {
        0 => "no difference".to_owned(),
        count => format!("{count} differences"),
    });
    Ok(())
}
