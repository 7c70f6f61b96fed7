//! `khimg node`: what runs on the machines themselves.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use khimg::digest::Digest;
use khimg::node::check::{self, Verdict};
use khimg::node::data::{self, Data};
use khimg::node::renewal;
use khimg::node::report::report;
use khimg::node::state::{STATE, State};
use khimg::node::status::{self, Phase, Report};
use khimg::node::up::progress;
use khimg::node::{Outcome, install, rollback, up};
use serde_json::json;

use super::failure::CommandError;
use super::project::wait;
use super::recovery::{self, RestoreArgs, SnapshotArgs};
use super::token::{self, TokenCommand};
use super::{Failure, Output};

/// On a node: install a bundle, go back, look
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Bring this machine to the state of a bundle
    ///
    /// May be interrupted and run again. Run once more it looks at everything, puts right what is not as it should be, and
    /// says so.
    Install {
        /// The bundle, as it was delivered [default: the one with this digest that is unpacked here]
        file: Option<PathBuf>,
        /// Its digest, from the seed or from dist/public/manifest.json
        #[arg(long, value_name = "HEX")]
        sha256: Digest,
        #[command(flatten)]
        machine: Machine,
    },
    /// Go back to the bundle before, or to what was before an interrupted installation
    Rollback {
        #[command(flatten)]
        machine: Machine,
    },
    /// Say what is installed and how the last change ended
    Status {
        #[command(flatten)]
        machine: Machine,
    },
    /// Make this machine part of its cluster, and keep it so
    ///
    /// What khimg-node.service runs at every boot. It forms the cluster together with the other masters, joins it, replaces
    /// what this machine was before its disk was wiped, or just starts what is there. It waits as long as it has to, and says
    /// for what. On masters it stays; elsewhere it ends when the node is ready.
    Up,
    /// Tell khimg serve how far this machine is, again and again
    ///
    /// What khimg-report.service runs where the cluster file has `seed: {reports: …}`. Without it nothing is sent. It keeps nothing
    /// waiting: when nobody answers, it tries again later.
    Report {
        /// Tell it once, and fail if nobody hears it
        #[arg(long)]
        once: bool,
        #[command(flatten)]
        machine: Machine,
    },
    /// Find or make the place of this machine's state
    ///
    /// What khimg-data.service runs at every boot of a machine that runs from an image, before any other service. The file
    /// system labelled khimg-data is used; else one is made on the rest of the disk that the machine booted from, else on its only
    /// disk that is proven empty. Nothing is written to a disk that holds anything else. Without a place, the state is in
    /// memory and gone at the next boot; with khimg.data=required on the kernel's command line that is an error.
    Data,
    /// Say what on this machine keeps Kubernetes from running
    Check,
    #[command(subcommand)]
    Token(TokenCommand),
    /// On a master: copy what the cluster's etcd holds to /var/lib/khimg/snapshots
    ///
    /// What khimg-snapshot.timer does on every master every six hours. Each is proven by etcd's own digest and readable for
    /// root alone: it holds all Secrets of the cluster. Copy them to another place, too.
    Snapshot(SnapshotArgs),
    /// On a master: renew the certificates of its control plane, if less than a quarter of the life of one is left
    ///
    /// What khimg-renew.timer does every day; kubeadm's certificates are for a year. One master at a time; never while another
    /// master is not well, until there are only seven days left. Then etcd, API server, controller manager and scheduler start anew, each waited for. Authorities
    /// are good for ten years and are not renewed.
    Renew {
        /// Whenever they end
        #[arg(long)]
        force: bool,
    },
    /// On a master: stop its control plane until `restore` or `follow`, across reboots too
    Stop,
    /// Bring a cluster back from a snapshot, on one master, when its etcd has lost its majority for good, or its data
    ///
    /// First, on every other master that can still be reached: khimg node stop. Power off those that cannot, and machines
    /// whose disks were wiped. Old data that comes up again could make the old cluster live beside the restored one, and empty
    /// disks could form a new one.
    ///
    /// Then, on one master: khimg node restore FILE. It proves the snapshot, refuses while etcd or khimg runs on any other
    /// master, keeps the data that was there, and starts etcd with this master as its only member. Everything since the
    /// snapshot is lost.
    ///
    /// Then, on each other master, one after the other: khimg node follow. It joins the restored cluster as a new member. A
    /// machine whose disk was wiped needs nothing: it joins by itself.
    ///
    /// A single master that has lost its disk needs none of this: boot it with its seed.
    Restore(RestoreArgs),
    /// On a master: set its etcd's data aside and join the cluster that was restored on another one
    ///
    /// Refuses unless another master has a cluster with a majority that does not count this one in.
    Follow,
}

#[derive(Debug, Args)]
pub struct Machine {
    /// Work on the system in this directory instead of the running one
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

impl Machine {
    /// From here on this process sees only the machine that it is to work on.
    fn enter(&self) -> Result<State, Failure> {
        // Files get the modes that they are meant to have.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        if let Some(root) = &self.root {
            let entered = rustix::process::chroot(root).and_then(|()| rustix::process::chdir("/"));
            entered.map_err(|error| CommandError::Root { path: root.display().to_string(), source: error.into() })?;
        }
        Ok(State::at(Path::new(STATE)))
    }
}

pub fn run(command: &NodeCommand, output: &Output) -> Result<(), Failure> {
    match command {
        NodeCommand::Install { file, sha256, machine } => {
            // With another root, the path is one below it.
            let state = machine.enter()?;
            let outcome = install(&state, file.as_deref(), sha256, &*output.reporter())?;
            tell(&outcome, output);
        }
        NodeCommand::Rollback { machine } => {
            let state = machine.enter()?;
            let outcome = rollback(&state, &*output.reporter())?;
            tell(&outcome, output);
        }
        NodeCommand::Status { machine } => {
            let report = status::read(&machine.enter()?)?;
            if output.json() {
                output.data(&report);
            } else {
                output.text(&status_text(&report));
            }
        }
        NodeCommand::Up => {
            let state = Machine { root: None }.enter()?;
            let reporter = output.reporter();
            wait(output, async { Ok(up(&state, reporter).await?) })?;
        }
        NodeCommand::Report { once, machine } => {
            let state = machine.enter()?;
            let reporter = output.reporter();
            wait(output, async { Ok(report(&state, *once, &*reporter).await?) })?;
        }
        NodeCommand::Data => {
            Machine { root: None }.enter()?;
            let data = data::data()?;
            if output.json() {
                output.data(&data);
            } else {
                output.text(&data_text(&data).join("\n"));
            }
        }
        NodeCommand::Token(command) => token::run(command, output)?,
        NodeCommand::Snapshot(args) => recovery::take(args, &Machine { root: None }.enter()?, output)?,
        NodeCommand::Renew { force } => {
            let state = Machine { root: None }.enter()?;
            let reporter = output.reporter();
            let renewed = wait(output, async { Ok(renewal::renew(&state, *force, &*reporter).await?) })?;
            if output.json() {
                output.data(&renewed);
            } else {
                let what = if renewed.renewed { "renewed" } else { "nothing to renew" };
                output.text(&format!("{what}: the first certificate ends at {}", renewed.ends));
            }
        }
        NodeCommand::Stop => recovery::stop(output)?,
        NodeCommand::Restore(args) => recovery::restore(args, &Machine { root: None }.enter()?, output)?,
        NodeCommand::Follow => recovery::follow(&Machine { root: None }.enter()?, output)?,
        NodeCommand::Check => {
            let findings = check::check();
            if output.json() {
                output.data(&findings);
            } else {
                for finding in &findings {
                    let hint = finding.hint.as_ref().map_or_else(String::new, |hint| format!("\n      hint: {hint}"));
                    output.text(&format!("{:<5} {}: {}{hint}", finding.verdict.name(), finding.check, finding.message));
                }
            }
            let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Fail).count();
            if failed > 0 {
                return Err(CommandError::Unfit { failed }.into());
            }
        }
    }
    Ok(())
}

fn tell(outcome: &Outcome, output: &Output) {
    let bundle = outcome.bundle.map_or_else(|| "no bundle".to_owned(), |sha256| format!("bundle {}", sha256.short()));
    if output.json() {
        output.data(&json!({"bundle": outcome.bundle, "changes": outcome.changes}));
    } else if outcome.changes == 0 {
        output.text(&format!("{bundle} is installed; there was nothing to do"));
    } else {
        output.text(&format!("{bundle} is installed; {} things were changed", outcome.changes));
    }
}

fn status_text(report: &Report) -> String {
    let mut lines = Vec::new();
    match report.installed.current() {
        Some(now) => lines.push(format!("installed  {} for {} ({}), {}", now.sha256, now.role, now.target, now.at)),
        None => lines.push("installed  nothing".to_owned()),
    }
    if let Some(before) = report.installed.history.iter().rev().nth(1) {
        lines.push(format!("before     {}", before.sha256));
    }
    if let Some(last) = &report.last {
        let phase = match last.phase {
            Phase::Working => "at work or cut off in step",
            Phase::Done => "done, last step",
            Phase::Failed => "failed in step",
        };
        lines.push(format!("last       {}: {phase} {}, {}", last.command, last.step, last.at));
        lines.extend(last.reason.iter().map(|reason| format!("           {reason}")));
        lines.extend(last.hint.iter().map(|hint| format!("hint       {hint}")));
    }
    if let Some(cluster) = &report.cluster {
        let phase = match cluster.phase {
            progress::Phase::Working => "at work",
            progress::Phase::Waiting => "waiting",
            progress::Phase::Retrying => "trying again",
            progress::Phase::Ready => "ready",
        };
        lines.push(format!("cluster    {phase} since {}: {}", cluster.since, cluster.step));
        lines.extend(cluster.waiting_for.iter().map(|what| format!("           waits for {what}")));
        lines.extend(cluster.reason.iter().map(|reason| format!("           {reason}")));
        lines.extend(cluster.hint.iter().map(|hint| format!("hint       {hint}")));
        lines.extend(cluster.warnings.iter().map(|warning| format!("warning    {warning}")));
    }
    lines.extend(report.data.iter().flat_map(data_text));
    lines.join("\n")
}

fn data_text(data: &Data) -> Vec<String> {
    match data {
        Data::Partition { device, seed } => {
            let seed = seed.as_ref().map_or_else(String::new, |seed| format!("; this boot's seed is from the {seed}"));
            vec![format!("state      on {}{seed}", device.display())]
        }
        Data::Memory { reason } => vec![
            format!("state      IN MEMORY, and gone at the next boot: {reason}"),
            format!("hint       mkfs.ext4 -L {} DEVICE, and start the machine anew", data::LABEL),
        ],
        Data::Failed { reason, hint } => {
            let mut lines = vec!["state      NOWHERE: what needs it does not start".to_owned()];
            lines.extend(reason.iter().map(|reason| format!("           {reason}")));
            lines.extend(hint.iter().map(|hint| format!("hint       {hint}")));
            lines
        }
    }
}
