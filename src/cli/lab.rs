//! `khimg lab`: rehearse on this machine.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use khimg::catalog;
use khimg::lab::{self, Fault, Interrupt, Lab, LabError, NodeStatus, UpOptions};
use serde_json::json;

use super::build::{self, BuildArgs};
use super::failure::CommandError;
use super::project::{ProjectArgs, store_directory};
use super::{Failure, Global, Output};

/// Rehearse on this machine: the same bundles and seeds, booted as containers
#[derive(Debug, Subcommand)]
pub enum LabCommand {
    Up(Box<UpArgs>),
    /// Say how the nodes are
    Status {
        #[command(flatten)]
        which: Which,
    },
    /// Run a command on a node, and end with its exit code
    Exec {
        #[command(flatten)]
        which: Which,
        /// The node
        node: String,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        words: Vec<String>,
    },
    /// Let something happen to nodes
    #[command(subcommand)]
    Fault(FaultCommand),
    /// End the lab and remove everything of it
    Down {
        #[command(flatten)]
        which: Which,
    },
}

/// Boot the nodes of a delivery, and wait until they are ready
///
/// Each node is a systemd-nspawn container with a disk and a network cable of its own: real systemd, cloud-init, containerd
/// and Kubernetes from the bundles and seeds of dist/, which are not changed. The nodes see each other and nothing else; no
/// packet leaves this machine, unless you say --outside. Needs root, and Debian's packages e2fsprogs, iproute2, mmdebstrap and systemd-container.
///
/// What differs from real machines: the kernel is this machine's; nodes cannot set its clock; the kubelet and containerd use
/// the cgroup driver cgroupfs; the kubelet starts though this machine may have swap; there is no boot loader, no udev.
#[derive(Debug, Args)]
pub struct UpArgs {
    #[command(flatten)]
    which: Which,

    /// The delivery to boot [default: dist, built first if it is not there]
    #[arg(long, value_name = "DIR")]
    dist: Option<PathBuf>,

    /// Give power to this node only (may be repeated)
    #[arg(long, value_name = "NODE")]
    only: Vec<String>,

    /// Leave this node off; `lab fault power-on` turns it on later (may be repeated)
    #[arg(long, value_name = "NODE")]
    without: Vec<String>,

    /// Size of each node's disk in GiB; it takes only what is written
    #[arg(long, value_name = "GIB", default_value_t = 20, value_parser = clap::value_parser!(u64).range(4..=1024))]
    disk: u64,

    /// Open a way out of the lab, for nodes that have a gateway (needs slirp4netns and nftables)
    #[arg(long)]
    outside: bool,

    /// Return as soon as all nodes have power
    #[arg(long)]
    no_wait: bool,

    /// Give up waiting after so many seconds; the lab stays up
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    timeout: u64,

    /// Where the operating system under the nodes is kept [default: the user's cache]
    #[arg(long, value_name = "DIR")]
    bases: Option<PathBuf>,

    #[command(flatten)]
    project: ProjectArgs,
}

/// Which lab.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// The lab's name
    #[arg(long, value_name = "NAME", default_value = "lab")]
    name: String,

    /// The directory of all labs [default: khimg/labs in the user's XDG state]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What can happen to nodes
#[derive(Debug, Subcommand)]
pub enum FaultCommand {
    /// Cut the power: everything on the node stops at once, its disk stays
    PowerOff(Nodes),
    /// Give power again
    PowerOn(Nodes),
    /// Cut the power and put in a new disk with the same seed
    Wipe(Nodes),
    /// Cut nodes off from all others; among themselves they still talk
    Partition(Nodes),
    /// Connect nodes again
    Heal(Nodes),
    /// Delay each frame from and to a node (needs the kernel's netem)
    Delay {
        /// Milliseconds; 0 ends it
        #[arg(long, value_name = "MS")]
        ms: u32,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Kill every process of a program, such as haproxy or kube-apiserver, with SIGKILL
    KillService {
        /// The program
        #[arg(long, value_name = "PROGRAM")]
        service: String,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Leave no room on the node's disk
    FillDisk(Nodes),
    /// Make room again
    FreeDisk(Nodes),
}

#[derive(Debug, Args)]
pub struct Nodes {
    #[command(flatten)]
    which: Which,
    /// The nodes
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
}

impl Which {
    /// The directory that the user named, or the one in the user's state.
    #[expect(
        clippy::disallowed_methods,
        reason = "the command line is where the environment is read; it names a place, no content"
    )]
    fn labs(&self) -> Result<PathBuf, Failure> {
        if let Some(named) = &self.dir {
            return Ok(named.clone());
        }
        let state = std::env::var("XDG_STATE_HOME").ok().filter(|path| path.starts_with('/')).map(PathBuf::from);
        let state = state.or_else(|| std::env::home_dir().map(|home| home.join(".local/state")));
        Ok(state.ok_or(CommandError::NoState)?.join("khimg/labs"))
    }

    fn open(&self) -> Result<Lab, Failure> {
        Ok(Lab::open(&self.labs()?, &self.name)?)
    }
}

pub fn run(command: &LabCommand, global: &Global, output: &Output) -> Result<(), Failure> {
    match command {
        LabCommand::Up(args) => up(args, global, output),
        LabCommand::Status { which } => {
            tell(&which.open()?, output)?;
            Ok(())
        }
        LabCommand::Exec { which, node, words } => {
            let mut command = lab::command(&which.open()?, node, words)?;
            // The command takes this process's place, with its terminal and its exit code.
            let source = command.exec();
            Err(CommandError::Start { program: "setpriv", source }.into())
        }
        LabCommand::Fault(command) => fault(command, output),
        LabCommand::Down { which } => {
            lab::down(&which.labs()?, &which.name)?;
            output.note(&format!("the lab {:?} is gone", which.name));
            Ok(())
        }
    }
}

fn up(args: &UpArgs, global: &Global, output: &Output) -> Result<(), Failure> {
    let dist = match &args.dist {
        Some(dist) => dist.clone(),
        None => {
            let dist = PathBuf::from("dist");
            if !dist.exists() {
                build::run(&BuildArgs::plain(args.project.clone(), dist.clone()), global, output)?;
            }
            dist
        }
    };
    let options = UpOptions {
        labs: args.which.labs()?,
        name: args.which.name.clone(),
        bases: args.bases.clone().map_or_else(|| Ok(store_directory(global)?.join("bases")), Ok::<_, Failure>)?,
        dist,
        only: args.only.clone(),
        without: args.without.clone(),
        disk: args.disk << 30,
        outside: args.outside,
    };
    let catalog = catalog::load(None)?;
    let reporter = output.reporter();
    let interrupt = interruptible()?;
    let lab = lab::up(&options, &catalog, &*reporter, &interrupt)?;
    if !args.no_wait {
        let waited = lab::wait_ready(&lab, Duration::from_secs(args.timeout), &*reporter, &interrupt);
        if let Err(LabError::Interrupted) = waited {
            lab::down(&options.labs, &options.name)?;
        }
        waited?;
    }
    tell(&lab, output)
}

fn fault(command: &FaultCommand, output: &Output) -> Result<(), Failure> {
    let (nodes, fault) = match command {
        FaultCommand::PowerOff(nodes) => (nodes, Fault::PowerOff),
        FaultCommand::PowerOn(nodes) => (nodes, Fault::PowerOn),
        FaultCommand::Wipe(nodes) => (nodes, Fault::Wipe),
        FaultCommand::Partition(nodes) => (nodes, Fault::Partition),
        FaultCommand::Heal(nodes) => (nodes, Fault::Heal),
        FaultCommand::Delay { ms, nodes } => (nodes, Fault::Delay(*ms)),
        FaultCommand::KillService { service, nodes } => (nodes, Fault::KillService(service.clone())),
        FaultCommand::FillDisk(nodes) => (nodes, Fault::FillDisk),
        FaultCommand::FreeDisk(nodes) => (nodes, Fault::FreeDisk),
    };
    let lab = nodes.which.open()?;
    lab::fault(&lab, &nodes.nodes, &fault, &interruptible()?)?;
    output.note(&format!("done: {}", nodes.nodes.join(", ")));
    Ok(())
}

/// A wish to stop that Ctrl-C or SIGTERM expresses.
fn interruptible() -> Result<Interrupt, Failure> {
    let interrupt = Interrupt::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(CommandError::Runtime)?;
    let heard = interrupt.clone();
    std::thread::spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
            loop {
                tokio::select! {
                    _ = terminate.recv() => heard.set(),
                    _ = tokio::signal::ctrl_c() => heard.set(),
                }
            }
        });
    });
    Ok(interrupt)
}

fn tell(lab: &Lab, output: &Output) -> Result<(), Failure> {
    let nodes = lab::status(lab)?;
    if output.json() {
        let namespace = Path::new("/run/netns").join(lab.place.namespace());
        output.data(&json!({
            "name": lab.place.name(),
            "cluster": lab.record.cluster,
            "directory": lab.place.directory(),
            "namespace": namespace,
            "endpoint": lab.record.endpoint,
            "nodes": nodes,
        }));
        return Ok(());
    }
    let width = nodes.iter().map(|node| node.name.len()).max().unwrap_or_default();
    let line = |node: &NodeStatus| {
        let cut = if node.isolated { " (cut off)" } else { "" };
        format!("{:width$}  {:6}  {:18}  {}{cut}", node.name, node.role, node.address, node.state)
    };
    output.text(&nodes.iter().map(line).collect::<Vec<_>>().join("\n"));
    Ok(())
}
