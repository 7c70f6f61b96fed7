//! `khimg push`.

use std::path::PathBuf;

use clap::Args;
use indicatif::HumanBytes;
use khimg::artifact::{self, Reference};
use serde_json::json;

use super::project::{RegistryArgs, wait};
use super::{Failure, Global, Output};

/// Send a depot to a container registry: bundles as OCI artifacts
///
/// Each layer of a bundle is one blob, so that a newer version sends only the layers that changed. Seeds stay here.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// [http://]host[:port]/repository[:tag]
    #[arg(value_name = "REFERENCE")]
    reference: String,

    /// The delivered directory
    #[arg(long, value_name = "DIR", default_value = "dist")]
    dist: PathBuf,

    #[command(flatten)]
    registry: RegistryArgs,
}

pub fn run(args: &PushArgs, _: &Global, output: &Output) -> Result<(), Failure> {
    let reference = Reference::parse(&args.reference)?;
    let (net, credentials) = args.registry.open(output)?;
    let pushed = wait(output, async {
        let registry = khimg::registry::Registry::new(&net, credentials);
        Ok(artifact::push(&args.dist, &reference, &registry, net.reporter()).await?)
    })?;
    let (sent, bytes) = pushed.sent;
    if output.json() {
        output.data(&json!({"digest": pushed.digest, "sent": sent, "sentBytes": bytes, "there": pushed.there}));
        return Ok(());
    }
    output.text(&format!("{reference} {}", pushed.digest));
    output.note(&format!("{sent} blobs sent ({}), {} were there", HumanBytes(bytes), pushed.there));
    Ok(())
}
