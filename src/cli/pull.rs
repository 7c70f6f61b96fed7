//! `khimg pull`.

use std::path::PathBuf;

use clap::Args;
use khimg::artifact::{self, Reference};
use khimg::digest::Digest;
use khimg::store::Store;
use serde_json::json;

use super::project::{RegistryArgs, store_directory, wait};
use super::{Failure, Global, Output};

/// Fetch a depot that `khimg push` sent to a container registry
///
/// What the store has already is not fetched. Each piece is proven by its digest; `khimg inspect` then proves the whole.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// [http://]host[:port]/repository[:tag], or @sha256:… instead of the tag
    #[arg(value_name = "REFERENCE")]
    reference: String,

    /// Where to put it
    #[arg(long, short, value_name = "DIR", default_value = "dist")]
    out: PathBuf,

    /// Accept no other depot than this one; `khimg push` tells its digest
    #[arg(long, value_name = "DIGEST")]
    sha256: Option<Digest>,

    #[command(flatten)]
    registry: RegistryArgs,
}

pub fn run(args: &PullArgs, global: &Global, output: &Output) -> Result<(), Failure> {
    let reference = Reference::parse(&args.reference)?;
    let (net, credentials) = args.registry.open(output)?;
    let store = Store::open(&store_directory(global)?)?;
    let pulled = wait(output, async {
        let registry = khimg::registry::Registry::new(&net, credentials);
        Ok(artifact::pull(&reference, args.sha256.as_ref(), &args.out, &registry, &store).await?)
    })?;
    if output.json() {
        let (new, known) = (pulled.new, pulled.known);
        output.data(&json!({"digest": pulled.digest, "depot": pulled.depot, "new": new, "known": known}));
        return Ok(());
    }
    output.text(&pulled.depot.display().to_string());
    output.note(&format!("{} blobs are new, {} were there; {}", pulled.new, pulled.known, pulled.digest));
    Ok(())
}
