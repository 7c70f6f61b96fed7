//! The options that name a project: its cluster file, its directories, and how to reach the network.

use std::num::{NonZeroU8, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use khimg::cluster::Role;
use khimg::net::{Net, NetOptions};
use khimg::pipeline::{Project, ProjectOptions};
use khimg::registry::Credentials;

use super::failure::CommandError;
use super::{Failure, Global, Output};

/// Which cluster, and how to reach what it needs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Project and network")]
pub struct ProjectArgs {
    /// The cluster file [default: cluster.yaml; without one, a built-in example]
    #[arg(long, short, value_name = "FILE")]
    cluster: Option<PathBuf>,

    /// Own catalogue files, searched before the built-in ones [default: catalog/ beside the cluster file]
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,

    /// Own profiles, searched before the built-in ones [default: profiles/ beside the cluster file]
    #[arg(long, value_name = "DIR")]
    profiles: Option<PathBuf>,

    /// Own overlays, searched before the built-in ones [default: overlays/ beside the cluster file]
    #[arg(long, value_name = "DIR")]
    overlays: Option<PathBuf>,

    /// Mirrors in order of trial, instead of the cluster file's (may be repeated)
    #[arg(long = "mirror", value_name = "NAME")]
    mirrors: Vec<String>,

    /// Trust these certificate authorities too (PEM)
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// A docker config.json with credentials for registries
    #[arg(long, value_name = "FILE")]
    registry_auth: Option<PathBuf>,

    /// Open no socket: everything must be in the store already
    #[arg(long)]
    offline: bool,

    /// Downloads and compressors at once [default: one for each processor, 8 downloads]
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroU8>,
}

impl ProjectArgs {
    /// Reads everything that the options name.
    pub fn open(&self, global: &Global, output: &Output) -> Result<Project, Failure> {
        let options = ProjectOptions {
            cluster: self.cluster.clone(),
            catalog: self.catalog.clone(),
            profiles: self.profiles.clone(),
            overlays: self.overlays.clone(),
            mirrors: self.mirrors.clone(),
            ca_file: self.ca_file.clone(),
            registry_auth: self.registry_auth.clone(),
            offline: self.offline,
            jobs: self.jobs.map(NonZeroUsize::from),
            store: store_directory(global)?,
        };
        let project = Project::open(options, output.reporter())?;
        if project.is_example() {
            output.note("no cluster.yaml here: using the built-in example cluster (`khimg init` writes it out)");
        }
        Ok(project)
    }
}

/// The store that the user named, or the one in the user's cache.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line is where the environment is read; it names a place, no content"
)]
pub fn store_directory(global: &Global) -> Result<PathBuf, Failure> {
    if let Some(named) = &global.store {
        return Ok(named.clone());
    }
    let cache = std::env::var("XDG_CACHE_HOME").ok().filter(|path| path.starts_with('/')).map(PathBuf::from);
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    Ok(cache.ok_or(CommandError::NoCache)?.join("khimg"))
}

/// How to reach a container registry.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Network")]
pub struct RegistryArgs {
    /// Trust these certificate authorities too (PEM)
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// A docker config.json with credentials for registries
    #[arg(long, value_name = "FILE")]
    registry_auth: Option<PathBuf>,
}

impl RegistryArgs {
    /// The way there, and who the user is there.
    pub fn open(&self, output: &Output) -> Result<(Net, Credentials), Failure> {
        let options = NetOptions { ca_file: self.ca_file.clone(), ..NetOptions::default() };
        let credentials = self.registry_auth.as_deref().map(Credentials::read).transpose()?.unwrap_or_default();
        Ok((Net::new(options, output.reporter())?, credentials))
    }
}

/// Roles on a command line.
#[derive(Debug, Clone, Default, Args)]
pub struct RoleArgs {
    /// Only this role: master, worker, lb or etcd (may be repeated) [default: every role of the cluster]
    #[arg(long = "profile", short = 'p', value_name = "ROLE", value_parser = parse_role)]
    roles: Vec<Role>,
}

impl RoleArgs {
    /// The roles named, or `None` for all.
    pub fn chosen(&self) -> Option<&[Role]> {
        (!self.roles.is_empty()).then_some(self.roles.as_slice())
    }
}

fn parse_role(text: &str) -> Result<Role, String> {
    Role::ALL
        .into_iter()
        .find(|role| role.name() == text)
        .ok_or_else(|| "no such role; one of: master, worker, lb, etcd".to_owned())
}

/// How long an interrupted stage has for ending in order.
const GRACE: Duration = Duration::from_millis(500);

/// Runs an asynchronous stage to its end, or until Ctrl-C.
#[expect(
    clippy::exit,
    reason = "packing and waiting for a lock heed no signal; whatever dies there is resumed or swept up later"
)]
pub fn wait<T>(output: &Output, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandError::Runtime)?;
    let output = *output;
    runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            tokio::time::sleep(GRACE).await;
            let interrupted = Failure::from(CommandError::Interrupted);
            output.failure(&interrupted);
            std::process::exit(interrupted.exit() as i32);
        }
    });
    runtime.block_on(async {
        tokio::select! {
            result = work => result,
            _ = tokio::signal::ctrl_c() => Err(CommandError::Interrupted.into()),
        }
    })
}
