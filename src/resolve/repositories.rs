//! Which package repositories the roles need, and all of them loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;

use super::attempt::RepositoryError;
use super::authority::Authority;
use super::index::Index;
use super::universe::Shelf;
use super::yum::filelists::Owners;
use super::yum::modules::Modules;
use super::yum::repository::Chain;
use super::{ResolveError, apt, yum};
use crate::arch::Arch;
use crate::catalog::{AptLayout, AptSource, Catalog, Family, Source, System, Vars, YumSigned};
use crate::kubernetes::VersionRequest;
use crate::lock::{self, Lock, Proof};
use crate::mirrors::Mirrors;
use crate::net::Net;
use crate::profile::Requirements;
use crate::store::Store;
use crate::target::Target;

/// One part of a source: its name, the suite or other part, the architecture.
type Key = (String, String, Arch);

/// Most times that lists of files are gone through for one lock.
const MAX_ROUNDS: usize = 32;

/// Everything that is wanted, each part once, and the shelves of each source on each target.
#[derive(Debug, Default)]
pub struct Plan {
    parts: BTreeMap<Key, Wanted>,
    of: BTreeMap<(Target, String), Vec<Key>>,
}

/// One repository that is wanted.
#[derive(Debug, Clone)]
enum Wanted {
    Apt(apt::repository::Wanted),
    Yum(yum::repository::Wanted),
}

/// All repositories, loaded.
#[derive(Debug, Default)]
pub struct Repositories {
    states: Vec<lock::Repository>,
    shelves: BTreeMap<(Target, String), Vec<Shelf>>,
    /// The rpm repositories of a target, whose lists of files may be needed.
    yum: BTreeMap<Target, Vec<(yum::repository::Wanted, yum::repository::Repository)>>,
    owners: BTreeMap<Target, Owners>,
    rounds: usize,
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

    /// What lists of files have told of the packages for a target.
    pub fn owners(&self, target: &Target) -> Owners {
        self.owners.get(target).cloned().unwrap_or_default()
    }

    /// What the modules of a target's repositories say of packages.
    pub fn modules(&self, target: &Target) -> Modules {
        let mut modules = Modules::default();
        for (_, repository) in self.yum.get(target).into_iter().flatten() {
            modules.extend(&repository.modules);
        }
        modules
    }

    /// Whether lists of files can be asked once more.
    pub fn may_find_owners(&self, target: &Target) -> bool {
        self.rounds < MAX_ROUNDS && self.yum.contains_key(target)
    }

    /// Finds the owners of `paths` in the lists of files of a target's repositories.
    ///
    /// # Errors
    /// A list that no mirror has.
    pub async fn find_owners(
        &mut self,
        target: &Target,
        paths: BTreeSet<String>,
        net: &Net,
        store: &Store,
    ) -> Result<(), RepositoryError> {
        self.rounds += 1;
        let mut found: Owners = paths.into_iter().map(|path| (path, BTreeSet::new())).collect();
        for (wanted, repository) in self.yum.get(target).into_iter().flatten() {
            found = wanted.find_owners(repository, found, net, store).await?;
        }
        self.owners.entry(target.clone()).or_default().extend(found);
        Ok(())
    }
}

/// The system of a target.
pub fn system<'c>(catalog: &'c Catalog, target: &Target) -> Result<&'c System, ResolveError> {
    catalog.systems.get(&target.os).ok_or_else(|| ResolveError::UnknownSystem { os: target.os.clone() })
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
        let further = role.packages.iter().flat_map(|package| &package.sources);
        plan.add(&role.target, further, requirements.kubernetes, catalog, mirrors, previous)?;
    }
    Ok(plan)
}

/// The repositories of an operating system itself.
///
/// # Errors
/// As [`wanted`].
pub fn of_system(
    target: &Target,
    kubernetes: VersionRequest,
    catalog: &Catalog,
    mirrors: &Mirrors,
    previous: Option<&Lock>,
) -> Result<Plan, ResolveError> {
    let mut plan = Plan::default();
    plan.add(target, [].iter(), kubernetes, catalog, mirrors, previous)?;
    Ok(plan)
}

impl Plan {
    /// The repositories of a system, and `further` ones, if they are not there yet.
    fn add<'a>(
        &mut self,
        target: &Target,
        further: impl Iterator<Item = &'a String>,
        kubernetes: VersionRequest,
        catalog: &'a Catalog,
        mirrors: &Mirrors,
        previous: Option<&Lock>,
    ) -> Result<(), ResolveError> {
        let system = system(catalog, target)?;
        let vars = catalog.vars(target, kubernetes);
        for name in system.sources(target.arch).iter().chain(further) {
            let at = (target.clone(), name.clone());
            if self.of.contains_key(&at) {
                continue;
            }
            let mut keys = Vec::new();
            for (part, wanted) in parts(name, catalog, mirrors, &vars, target, system.family, previous)? {
                let key = (name.clone(), part, target.arch);
                keys.push(key.clone());
                self.parts.entry(key).or_insert(wanted);
            }
            self.of.insert(at, keys);
        }
        Ok(())
    }
}

/// The parts of one source, by name.
fn parts(
    name: &str,
    catalog: &Catalog,
    mirrors: &Mirrors,
    vars: &Vars,
    target: &Target,
    family: Family,
    previous: Option<&Lock>,
) -> Result<Vec<(String, Wanted)>, ResolveError> {
    let source_name = || name.to_owned();
    let other = || ResolveError::OtherFamily { source_name: source_name(), os: target.os.clone() };
    let origins = mirrors.origins(catalog, name, vars)?;
    let keyring = mirrors.keyring(catalog, name);
    let keyring = keyring.map_err(|source| ResolveError::Keys { source_name: source_name(), source })?;
    let authority = |path: &Option<String>| -> Result<Authority, ResolveError> {
        let Some(keyring) = keyring.clone() else { return Ok(Authority::Nobody) };
        Ok(Authority::Keys { keyring, path: path.as_deref().map(|path| vars.fill(path)).transpose()? })
    };
    let seen = |part: &str| previous.and_then(|lock| lock.seen(name, part));
    match catalog.sources.get(name) {
        Some(Source::Apt(_)) if family != Family::Debian => Err(other()),
        Some(Source::Yum(_)) if family != Family::Rhel => Err(other()),
        Some(Source::Apt(source)) => {
            let authority = authority(&source.key_path)?;
            let part = |(part, layout): (String, apt::repository::Layout)| {
                let wanted = apt::repository::Wanted {
                    source: source_name(),
                    part: part.clone(),
                    layout,
                    arch: target.arch,
                    origins: origins.clone(),
                    authority: authority.clone(),
                    seen: seen(&part),
                };
                (part, Wanted::Apt(wanted))
            };
            Ok(layouts(source, vars)?.into_iter().map(part).collect())
        }
        Some(Source::Yum(source)) => {
            let trust = match (source.signed, &keyring) {
                (YumSigned::Packages, Some(keys)) => Chain::Packages(keys.pinned().to_vec()),
                _ => Chain::Metadata(authority(&source.key_path)?),
            };
            let mut parts = Vec::new();
            for path in &source.repositories {
                let part = vars.fill(path)?;
                let wanted = yum::repository::Wanted {
                    source: source_name(),
                    part: part.clone(),
                    arch: target.arch,
                    origins: origins.clone(),
                    trust: trust.clone(),
                    seen: seen(&part),
                };
                parts.push((part, Wanted::Yum(wanted)));
            }
            Ok(parts)
        }
        Some(Source::File(_) | Source::Registry(_)) => Err(ResolveError::NotPackages { source_name: source_name() }),
        None => Err(ResolveError::UnknownSource { source_name: source_name() }),
    }
}

/// The layouts of a Debian source, by name.
fn layouts(source: &AptSource, vars: &Vars) -> Result<Vec<(String, apt::repository::Layout)>, ResolveError> {
    use apt::repository::Layout;
    Ok(match &source.layout {
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
    })
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

/// Loads everything at once. `at` is now.
///
/// # Errors
/// The first repository, in order, that cannot be had.
pub async fn load(plan: Plan, net: &Net, store: &Store, at: Timestamp) -> Result<Repositories, ResolveError> {
    let loads = plan.parts.iter().map(|(key, wanted)| async move { (key, wanted.load(net, store, at).await) });
    let mut loaded: BTreeMap<&Key, Loaded> = BTreeMap::new();
    for (key, repository) in join_all(loads).await {
        loaded.insert(key, repository?);
    }
    let mut repositories = Repositories::default();
    for ((source, suite, _), repository) in &loaded {
        let (source, suite, (date, proof)) = (source.clone(), suite.clone(), repository.state());
        repositories.states.push(lock::Repository { source, suite, date, proof });
    }
    for ((target, source), keys) in &plan.of {
        let mut shelves = Vec::new();
        for (key, repository) in keys.iter().filter_map(|key| Some((key, loaded.get(key)?))) {
            shelves.extend(repository.shelves(source));
            if let (Loaded::Yum(repository), Some(Wanted::Yum(wanted))) = (repository, plan.parts.get(key)) {
                repositories.yum.entry(target.clone()).or_default().push((wanted.clone(), repository.clone()));
            }
        }
        repositories.shelves.insert((target.clone(), source.clone()), shelves);
    }
    Ok(repositories)
}

/// One repository, loaded.
enum Loaded {
    Apt(apt::repository::Repository),
    Yum(yum::repository::Repository),
}

impl Wanted {
    async fn load(&self, net: &Net, store: &Store, at: Timestamp) -> Result<Loaded, RepositoryError> {
        Ok(match self {
            Self::Apt(wanted) => Loaded::Apt(wanted.load(net, store, at).await?),
            Self::Yum(wanted) => Loaded::Yum(wanted.load(net, store, at).await?),
        })
    }
}

impl Loaded {
    fn state(&self) -> (Timestamp, Proof) {
        match self {
            Self::Apt(repository) => (repository.date, repository.proof.clone()),
            Self::Yum(repository) => (repository.date, repository.proof.clone()),
        }
    }

    fn shelves(&self, source: &str) -> Vec<Shelf> {
        let (_, proof) = self.state();
        let shelf = |index: &Arc<Index>, part: &str| Shelf {
            source: source.to_owned(),
            part: part.to_owned(),
            proof: proof.clone(),
            index: index.clone(),
        };
        match self {
            // Paths in a Debian repository begin at the source's base.
            Self::Apt(repository) => repository.indices.iter().map(|index| shelf(index, "")).collect(),
            Self::Yum(repository) => vec![shelf(&repository.index, &repository.part)],
        }
    }
}
