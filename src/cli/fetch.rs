//! `khimg fetch`.

use clap::Args;
use indicatif::HumanBytes;
use khimg::pipeline;
use serde_json::json;

use super::project::{ProjectArgs, RoleArgs, wait};
use super::{Failure, Global, Output};

/// Fill the store with everything that the lock names
#[derive(Debug, Args)]
pub struct FetchArgs {
    #[command(flatten)]
    roles: RoleArgs,

    #[command(flatten)]
    project: ProjectArgs,
}

pub fn run(args: &FetchArgs, global: &Global, output: &Output) -> Result<(), Failure> {
    let project = args.project.open(global, output)?;
    let fetched = wait(output, async { Ok(pipeline::fetch(&project, args.roles.chosen()).await?) })?;
    let (new, bytes) = fetched.new_blobs();
    if output.json() {
        output.data(&json!({"blobs": fetched.blobs().count(), "new": new, "newBytes": bytes}));
    } else {
        let all = fetched.blobs().count();
        output.note(&format!("{all} artifacts are in the store, {new} of them new ({})", HumanBytes(bytes)));
    }
    Ok(())
}
