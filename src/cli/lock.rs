//! `khimg lock`.

use clap::Args;
use khimg::pipeline;
use khimg::resolve::Upgrade;
use serde_json::json;

use super::project::{ProjectArgs, RoleArgs, wait};
use super::{Failure, Global, Output};

/// Resolve every version and write khimg.lock
///
/// What is pinned already stays pinned while it answers the cluster file; unchanged inputs change nothing.
#[derive(Debug, Args)]
pub struct LockArgs {
    #[command(flatten)]
    roles: RoleArgs,

    /// Take the newest versions: of everything, or of one component
    #[arg(long, value_name = "COMPONENT", num_args = 0..=1, default_missing_value = "")]
    upgrade: Option<String>,

    #[command(flatten)]
    project: ProjectArgs,
}

pub fn run(args: &LockArgs, global: &Global, output: &Output) -> Result<(), Failure> {
    let project = args.project.open(global, output)?;
    let upgrade = match args.upgrade.as_deref() {
        None => Upgrade::Nothing,
        Some("") => Upgrade::Everything,
        Some(component) => Upgrade::Component(component.to_owned()),
    };
    let locked = wait(output, async { Ok(pipeline::lock(&project, args.roles.chosen(), &upgrade).await?) })?;
    if output.json() {
        output.data(&json!({
            "path": project.lock_path(),
            "changed": locked.changed,
            "packages": locked.lock.packages.len(),
            "files": locked.lock.files.len(),
            "images": locked.lock.images.len(),
        }));
        return Ok(());
    }
    let (packages, files, images) = (locked.lock.packages.len(), locked.lock.files.len(), locked.lock.images.len());
    let state = if locked.changed { "written" } else { "unchanged" };
    output.text(&project.lock_path().display().to_string());
    output.note(&format!("{state}: {packages} packages, {files} files, {images} images"));
    Ok(())
}
