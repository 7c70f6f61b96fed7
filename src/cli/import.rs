//! `khimg import`.

use std::path::PathBuf;

use clap::Args;
use khimg::digest::Digest;
use khimg::store::Store;
use khimg::transfer;
use serde_json::json;

use super::project::store_directory;
use super::{Failure, Global, Output};

/// Take in what `khimg export` wrote: project, artifacts and depot
///
/// Each artifact is proven by its digest. What is in the store already is passed over, so that an import that failed goes on where it
/// stopped. Then: `khimg build --locked --offline`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file, or FILE where FILE.000 and so on are
    #[arg(value_name = "FILE", default_value = "khimg-export.tar.zst")]
    path: PathBuf,

    /// The directory of the project
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    out: PathBuf,

    /// Accept no other export than this one; `khimg export` tells its digest
    #[arg(long, value_name = "DIGEST")]
    sha256: Option<Digest>,

    /// Replace files of the project that have other contents
    #[arg(long)]
    replace: bool,
}

pub fn run(args: &ImportArgs, global: &Global, output: &Output) -> Result<(), Failure> {
    let store = Store::open(&store_directory(global)?)?;
    let reporter = output.reporter();
    let imported = transfer::import(&args.path, args.sha256.as_ref(), &args.out, args.replace, &store, &*reporter)?;
    if output.json() {
        output.data(&json!({
            "index": imported.index, "new": imported.new, "known": imported.known, "files": imported.files, "depot": imported.depot,
        }));
        return Ok(());
    }
    for file in &imported.files {
        output.text(&args.out.join(file).display().to_string());
    }
    if let Some(depot) = &imported.depot {
        output.text(&depot.display().to_string());
    }
    output.note(&format!("{} blobs are new, {} were there; {}", imported.new, imported.known, imported.index));
    Ok(())
}
