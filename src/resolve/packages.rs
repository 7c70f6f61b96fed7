//! The packages of every role.

use std::collections::BTreeMap;

use super::closure::{ClosureError, Member, Root};
use super::repositories::{Repositories, system};
use super::universe::{Offer, Shelf, Universe};
use super::version::Scheme;
use super::yum::filelists::Owners;
use super::{ResolveError, Upgrade, apt, yum};
use crate::catalog::system::Base as Declared;
use crate::catalog::{Catalog, Family};
use crate::kubernetes::KubernetesVersion;
use crate::lock::{Lock, Package, Why};
use crate::profile::Requirements;
use crate::target::Target;

/// Resolves the packages of all roles. Entries of different roles for the same package are not merged yet; the lock does that.
///
/// # Errors
/// Those of a closure, with the role.
pub fn resolve(
    requirements: &Requirements,
    catalog: &Catalog,
    repositories: &Repositories,
    kubernetes: Option<KubernetesVersion>,
    previous: Option<&Lock>,
    upgrade: &Upgrade,
) -> Result<Vec<Package>, ResolveError> {
    let mut bases: BTreeMap<&Target, Base<'_>> = BTreeMap::new();
    let mut packages = Vec::new();
    for role in requirements.roles.iter().filter(|role| !role.packages.is_empty()) {
        let failed = |source| ResolveError::Closure { role: role.role, target: role.target.clone(), source };
        let system = system(catalog, &role.target)?;
        let scheme = match system.family {
            Family::Debian => Scheme::Deb,
            Family::Rhel => Scheme::Rpm,
        };
        let own = system.sources(role.target.arch);
        if !bases.contains_key(&role.target) {
            let shelves = shelves(repositories, &role.target, own.iter());
            let universe =
                Universe::new(scheme, shelves, BTreeMap::new()).with_modules(repositories.modules(&role.target));
            let owners = repositories.owners(&role.target);
            bases.insert(&role.target, Base::new(&universe, owners, &system.base).map_err(failed)?);
        }
        let Some(base) = bases.get(&role.target) else { continue };
        let further = role.packages.iter().flat_map(|package| &package.sources);
        let shelves = shelves(repositories, &role.target, own.iter().chain(further));
        let universe = Universe::new(scheme, shelves, pins(scheme, previous, upgrade, &role.target))
            .with_modules(repositories.modules(&role.target));
        let mut vars = catalog.vars(&role.target, requirements.kubernetes);
        if let Some(version) = kubernetes {
            vars = vars.with("kubernetes", version);
        }
        let mut wanted = Vec::new();
        for package in &role.packages {
            let version = package.version.as_deref().map(|version| vars.fill(version)).transpose()?;
            let sources: Vec<String> = own.iter().chain(&package.sources).cloned().collect();
            wanted.push((package, version, sources));
        }
        let roots: Vec<Root<'_>> = wanted
            .iter()
            .map(|(package, version, sources)| Root {
                component: &package.component,
                name: &package.name,
                version: version.as_deref(),
                sources,
            })
            .collect();
        for member in base.close(&universe, &roots).map_err(failed)? {
            let Member { offer, components, chain } = member;
            let why = |component| Why { role: role.role, component, chain: chain.clone() };
            packages.push(locked(&role.target, offer, components.into_iter().map(why).collect())?);
        }
    }
    Ok(packages)
}

/// The base system of a target, and how closures beyond it are found.
enum Base<'u> {
    Deb(apt::closure::Base<'u>),
    Rpm(yum::closure::Base<'u>, Owners),
}

impl<'u> Base<'u> {
    fn new(universe: &Universe<'u>, owners: Owners, declared: &Declared) -> Result<Self, ClosureError> {
        let Declared { priorities, packages } = declared;
        Ok(match universe.scheme() {
            Scheme::Deb => Self::Deb(apt::closure::Base::new(universe, priorities, packages)?),
            Scheme::Rpm => Self::Rpm(yum::closure::Base::new(universe, &owners, packages)?, owners),
        })
    }

    fn close(&self, universe: &Universe<'u>, roots: &[Root<'_>]) -> Result<Vec<Member<'u>>, ClosureError> {
        match self {
            Self::Deb(base) => apt::closure::close(universe, base, roots),
            Self::Rpm(base, owners) => yum::closure::close(universe, owners, base, roots),
        }
    }
}

/// The shelves of several sources, each source once, in order.
fn shelves<'r>(
    repositories: &'r Repositories,
    target: &Target,
    sources: impl Iterator<Item = &'r String>,
) -> Vec<&'r Shelf> {
    let mut names: Vec<&String> = Vec::new();
    for source in sources {
        if !names.contains(&source) {
            names.push(source);
        }
    }
    names.into_iter().flat_map(|source| repositories.shelves(target, source)).collect()
}

/// The versions that a lock has pinned for a target, without those that may change.
fn pins<'l>(
    scheme: Scheme,
    previous: Option<&'l Lock>,
    upgrade: &Upgrade,
    target: &Target,
) -> BTreeMap<&'l str, &'l str> {
    let packages = previous.into_iter().flat_map(|lock| &lock.packages).filter(|package| package.target == *target);
    let kept = packages.filter(|package| !package.why.iter().any(|why| upgrade.frees(&why.component)));
    // What images hold of them must be the same.
    let systems = previous.into_iter().flat_map(|lock| &lock.systems).filter(|_| *upgrade == Upgrade::Nothing);
    let systems = systems.filter(|system| system.target == *target).flat_map(|system| &system.packages);
    let kept = kept.chain(systems);
    let mut pins = BTreeMap::new();
    for package in kept {
        // Where roles differ, the higher version: roles of one cluster had better agree.
        let pinned = pins.entry(package.name.as_str()).or_insert(package.version.as_str());
        if scheme.compare(&package.version, pinned).is_gt() {
            *pinned = package.version.as_str();
        }
    }
    pins
}

/// What a lock says of a package for `target`.
///
/// # Errors
/// A package that lies outside of its source.
pub(super) fn locked(target: &Target, offer: Offer<'_>, why: Vec<Why>) -> Result<Package, ResolveError> {
    let (package, shelf) = (offer.package, offer.shelf);
    let path = offer.path().ok_or_else(|| ResolveError::Outside {
        source_name: shelf.source.clone(),
        package: package.name.to_owned(),
        location: package.path.to_owned(),
    })?;
    Ok(Package {
        target: target.clone(),
        name: package.name.to_owned(),
        version: package.version.to_owned(),
        arch: package.arch.to_owned(),
        size: package.size,
        sha256: package.sha256,
        source: shelf.source.clone(),
        path,
        proof: shelf.proof.clone(),
        why,
    })
}
