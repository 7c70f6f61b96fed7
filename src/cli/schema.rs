//! `khimg schema`.

use clap::Args;
use khimg::schema::Kind;

use super::failure::CommandError;
use super::{Failure, Output};

/// Print the JSON Schema of a file type, for editors
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// The file type
    #[arg(default_value = "cluster")]
    kind: String,
}

pub fn run(args: &SchemaArgs, output: &Output) -> Result<(), Failure> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == args.kind);
    let known = || Kind::ALL.iter().map(|kind| kind.name().to_owned()).collect();
    let kind =
        kind.ok_or_else(|| CommandError::Unknown { what: "file type", name: args.kind.clone(), known: known() })?;
    output.data(&khimg::schema::of(kind));
    Ok(())
}
