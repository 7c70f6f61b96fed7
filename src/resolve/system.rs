//! The operating system of images: every package of it, from an empty disk on.

use std::collections::{BTreeMap, BTreeSet};

use super::apt::closure::{self, Base};
use super::closure::Root;
use super::repositories;
use super::universe::{Offer, Shelf, Universe};
use super::version::Scheme;
use super::{ResolveError, packages};
use crate::catalog::Catalog;
use crate::clock;
use crate::kubernetes::VersionRequest;
use crate::lock::{Lock, OperatingSystem, Package, Repository};
use crate::mirrors::Mirrors;
use crate::net::Net;
use crate::profile::SystemRequirement;
use crate::store::Store;

/// What the closures are asked for by.
const ASKS: &str = "image";

/// Resolves what images of an operating system need. Versions of `pinned` packages stay, as long as they are offered: what roles
/// carry must be the same in their images.
///
/// # Errors
/// Those of repositories and closures.
#[expect(clippy::too_many_arguments, reason = "a stage takes what it needs, and no bag of things")]
pub async fn system(
    requirement: &SystemRequirement,
    kubernetes: VersionRequest,
    catalog: &Catalog,
    mirrors: &Mirrors,
    net: &Net,
    store: &Store,
    previous: Option<&Lock>,
    pinned: &[&Package],
) -> Result<(OperatingSystem, Vec<Repository>), ResolveError> {
    let target = &requirement.target;
    let wanted = repositories::of_system(target, kubernetes, catalog, mirrors, previous)?;
    let repositories = repositories::load(wanted, net, store, clock::now()).await?;
    let sources = repositories::system(catalog, target)?.sources(target.arch);
    let shelves: Vec<&Shelf> = sources.iter().flat_map(|source| repositories.shelves(target, source)).collect();
    let pins: BTreeMap<&str, &str> =
        pinned.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect();
    let system = close(requirement, &Universe::new(Scheme::Deb, shelves, pins), sources)?;
    Ok((system, repositories.states()))
}

/// The base, all that is installed beside it, and, apart from both, the tools.
fn close(
    requirement: &SystemRequirement,
    universe: &Universe<'_>,
    sources: &[String],
) -> Result<OperatingSystem, ResolveError> {
    let target = &requirement.target;
    let failed = |source| ResolveError::System { target: target.clone(), source };
    let (priorities, names) = &requirement.base;
    let base = Base::new(universe, priorities, names).map_err(failed)?;
    let beyond = |names: &[&[String]]| -> Result<Vec<Offer<'_>>, ResolveError> {
        let names = names.iter().copied().flatten();
        let roots: Vec<Root<'_>> = names.map(|name| Root { component: ASKS, name, version: None, sources }).collect();
        let members = closure::close(universe, &base, &roots).map_err(failed)?;
        Ok(members.into_iter().map(|member| member.offer).collect())
    };
    let mut installed: Vec<Offer<'_>> = base.packages().collect();
    installed.extend(beyond(&[&requirement.packages])?);
    installed.sort_by_key(|offer| offer.package.name);
    let names: BTreeSet<&str> = installed.iter().map(|offer| offer.package.name).collect();
    let mut tools = beyond(&[&requirement.packages, &requirement.tools])?;
    tools.retain(|offer| !names.contains(offer.package.name));
    let locked = |offers: Vec<Offer<'_>>| -> Result<Vec<Package>, ResolveError> {
        offers.into_iter().map(|offer| packages::locked(target, offer, Vec::new())).collect()
    };
    Ok(OperatingSystem {
        target: target.clone(),
        input: requirement.digest(),
        packages: locked(installed)?,
        tools: locked(tools)?,
    })
}
