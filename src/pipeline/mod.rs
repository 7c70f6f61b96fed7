//! The whole way from a cluster file to `dist/`. The only place that connects stages.

mod addons;
mod error;
pub mod export;
pub mod image;
mod seeds;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::arch::Arch;
use crate::catalog::{self, Catalog};
use crate::cluster::{self, Cluster, Role};
use crate::deliver::{self, Delivery, NodeSeed, PublicContent, PublicFile};
use crate::fetch::{self, Fetched};
use crate::inventory::Inventory;
use crate::lock::{self, Lock, Written};
use crate::mirrors::Mirrors;
use crate::net::{Net, NetOptions};
use crate::pack::{self, Format, PackOptions};
use crate::profile::{self, Profiles, Requirements};
use crate::registry::Credentials;
use crate::render::{self, Overlays, Rendered};
use crate::report::{Event, Reporter};
use crate::resolve::{self, Upgrade};
use crate::secrets::Secrets;
use crate::store::Store;
pub use error::{Error, PipelineError};

/// What the user named, before anything is read.
#[derive(Debug, Clone, Default)]
pub struct ProjectOptions {
    /// The cluster file; `cluster.yaml` or, without one, the built-in example where `None`.
    pub cluster: Option<PathBuf>,
    /// Own catalogue files; `catalog/` beside the cluster file where `None`.
    pub catalog: Option<PathBuf>,
    /// Own profiles; `profiles/` beside the cluster file where `None`.
    pub profiles: Option<PathBuf>,
    /// Own overlays; `overlays/` beside the cluster file where `None`.
    pub overlays: Option<PathBuf>,
    /// Mirrors in order of trial; the cluster file's where empty.
    pub mirrors: Vec<String>,
    /// Further certificate authorities, PEM.
    pub ca_file: Option<PathBuf>,
    /// A docker `config.json` with credentials for registries.
    pub registry_auth: Option<PathBuf>,
    /// Open no socket.
    pub offline: bool,
    /// Downloads and compressors at once. Never changes a byte.
    pub jobs: Option<NonZeroUsize>,
    /// Directory of the store.
    pub store: PathBuf,
}

/// Everything that was read of a project, and the means to work on it.
pub struct Project {
    cluster: Cluster,
    catalog: Catalog,
    profiles: Profiles,
    overlays: Overlays,
    mirrors: Mirrors,
    net: Net,
    credentials: Credentials,
    store: Store,
    directory: PathBuf,
    /// The cluster file; none where the built-in example stands in.
    cluster_path: Option<PathBuf>,
    jobs: Option<NonZeroUsize>,
    reporter: Arc<dyn Reporter>,
}

impl Project {
    /// Reads the cluster file, the catalogue, the profiles and the overlays, and opens the store.
    ///
    /// # Errors
    /// Everything that is wrong with any of these files; the store's and the network's set-up.
    pub fn open(options: ProjectOptions, reporter: Arc<dyn Reporter>) -> Result<Self, Error> {
        let standard = PathBuf::from("cluster.yaml");
        if let Some(path) = options.cluster.as_ref().filter(|path| !path.exists()) {
            return Err(PipelineError::NoCluster { path: path.clone() }.into());
        }
        let path = options.cluster.or_else(|| standard.exists().then_some(standard));
        let directory = path.as_deref().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default();
        let beside = |named: Option<PathBuf>, name: &str| {
            named.or_else(|| path.is_some().then(|| directory.join(name)).filter(|own| own.is_dir()))
        };
        let catalog = catalog::load(beside(options.catalog, "catalog").as_deref())?;
        let profiles = profile::load(beside(options.profiles, "profiles").as_deref(), &catalog)?;
        let overlays = Overlays::load(beside(options.overlays, "overlays").as_deref())?;
        let mut cluster = match &path {
            Some(path) => cluster::load(path, &catalog)?,
            None => cluster::parse("the built-in example", cluster::EXAMPLE, Path::new("."), &catalog)?,
        };
        if !options.mirrors.is_empty() {
            let shipped = catalog.sources.values().flat_map(|source| source.mirrors().keys());
            let known: BTreeSet<String> = shipped.chain(cluster.mirror_definitions.keys()).cloned().collect();
            if let Some(name) = options.mirrors.iter().find(|name| !known.contains(*name)) {
                return Err(PipelineError::NoMirror { name: name.clone(), known }.into());
            }
            cluster.mirrors = options.mirrors;
        }
        let mut net = NetOptions { offline: options.offline, ca_file: options.ca_file, ..NetOptions::default() };
        if let Some(jobs) = options.jobs {
            net.jobs = jobs.get();
        }
        let system = resolve::apt::system::entries(Path::new("/"))?;
        Ok(Self {
            mirrors: Mirrors::new(&cluster, system),
            cluster,
            catalog,
            profiles,
            overlays,
            net: Net::new(net, reporter.clone())?,
            credentials: options.registry_auth.as_deref().map(Credentials::read).transpose()?.unwrap_or_default(),
            store: Store::open(&options.store)?,
            directory,
            cluster_path: path,
            jobs: options.jobs,
            reporter,
        })
    }

    /// Whether there was no cluster file, so that the built-in example stands in.
    pub fn is_example(&self) -> bool {
        self.cluster_path.is_none()
    }

    /// The cluster that the cluster file describes.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Where the lock is kept: beside the cluster file.
    pub fn lock_path(&self) -> PathBuf {
        self.directory.join("khimg.lock")
    }

    fn secrets_path(&self) -> PathBuf {
        self.directory.join("secrets.yaml")
    }

    fn stage(&self, name: &'static str) {
        self.reporter.report(Event::Stage { name });
    }

    fn note(&self, text: String) {
        self.reporter.report(Event::Note { text });
    }

    fn require(&self, roles: Option<&[Role]>) -> Result<Requirements, Error> {
        Ok(profile::require(&self.cluster, &self.profiles, &self.catalog, roles)?)
    }

    /// The lock as it stands, if it answers `roles`.
    fn settled(&self, roles: Option<&[Role]>) -> Result<Lock, Error> {
        let lock = lock::read(&self.lock_path())?;
        lock.check(&self.require(roles)?)?;
        Ok(lock)
    }

    async fn fetched(&self, lock: &Lock, roles: Option<&[Role]>) -> Result<Fetched, Error> {
        self.stage("fetch");
        Ok(fetch::fetch(lock, &self.catalog, &self.mirrors, &self.net, &self.store, &self.credentials, roles).await?)
    }

    fn rendered(
        &self,
        inventory: &Inventory,
        secrets: &Secrets,
        addons: &BTreeMap<String, Vec<u8>>,
        (roles, nodes): (Option<&[Role]>, Option<&[String]>),
    ) -> Result<Rendered, Error> {
        self.stage("render");
        let inputs = render::Inputs {
            cluster: &self.cluster,
            profiles: &self.profiles,
            catalog: &self.catalog,
            inventory,
            overlays: &self.overlays,
            secrets,
            addons,
        };
        Ok(render::render(&inputs, roles, nodes)?)
    }
}

/// A lock, and whether the file had to change for it.
pub struct Locked {
    /// The lock.
    pub lock: Lock,
    /// Whether the file was written.
    pub changed: bool,
}

/// Resolves what `roles` (all where `None`) require and writes the lock if that changes it.
///
/// # Errors
/// Of the stages.
pub async fn lock(project: &Project, roles: Option<&[Role]>, upgrade: &Upgrade) -> Result<Locked, Error> {
    let requirements = project.require(roles)?;
    let path = project.lock_path();
    let previous = lock::read_if_exists(&path)?;
    if let Some(lock) = previous.as_ref().filter(|lock| *upgrade == Upgrade::Nothing && lock.satisfies(&requirements)) {
        return Ok(Locked { lock: lock.clone(), changed: false });
    }
    project.stage("resolve");
    let Project { catalog, mirrors, net, store, credentials, .. } = project;
    let previous_lock = previous.as_ref();
    let resolution =
        resolve::resolve(&requirements, catalog, mirrors, net, store, credentials, previous_lock, upgrade).await?;
    project.stage("lock");
    let lock = resolution.into_lock(&requirements, previous.as_ref());
    let lock = image::renewed(project, lock, upgrade).await?;
    let changed = lock::write(&path, &lock)? == Written::Changed;
    Ok(Locked { lock, changed })
}

/// Fills the store with what the lock names for `roles`.
///
/// # Errors
/// Of the stages; a lock that is missing or stale.
pub async fn fetch(project: &Project, roles: Option<&[Role]>) -> Result<Fetched, Error> {
    let lock = project.settled(roles)?;
    let mut fetched = project.fetched(&lock, roles).await?;
    if roles.is_none() {
        for system in &lock.systems {
            fetched = fetched.and(project.fetched(&lock.of_system(system), None).await?);
        }
    }
    Ok(fetched)
}

/// Every file that `nodes` (all where `None`) would get, with the role's: nothing is fetched, and secrets are stand-ins.
///
/// Versions are those of the lock, where it answers the cluster file; otherwise what the catalogue expects.
///
/// # Errors
/// Of the stages.
pub fn render(project: &Project, nodes: Option<&[String]>) -> Result<Rendered, Error> {
    let requirements = project.require(None)?;
    let locked = lock::read_if_exists(&project.lock_path())?.filter(|lock| lock.satisfies(&requirements));
    let inventory = match &locked {
        Some(lock) => Inventory::of_lock(lock),
        None => Inventory::of_requirements(&requirements, &project.catalog).map_err(PipelineError::from)?,
    };
    let addons = addons::for_a_look(project, &locked)?;
    project.rendered(&inventory, &Secrets::stand_in(), &addons, (None, nodes))
}

/// How to build.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// Only these roles.
    pub roles: Option<Vec<Role>>,
    /// Where to deliver.
    pub out: PathBuf,
    /// Refuse to change the lock.
    pub locked: bool,
    /// Compression of the bundles.
    pub format: Format,
    /// Pack twice and compare.
    pub check: bool,
    /// The static khimg program that goes into bundles, by architecture.
    pub programs: BTreeMap<Arch, PathBuf>,
}

/// From the cluster file to `dist/`.
///
/// # Errors
/// Of the stages.
pub async fn build(project: &Project, options: &BuildOptions) -> Result<Delivery, Error> {
    check_out(&options.out, project.store.root())?;
    let roles = options.roles.as_deref();
    let lock = match options.locked {
        true => project.settled(roles)?,
        false => {
            let Locked { lock, changed } = lock(project, roles, &Upgrade::Nothing).await?;
            if changed {
                let (packages, files, images) = (lock.packages.len(), lock.files.len(), lock.images.len());
                let path = project.lock_path();
                project.note(format!("{}: {packages} packages, {files} files, {images} images", path.display()));
            }
            lock
        }
    };
    let fetched = project.fetched(&lock, roles).await?;
    let secrets_path = project.secrets_path();
    let new = !secrets_path.exists();
    let secrets = Secrets::load_or_create(&secrets_path)?;
    if new {
        project.note(format!("{} made: the cluster's keys; keep it, and keep it private", secrets_path.display()));
    }
    let addons = addons::locked(project, &lock)?;
    let rendered = project.rendered(&Inventory::of_lock(&lock), &secrets, &addons, (roles, None))?;
    // From here on nothing waits for the network: one thread leads, and packing brings its own.
    tokio::task::block_in_place(|| assemble(project, options, &lock, &fetched, &rendered))
}

/// Before anything is fetched: the store removes what it finds in its own directories.
fn check_out(out: &Path, store: &Path) -> Result<(), PipelineError> {
    let real = |path: &Path| path.ancestors().find_map(|there| there.canonicalize().ok());
    let absolute = std::path::absolute(out).unwrap_or_else(|_| out.to_path_buf());
    match real(&absolute).zip(real(store)) {
        Some((place, store)) if place.starts_with(&store) => {
            Err(PipelineError::OutInStore { out: out.to_path_buf(), store })
        }
        _ => Ok(()),
    }
}

/// Pack and deliver.
fn assemble(
    project: &Project,
    options: &BuildOptions,
    lock: &Lock,
    fetched: &Fetched,
    rendered: &Rendered,
) -> Result<Delivery, Error> {
    project.stage("pack");
    let reporter = &*project.reporter;
    let pack_options = PackOptions { format: options.format, jobs: project.jobs, programs: options.programs.clone() };
    let bundles = pack::pack(&rendered.roles, fetched, lock, &project.store, &pack_options, reporter)?;
    if options.check {
        pack::check(&rendered.roles, fetched, lock, &bundles, &pack_options, reporter)?;
    }
    project.stage("deliver");
    let programs = seeds::programs(&bundles, &options.programs, &project.store)?;
    let seeds = seeds::all(&project.cluster, &rendered.nodes, &bundles, &programs)?;
    seeds::tell_forms(&project.cluster.seeding, &seeds, reporter);
    let disc = project.cluster.seeding.disc;
    let seeds: Vec<NodeSeed<'_>> = seeds.iter().map(|(node, seed)| seeds::delivered(node, seed, disc)).collect();
    let lock_text = lock::to_yaml(lock)?;
    let mut files = vec![PublicFile {
        path: "khimg.lock",
        content: PublicContent::Bytes(lock_text.as_bytes()),
        origin: "what every artifact was pinned to",
    }];
    files.extend(programs.iter().map(|program| PublicFile {
        path: &program.depot.path,
        content: PublicContent::Blob(&program.blob),
        origin: "the khimg program that unpacks bundles on nodes",
    }));
    Ok(deliver::deliver(&bundles, &seeds, &files, &options.out, &project.store, reporter)?)
}
