//! The packages that are taken so far, and how to go back.

use std::collections::BTreeMap;

use super::index::Field;
use super::relation::{Relation, alternatives, groups};
use super::universe::{Offer, Universe, is_satisfied_by, provided};

/// The base system and what is taken beyond it.
#[derive(Debug, Clone, Default)]
pub struct Plan<'u> {
    taken: BTreeMap<&'u str, Taken<'u>>,
    /// Virtual package → those taken that provide it.
    providers: BTreeMap<&'u str, Vec<&'u str>>,
    /// Package → those taken that conflict with it or break it, and how.
    against: BTreeMap<&'u str, Vec<(&'u str, Relation<'u>)>>,
    /// Names in the order of taking, without the base.
    order: Vec<&'u str>,
}

#[derive(Debug, Clone)]
struct Taken<'u> {
    offer: Offer<'u>,
    base: bool,
}

impl<'u> Plan<'u> {
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
    pub fn satisfies(&self, relation: &Relation<'_>) -> bool {
        self.named(relation.name).any(|taken| is_satisfied_by(relation, &taken.offer.package))
    }

    /// What is taken beyond the base and satisfies `relation`.
    pub fn satisfying(&self, relation: &Relation<'_>) -> Vec<Offer<'u>> {
        let fits = |taken: &&Taken<'u>| !taken.base && is_satisfied_by(relation, &taken.offer.package);
        self.named(relation.name).filter(fits).map(|taken| taken.offer).collect()
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Taken<'u>> {
        let providers = self.providers.get(name).into_iter().flatten();
        self.taken.get(name).into_iter().chain(providers.filter_map(|provider| self.taken.get(provider)))
    }

    /// Why `offer` cannot be taken; `None` if it can.
    pub fn objection(&self, offer: &Offer<'u>) -> Option<String> {
        let package = &offer.package;
        if let Some(have) = self.taken.get(package.name) {
            let (place, version) = (if have.base { "in the base system" } else { "taken" }, have.offer.package.version);
            return (version != package.version).then(|| format!("is already {place} with version {version}"));
        }
        for relation in negative(offer) {
            let hit = self.named(relation.name).find(|taken| is_satisfied_by(&relation, &taken.offer.package));
            if let Some(hit) = hit {
                return Some(format!("conflicts with {}{}", hit.offer.package.name, place(hit)));
            }
        }
        let names = std::iter::once(package.name).chain(provided(package).map(|provided| provided.name));
        for (owner, relation) in names.filter_map(|name| self.against.get(name)).flatten() {
            if *owner != package.name && is_satisfied_by(relation, package) {
                let place = self.taken.get(owner).map(place).unwrap_or_default();
                return Some(format!("conflicts with {owner}{place}"));
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
        for provided in provided(&offer.package) {
            self.providers.entry(provided.name).or_default().push(name);
        }
        for relation in negative(&offer) {
            self.against.entry(relation.name).or_default().push((name, relation));
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
            for provided in provided(&gone.offer.package) {
                if let Some(providers) = self.providers.get_mut(provided.name) {
                    providers.retain(|provider| *provider != name);
                }
            }
            for relation in negative(&gone.offer) {
                if let Some(against) = self.against.get_mut(relation.name) {
                    against.retain(|(owner, _)| *owner != name);
                }
            }
        }
    }
}

/// All versions of the package that `relation` names and that satisfy it, from high to low.
pub fn fitting<'u>(universe: &Universe<'u>, relation: &Relation<'_>) -> Vec<Offer<'u>> {
    let mut offers = universe.offers(relation.name).into_iter();
    // The candidate has been tried.
    offers.next();
    offers.filter(|offer| is_satisfied_by(relation, &offer.package)).collect()
}

/// What a package conflicts with or breaks. What does not follow the grammar forbids nothing, as with apt.
fn negative<'u>(offer: &Offer<'u>) -> impl Iterator<Item = Relation<'u>> + use<'u> {
    let fields = [Field::Conflicts, Field::Breaks].map(|field| offer.package.field(field));
    fields.into_iter().flat_map(groups).flat_map(alternatives).flatten()
}

fn place(taken: &Taken<'_>) -> &'static str {
    if taken.base { " in the base system" } else { "" }
}
