//! From a project to images that machines boot.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{Error, Locked, Project, addons, check_out, lock, seeds};
use crate::arch::Arch;
use crate::cluster::Role;
use crate::fetch::Fetched;
use crate::image::{self, Image, Materials};
use crate::inventory::Inventory;
use crate::lock as locks;
use crate::lock::{Lock, LockError, OperatingSystem, Package};
use crate::pack::{self, Bundle, Format, PackOptions};
use crate::profile::{self, SystemRequirement};
use crate::resolve::{self, Upgrade};
use crate::secrets::Secrets;
use crate::store::Verified;
use crate::target::Target;

/// Which images.
#[derive(Debug, Clone)]
pub struct ImageRequest {
    /// Only of these roles.
    pub roles: Option<Vec<Role>>,
    /// What is made of each.
    pub format: image::Format,
    /// Where they go.
    pub out: PathBuf,
    /// Refuse to change the lock.
    pub locked: bool,
    /// The static khimg program that goes into bundles, by architecture.
    pub programs: BTreeMap<Arch, PathBuf>,
}

/// Makes an image for each role and target, from the bundle that [`super::build`] delivers and the operating system that the lock
/// pins. What is not locked yet is locked first.
///
/// # Errors
/// Of the stages.
pub async fn image(project: &Project, request: &ImageRequest) -> Result<Vec<Image>, Error> {
    check_out(&request.out, project.store.root())?;
    let roles = request.roles.as_deref();
    let requirements = project.require(roles)?;
    let targets: BTreeSet<&Target> = requirements.roles.iter().map(|role| &role.target).collect();
    let mut systems = Vec::new();
    for target in targets {
        systems.push(profile::system(&project.cluster, &project.catalog, target)?);
    }
    image::check(systems.iter().map(|system| system.target.arch))?;
    let lock = settle(project, roles, &systems, request.locked).await?;
    let mut fetched = project.fetched(&lock, roles).await?;
    for system in &systems {
        let system = found(&lock, system)?;
        fetched = fetched.and(project.fetched(&lock.of_system(system), None).await?);
    }
    // Nothing of a role's files is secret.
    let addons = addons::locked(project, &lock)?;
    let rendered = project.rendered(&Inventory::of_lock(&lock), &Secrets::stand_in(), &addons, (roles, Some(&[])))?;
    tokio::task::block_in_place(|| {
        project.stage("pack");
        let options = PackOptions { format: Format::TarZst, jobs: project.jobs, programs: request.programs.clone() };
        let reporter = &*project.reporter;
        let bundles = pack::pack(&rendered.roles, &fetched, &lock, &project.store, &options, reporter)?;
        let programs = seeds::programs(&bundles, &request.programs, &project.store)?;
        project.stage("image");
        let mut images = Vec::new();
        for bundle in &bundles {
            let program = programs.iter().find(|program| program.arch == bundle.target().arch);
            let Some(program) = program else { continue };
            let system = systems.iter().find(|system| system.target == *bundle.target());
            let system = system.map(|system| found(&lock, system)).transpose()?;
            let Some(system) = system else { continue };
            let materials = materials(project, &lock, system, &fetched, bundle, &program.blob)?;
            images.push(image::image(&materials, request.format, &request.out, reporter)?);
        }
        Ok(images)
    })
}

/// The locked operating system that answers `requirement`.
fn found<'l>(lock: &'l Lock, requirement: &SystemRequirement) -> Result<&'l OperatingSystem, LockError> {
    lock.system(requirement).ok_or_else(|| LockError::NoSystem { target: requirement.target.clone() })
}

/// The lock, with everything in it that the images need.
async fn settle(
    project: &Project,
    roles: Option<&[Role]>,
    systems: &[SystemRequirement],
    locked: bool,
) -> Result<Lock, Error> {
    if locked {
        let lock = project.settled(roles)?;
        systems.iter().try_for_each(|system| found(&lock, system).map(drop))?;
        return Ok(lock);
    }
    let Locked { mut lock, mut changed } = lock(project, roles, &Upgrade::Nothing).await?;
    for system in systems {
        if lock.system(system).is_none() {
            lock = with(project, lock, system, &Upgrade::Nothing).await?;
            changed |= locks::write(&project.lock_path(), &lock)? == locks::Written::Changed;
        }
    }
    if changed {
        let packages = systems.iter().filter_map(|system| Some(lock.system(system)?.all().count())).sum::<usize>();
        project.note(format!("{}: {packages} packages of images", project.lock_path().display()));
    }
    Ok(lock)
}

/// `lock` with every operating system in it renewed that does not go with the roles any more, or that is to be upgraded.
///
/// # Errors
/// Of resolving.
pub(super) async fn renewed(project: &Project, mut lock: Lock, upgrade: &Upgrade) -> Result<Lock, Error> {
    let targets: Vec<Target> = lock.systems.iter().map(|system| system.target.clone()).collect();
    for target in targets {
        match profile::system(&project.cluster, &project.catalog, &target) {
            Ok(system) if *upgrade == Upgrade::Everything || lock.system(&system).is_none() => {
                lock = with(project, lock, &system, upgrade).await?;
            }
            Ok(_) => {}
            // The cluster has turned away from it since.
            Err(_) => lock.systems.retain(|system| system.target != target),
        }
    }
    Ok(lock)
}

/// `lock` with the operating system that `requirement` asks for, in the versions that the roles have.
async fn with(
    project: &Project,
    lock: Lock,
    requirement: &SystemRequirement,
    upgrade: &Upgrade,
) -> Result<Lock, Error> {
    let Project { cluster, catalog, mirrors, net, store, .. } = project;
    project.stage("resolve");
    let former = lock.systems.iter().filter(|_| *upgrade != Upgrade::Everything).flat_map(OperatingSystem::all);
    let mut pinned: Vec<&Package> = former.collect();
    // The last of a name counts.
    pinned.extend(&lock.packages);
    pinned.retain(|package| package.target == requirement.target);
    let resolved =
        resolve::system(requirement, cluster.kubernetes, catalog, mirrors, net, store, Some(&lock), &pinned).await?;
    let (system, repositories) = resolved;
    Ok(lock.with_system(system, requirement, repositories)?)
}

/// What one image is made of.
fn materials<'a>(
    project: &'a Project,
    lock: &'a Lock,
    system: &'a OperatingSystem,
    fetched: &'a Fetched,
    bundle: &'a Bundle,
    program: &'a Verified,
) -> Result<Materials<'a>, Error> {
    let own = lock
        .packages
        .iter()
        .filter(|package| package.target == system.target && package.why.iter().any(|why| why.role == bundle.role()));
    let mut installed: BTreeMap<&str, &Package> = BTreeMap::new();
    installed.extend(system.packages.iter().chain(own).map(|package| (package.name.as_str(), package)));
    let with_blobs = |packages: Vec<&'a Package>| {
        let blobs = packages.into_iter().map(|package| Ok((package, fetched.blob(&package.sha256)?)));
        blobs.collect::<Result<Vec<_>, Error>>()
    };
    let codename = project.catalog.systems.get(&system.target.os).map(|system| system.codename.as_str());
    Ok(Materials {
        bundle,
        program,
        packages: with_blobs(installed.into_values().collect())?,
        tools: with_blobs(system.tools.iter().collect())?,
        codename: codename.unwrap_or_default(),
        overlays: &project.overlays,
    })
}
