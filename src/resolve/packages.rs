//! The packages of every role.

use std::collections::BTreeMap;

use super::apt::closure::{Base, Member, Root, close};
use super::apt::universe::{Shelf, Universe};
use super::repositories::{Repositories, system};
use super::{ResolveError, Upgrade};
use crate::catalog::Catalog;
use crate::cluster::{KubernetesVersion, Target};
use crate::lock::{Lock, Package, Why};
use crate::profile::{Requirements, RoleRequirements};

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
        if !bases.contains_key(&role.target) {
            let universe = Universe::new(shelves(repositories, &role.target, system.sources.iter()), BTreeMap::new());
            let base = Base::new(&universe, &system.base.priorities, &system.base.packages).map_err(failed)?;
            bases.insert(&role.target, base);
        }
        let Some(base) = bases.get(&role.target) else { continue };
        let further = role.packages.iter().flat_map(|package| &package.sources);
        let shelves = shelves(repositories, &role.target, system.sources.iter().chain(further));
        let universe = Universe::new(shelves, pins(previous, upgrade, &role.target));
        let mut vars = catalog.vars(&role.target, requirements.kubernetes);
        if let Some(version) = kubernetes {
            vars = vars.with("kubernetes", version);
        }
        let mut wanted = Vec::new();
        for package in &role.packages {
            let version = package.version.as_deref().map(|version| vars.fill(version)).transpose()?;
            let sources: Vec<String> = system.sources.iter().chain(&package.sources).cloned().collect();
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
        let members = close(&universe, base, &roots).map_err(failed)?;
        packages.extend(members.into_iter().map(|member| locked(role, member)));
    }
    Ok(packages)
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
fn pins<'l>(previous: Option<&'l Lock>, upgrade: &Upgrade, target: &Target) -> BTreeMap<&'l str, &'l str> {
    let packages = previous.into_iter().flat_map(|lock| &lock.packages).filter(|package| package.target == *target);
    let kept = packages.filter(|package| !package.why.iter().any(|why| upgrade.frees(&why.component)));
    let mut pins = BTreeMap::new();
    for package in kept {
        // Where roles differ, the higher version: roles of one cluster had better agree.
        let pinned = pins.entry(package.name.as_str()).or_insert(package.version.as_str());
        if super::apt::version::compare(&package.version, pinned).is_gt() {
            *pinned = package.version.as_str();
        }
    }
    pins
}

fn locked(role: &RoleRequirements, member: Member<'_>) -> Package {
    let Member { offer, components, chain } = member;
    let package = offer.package;
    Package {
        target: role.target.clone(),
        name: package.name.to_owned(),
        version: package.version.to_owned(),
        arch: package.arch.to_owned(),
        size: package.size,
        sha256: package.sha256,
        source: offer.shelf.source.clone(),
        path: package.path.strip_prefix("./").unwrap_or(package.path).to_owned(),
        proof: offer.shelf.proof.clone(),
        why: components.into_iter().map(|component| Why { role: role.role, component, chain: chain.clone() }).collect(),
    }
}
