//! `khimg node snapshot`, `stop`, `restore` and `follow`: copies of etcd, and a cluster brought back from one.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use khimg::node::recovery;
use khimg::node::snapshot::snapshot;
use khimg::node::state::State;
use serde_json::json;

use super::project::wait;
use super::{Failure, Output};

#[derive(Debug, Args)]
pub struct SnapshotArgs {
    /// How many to keep; older ones are removed
    #[arg(long, value_name = "N", default_value = "12")]
    keep: NonZeroUsize,
}

#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The snapshot, such as one of /var/lib/khimg/snapshots
    file: PathBuf,
}

pub fn take(args: &SnapshotArgs, state: &State, output: &Output) -> Result<(), Failure> {
    let taken = wait(output, async { Ok(snapshot(state, args.keep).await?) })?;
    if output.json() {
        output.data(&taken);
    } else {
        output.text(&format!("{}  {} bytes  {}", taken.path.display(), taken.size, taken.sha256));
    }
    Ok(())
}

pub fn stop(output: &Output) -> Result<(), Failure> {
    recovery::stop()?;
    if output.json() {
        output.data(&json!({"stopped": true}));
    } else {
        output.text("the control plane of this master is off, and stays off until `khimg node restore` or `follow`");
    }
    Ok(())
}

pub fn restore(args: &RestoreArgs, state: &State, output: &Output) -> Result<(), Failure> {
    let reporter = output.reporter();
    let restored = wait(output, async { Ok(recovery::restore(state, &args.file, &*reporter).await?) })?;
    if output.json() {
        let (former, bumped) = (&restored.former, restored.bumped);
        output.data(&json!({"sha256": restored.sha256, "formerData": former, "revisionBumped": bumped}));
    } else {
        output.text(&format!("this master has the cluster of {}, alone", args.file.display()));
    }
    tell_former(restored.former.as_deref(), output);
    output.note("now run `khimg node follow` on each other master, one after the other");
    if !restored.bumped {
        output
            .note("then reboot the workers: this etcd counts anew from the snapshot, and who watched it waits in vain");
    }
    Ok(())
}

pub fn follow(state: &State, output: &Output) -> Result<(), Failure> {
    let former = wait(output, async { Ok(recovery::follow(state).await?) })?;
    if output.json() {
        output.data(&json!({"formerData": former}));
    } else {
        output.text("this master joins the restored cluster; see `khimg node status`");
    }
    tell_former(former.as_deref(), output);
    Ok(())
}

fn tell_former(former: Option<&Path>, output: &Output) {
    if let Some(former) = former {
        output.note(&format!("etcd's former data is in {}; remove it when all is well", former.display()));
    }
}
