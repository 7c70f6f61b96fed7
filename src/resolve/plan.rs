//! The packages that are taken so far, and how to go back.

use std::collections::BTreeMap;
use std::fmt;

use super::index::Package;
use super::universe::Offer;

/// What one package says of others, in the language of its package manager.
pub trait Relation<'u>: Copy {
    /// The name that it is about: of packages, or of what packages provide.
    fn name(&self) -> &'u str;

    /// Whether `package` is what it is about, by its own name or by what it provides.
    fn is_satisfied_by(&self, package: &Package<'_>) -> bool;

    /// The names that `package` provides beside its own.
    fn provided(package: &Package<'u>) -> impl Iterator<Item = &'u str>;

    /// What `package` cannot be together with.
    fn against(package: &Package<'u>) -> impl Iterator<Item = Self>;
}

/// Why a package cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection<'u> {
    /// The package in the plan that stands against it.
    pub by: &'u str,
    reason: String,
}

impl fmt::Display for Objection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// The base system and what is taken beyond it.
#[derive(Debug, Clone)]
pub struct Plan<'u, R> {
    taken: BTreeMap<&'u str, Taken<'u>>,
    /// Virtual package → those taken that provide it.
    providers: BTreeMap<&'u str, Vec<&'u str>>,
    /// Package → those taken that conflict with it or break it, and how.
    against: BTreeMap<&'u str, Vec<(&'u str, R)>>,
    /// Names in the order of taking, without the base.
    order: Vec<&'u str>,
}

#[derive(Debug, Clone)]
struct Taken<'u> {
    offer: Offer<'u>,
    base: bool,
}

impl<R> Default for Plan<'_, R> {
    fn default() -> Self {
        Self { taken: BTreeMap::new(), providers: BTreeMap::new(), against: BTreeMap::new(), order: Vec::new() }
    }
}

impl<'u, R: Relation<'u>> Plan<'u, R> {
    /// The same with everything in it as the base.
    pub fn into_base(mut self) -> Self {
        self.taken.values_mut().for_each(|taken| taken.base = true);
        self.order.clear();
        self
    }

    /// The packages of the base.
    pub fn base(&self) -> impl Iterator<Item = Offer<'u>> + '_ {
        self.taken.values().filter(|taken| taken.base).map(|taken| taken.offer)
    }

    /// The package of this name, if it is taken beyond the base.
    pub fn taken(&self, name: &str) -> Option<Offer<'u>> {
        self.taken.get(name).filter(|taken| !taken.base).map(|taken| taken.offer)
    }

    /// Whether something in the base or taken satisfies `relation`.
    pub fn satisfies(&self, relation: &R) -> bool {
        self.named(relation.name()).any(|taken| relation.is_satisfied_by(&taken.offer.package))
    }

    /// What is taken beyond the base and satisfies `relation`.
    pub fn satisfying(&self, relation: &R) -> Vec<Offer<'u>> {
        let fits = |taken: &&Taken<'u>| !taken.base && relation.is_satisfied_by(&taken.offer.package);
        self.named(relation.name()).filter(fits).map(|taken| taken.offer).collect()
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Taken<'u>> {
        let providers = self.providers.get(name).into_iter().flatten();
        self.taken.get(name).into_iter().chain(providers.filter_map(|provider| self.taken.get(provider)))
    }

    /// Whether this very version of the package is taken or in the base.
    pub fn has(&self, offer: &Offer<'u>) -> bool {
        self.taken.get(offer.package.name).is_some_and(|taken| taken.offer.package.version == offer.package.version)
    }

    /// Why `offer` cannot be taken; `None` if it can.
    pub fn objection(&self, offer: &Offer<'u>) -> Option<Objection<'u>> {
        let package = &offer.package;
        if let Some(have) = self.taken.get(package.name) {
            let (place, version) = (if have.base { "in the base system" } else { "taken" }, have.offer.package.version);
            let reason = format!("is already {place} with version {version}");
            return (version != package.version).then_some(Objection { by: package.name, reason });
        }
        for relation in R::against(package) {
            let hit = self.named(relation.name()).find(|taken| relation.is_satisfied_by(&taken.offer.package));
            if let Some(hit) = hit {
                let by = hit.offer.package.name;
                return Some(Objection { by, reason: format!("conflicts with {by}{}", place(hit)) });
            }
        }
        let names = std::iter::once(package.name).chain(R::provided(package));
        for (owner, relation) in names.filter_map(|name| self.against.get(name)).flatten() {
            if *owner != package.name && relation.is_satisfied_by(package) {
                let place = self.taken.get(owner).map(place).unwrap_or_default();
                return Some(Objection { by: owner, reason: format!("conflicts with {owner}{place}") });
            }
        }
        None
    }

    /// Takes a package that meets no objection. What is there already stays as it is.
    pub fn take(&mut self, offer: Offer<'u>) {
        let name = offer.package.name;
        if self.taken.contains_key(name) {
            return;
        }
        for provided in R::provided(&offer.package) {
            self.providers.entry(provided).or_default().push(name);
        }
        for relation in R::against(&offer.package) {
            self.against.entry(relation.name()).or_default().push((name, relation));
        }
        self.taken.insert(name, Taken { offer, base: false });
        self.order.push(name);
    }

    /// A point to go back to.
    pub fn mark(&self) -> usize {
        self.order.len()
    }

    /// Gives up everything that was taken since `mark`.
    pub fn back_to(&mut self, mark: usize) {
        for name in self.order.split_off(mark.min(self.order.len())) {
            let Some(gone) = self.taken.remove(name) else { continue };
            for provided in R::provided(&gone.offer.package) {
                if let Some(providers) = self.providers.get_mut(provided) {
                    providers.retain(|provider| *provider != name);
                }
            }
            for relation in R::against(&gone.offer.package) {
                if let Some(against) = self.against.get_mut(relation.name()) {
                    against.retain(|(owner, _)| *owner != name);
                }
            }
        }
    }
}

fn place(taken: &Taken<'_>) -> &'static str {
    if taken.base { " in the base system" } else { "" }
}
