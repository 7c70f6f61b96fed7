//! Which package repositories the roles need, and all of them loaded.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use jiff::Timestamp;

use super::ResolveError;
use super::apt::repository::{Authority, Layout, Repository, Wanted};
use super::apt::universe::Shelf;
use crate::arch::Arch;
use crate::catalog::{AptLayout, AptSource, Catalog, Source, System, Vars};
use crate::cluster::{Target, Trust};
use crate::lock::{self, Lock};
use crate::mirrors::Mirrors;
use crate::net::Net;
use crate::openpgp::Keyring;
use crate::profile::Requirements;
use crate::store::Store;

/// One part of a source: its name, the suite or other part, the architecture.
type Key = (String, String, Arch);

/// Everything that is wanted, each part once, and the shelves of each source on each target.
#[derive(Debug, Default)]
pub struct Plan {
    parts: BTreeMap<Key, Wanted>,
    of: BTreeMap<(Target, String), Vec<Key>>,
}

/// All repositories, loaded.
#[derive(Debug, Default)]
pub struct Repositories {
    states: Vec<lock::Repository>,
    shelves: BTreeMap<(Target, String), Vec<Shelf>>,
}

impl Repositories {
    /// The indices of a source for a target, in the order of its suites and components.
    pub fn shelves(&self, target: &Target, source: &str) -> &[Shelf] {
        self.shelves.get(&(target.clone(), source.to_owned())).map(Vec::as_slice).unwrap_or_default()
    }

    /// The state of each repository.
    pub fn states(&self) -> Vec<lock::Repository> {
        self.states.clone()
    }
}

/// The system of a target, if its packages are Debian's.
pub fn system<'c>(catalog: &'c Catalog, target: &Target) -> Result<&'c System, ResolveError> {
    let system =
        catalog.systems.get(&target.os).ok_or_else(|| ResolveError::UnknownSystem { os: target.os.clone() })?;
    match system.family.as_str() {
        "debian" => Ok(system),
        family => Err(ResolveError::UnsupportedFamily { os: target.os.clone(), family: family.to_owned() }),
    }
}

/// Which repositories `requirements` need: for each role that asks for packages, the system's own and those of the packages.
///
/// # Errors
/// Sources that the catalogue does not know or that hold no packages; texts with unknown variables; keys that are no keys.
pub fn wanted(
    requirements: &Requirements,
    catalog: &Catalog,
    mirrors: &Mirrors,
    previous: Option<&Lock>,
) -> Result<Plan, ResolveError> {
    let mut plan = Plan::default();
    for role in requirements.roles.iter().filter(|role| !role.packages.is_empty()) {
        let own = &system(catalog, &role.target)?.sources;
        let vars = catalog.vars(&role.target, requirements.kubernetes);
        for name in own.iter().chain(role.packages.iter().flat_map(|package| &package.sources)) {
            let at = (role.target.clone(), name.clone());
            if plan.of.contains_key(&at) {
                continue;
            }
            let mut keys = Vec::new();
            for mut wanted in parts(name, catalog, mirrors, &vars, role.target.arch)? {
                wanted.seen = previous.and_then(|lock| lock.seen(&wanted.source, &wanted.part));
                let key = (wanted.source.clone(), wanted.part.clone(), wanted.arch);
                keys.push(key.clone());
                plan.parts.entry(key).or_insert(wanted);
            }
            plan.of.insert(at, keys);
        }
    }
    Ok(plan)
}

/// The parts of one source.
fn parts(
    name: &str,
    catalog: &Catalog,
    mirrors: &Mirrors,
    vars: &Vars,
    arch: Arch,
) -> Result<Vec<Wanted>, ResolveError> {
    let source = match catalog.sources.get(name) {
        Some(Source::Apt(source)) => source,
        Some(_) => return Err(ResolveError::NotPackages { source_name: name.to_owned() }),
        None => return Err(ResolveError::UnknownSource { source_name: name.to_owned() }),
    };
    let layouts = match &source.layout {
        AptLayout::Flat {} => vec![(flat_part(source, vars)?, Layout::Flat)],
        AptLayout::Suite { suites, components } => {
            let mut layouts = Vec::new();
            for suite in suites {
                let suite = vars.fill(suite)?;
                let components = components.iter().map(|component| vars.fill(component)).collect::<Result<_, _>>()?;
                layouts.push((suite.clone(), Layout::Suite { suite, components }));
            }
            layouts
        }
    };
    let origins = mirrors.origins(catalog, name, vars)?;
    let authority = authority(name, source, catalog, mirrors.trust(name))?;
    let part = |(part, layout)| Wanted {
        source: name.to_owned(),
        part,
        layout,
        arch,
        origins: origins.clone(),
        authority: authority.clone(),
        seen: None,
    };
    Ok(layouts.into_iter().map(part).collect())
}

/// What tells one flat repository of a source from another: the variables in its bases, such as `v1.34`.
fn flat_part(source: &AptSource, vars: &Vars) -> Result<String, ResolveError> {
    let mut parts = Vec::new();
    for (variable, shown) in [("{minor}", "v{minor}"), ("{codename}", "{codename}")] {
        if source.mirrors.values().any(|base| base.contains(variable)) {
            parts.push(vars.fill(shown)?);
        }
    }
    Ok(if parts.is_empty() { "./".to_owned() } else { parts.join("-") })
}

/// What proves a source: the user's word comes before the catalogue's.
fn authority(
    name: &str,
    source: &AptSource,
    catalog: &Catalog,
    trust: Option<&Trust>,
) -> Result<Authority, ResolveError> {
    let keys = |keyring: Result<Keyring, _>| {
        keyring.map_err(|source| ResolveError::Keys { source_name: name.to_owned(), source })
    };
    Ok(match trust {
        Some(Trust::Unsigned) => Authority::Nobody,
        Some(Trust::Keys { fingerprints, armored }) => {
            Authority::Keys { keyring: keys(Keyring::new(armored, fingerprints))?, path: source.key_path.clone() }
        }
        None => {
            let at_hand = source.keys.iter().filter_map(|key| catalog.keys.get(key));
            let keyring = keys(Keyring::new(at_hand, &source.fingerprints))?.frozen(source.frozen);
            Authority::Keys { keyring, path: source.key_path.clone() }
        }
    })
}

/// Loads everything at once. `at` is now.
///
/// # Errors
/// The first repository, in order, that cannot be had.
pub async fn load(plan: Plan, net: &Net, store: &Store, at: Timestamp) -> Result<Repositories, ResolveError> {
    let loads = plan.parts.iter().map(|(key, wanted)| async move { (key, wanted.load(net, store, at).await) });
    let mut loaded: BTreeMap<&Key, Repository> = BTreeMap::new();
    for (key, repository) in join_all(loads).await {
        loaded.insert(key, repository?);
    }
    let mut repositories = Repositories::default();
    for ((source, suite, _), repository) in &loaded {
        repositories.states.push(lock::Repository {
            source: source.clone(),
            suite: suite.clone(),
            date: repository.date,
            proof: repository.proof.clone(),
        });
    }
    for ((target, source), keys) in &plan.of {
        let shelves = keys.iter().filter_map(|key| loaded.get(key)).flat_map(|repository| {
            let shelf = |index| Shelf { source: source.clone(), proof: repository.proof.clone(), index };
            repository.indices.iter().cloned().map(shelf)
        });
        repositories.shelves.insert((target.clone(), source.clone()), shelves.collect());
    }
    Ok(repositories)
}
