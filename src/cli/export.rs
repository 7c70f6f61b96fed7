//! `khimg export`.

use std::path::PathBuf;

use clap::Args;
use indicatif::HumanBytes;
use khimg::pipeline::export::{ExportRequest, export};
use serde_json::json;

use super::project::ProjectArgs;
use super::{Failure, Global, Output};

/// Write all that another machine needs to build without a network to one file
///
/// The file holds the cluster file with what it names, the lock, all artifacts of the lock and the depot.
/// `khimg import` takes it in on the other side, where `khimg build --locked --offline` then gives the same bundles.
/// Secrets stay here unless you say otherwise.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Where to write; beside it goes a list for `sha256sum -c`
    #[arg(value_name = "FILE", default_value = "khimg-export.tar.zst")]
    out: PathBuf,

    /// The delivered directory that goes along, if it is there
    #[arg(long, value_name = "DIR", default_value = "dist")]
    dist: PathBuf,

    /// Take secrets.yaml and the seeds along
    #[arg(long)]
    secrets: bool,

    /// Write parts FILE.000, FILE.001, … of at most this size, such as 4G or 700M
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    split: Option<u64>,

    /// Leave out what this earlier export needed
    #[arg(long, value_name = "EARLIER")]
    since: Option<PathBuf>,

    #[command(flatten)]
    project: ProjectArgs,
}

/// Bytes, with K, M, G or T for powers of 1024.
fn parse_size(text: &str) -> Result<u64, String> {
    let (number, shift) = match text.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => {
            let shift = "KMGT".find(unit.to_ascii_uppercase()).ok_or("the unit is K, M, G or T")?;
            (text.get(..at).unwrap_or_default(), 10 * (shift as u32 + 1))
        }
        _ => (text, 0),
    };
    let number: u64 = number.parse().map_err(|_| "expected a number of bytes, such as 4G or 700M")?;
    let size = number.checked_mul(1 << shift).ok_or("that is too large")?;
    if size < 1 << 16 { Err("a part has at least 64K".to_owned()) } else { Ok(size) }
}

pub fn run(args: &ExportArgs, global: &Global, output: &Output) -> Result<(), Failure> {
    let project = args.project.open(global, output)?;
    let request = ExportRequest {
        out: args.out.clone(),
        dist: args.dist.clone(),
        secrets: args.secrets,
        split: args.split,
        since: args.since.clone(),
    };
    let exported = export(&project, &request)?;
    if output.json() {
        output.data(&json!({
            "paths": exported.paths, "size": exported.size, "index": exported.index,
            "carried": exported.carried, "blobs": exported.blobs,
        }));
        return Ok(());
    }
    for path in &exported.paths {
        output.text(&path.display().to_string());
    }
    let (size, carried, blobs) = (HumanBytes(exported.size), exported.carried, exported.blobs);
    output.note(&format!("  {size}, {carried} of {blobs} blobs, {}", exported.index));
    Ok(())
}
