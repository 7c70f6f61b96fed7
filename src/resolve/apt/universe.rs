//! All packages that a role may draw from: the indices of its sources, in order.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::index::{Field, Index, Package};
use super::relation::{Relation, groups};
use super::version;
use crate::lock::Proof;

/// One index and where it comes from.
#[derive(Debug, Clone)]
pub struct Shelf {
    /// Name of the source.
    pub source: String,
    /// How its repository's release file was proven.
    pub proof: Proof,
    /// Its packages.
    pub index: Arc<Index>,
}

/// All packages that a role may draw from.
#[derive(Debug, Default)]
pub struct Universe<'u> {
    shelves: Vec<&'u Shelf>,
    pins: BTreeMap<&'u str, &'u str>,
}

/// A package that a shelf offers.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'u> {
    /// The package.
    pub package: Package<'u>,
    /// Its shelf.
    pub shelf: &'u Shelf,
}

impl<'u> Universe<'u> {
    /// The universe of `shelves`; where two offer the same version, the first counts. `pins` names versions to prefer over
    /// higher ones, as long as they are offered.
    pub fn new(shelves: Vec<&'u Shelf>, pins: BTreeMap<&'u str, &'u str>) -> Self {
        Self { shelves, pins }
    }

    /// All offers of a package: the pinned version first, then from high to low.
    pub fn offers(&self, name: &str) -> Vec<Offer<'u>> {
        let mut offers: Vec<Offer<'u>> = self
            .shelves
            .iter()
            .flat_map(|shelf| shelf.index.find(name).map(move |package| Offer { package, shelf }))
            .collect();
        let pin = self.pins.get(name);
        offers.sort_by(|a, b| {
            let pinned = |offer: &Offer<'_>| pin.is_some_and(|pin| *pin == offer.package.version);
            pinned(b).cmp(&pinned(a)).then_with(|| version::compare(b.package.version, a.package.version))
        });
        offers
    }

    /// The offer of a package that apt would call its candidate.
    pub fn candidate(&self, name: &str) -> Option<Offer<'u>> {
        self.offers(name).into_iter().next()
    }

    /// The candidates that satisfy `relation`, the best first: the package of that name itself, then those that provide it,
    /// essential ones and higher priorities first. Where that does not tell them apart, apt takes what its cache numbers
    /// last; in an archive sorted by name that is mostly the last name, so that is what we take.
    pub fn candidates(&self, relation: &Relation<'_>) -> Vec<Offer<'u>> {
        let own = self.candidate(relation.name).filter(|offer| is_satisfied_by(relation, &offer.package));
        let mut others: Vec<Offer<'u>> = Vec::new();
        for provider in self.shelves.iter().flat_map(|shelf| shelf.index.providers(relation.name)) {
            if provider.name == relation.name || others.iter().any(|other| other.package.name == provider.name) {
                continue;
            }
            // Only the version that would be installed counts, not what an older one provides.
            let candidate = self.candidate(provider.name);
            others.extend(candidate.filter(|offer| is_satisfied_by(relation, &offer.package)));
        }
        others.sort_by_key(|offer| {
            let package = &offer.package;
            (package.field(Field::Essential).is_empty(), priority(package), Reverse(package.name))
        });
        own.into_iter().chain(others).collect()
    }

    /// Candidates that are essential or of one of these priorities, by name.
    pub fn of_priorities(&self, priorities: &[String]) -> BTreeMap<&'u str, Offer<'u>> {
        let mut found = BTreeMap::new();
        for shelf in &self.shelves {
            for field in [Field::Priority, Field::Essential] {
                for package in shelf.index.having(field) {
                    let Some(offer) = self.candidate(package.name) else { continue };
                    let wanted = priorities.iter().any(|priority| priority == offer.package.field(Field::Priority));
                    if wanted || !offer.package.field(Field::Essential).is_empty() {
                        found.insert(offer.package.name, offer);
                    }
                }
            }
        }
        found
    }

    /// Up to five names that look like `name`, the nearest first.
    pub fn similar(&self, name: &str) -> Vec<String> {
        let mut near: BTreeMap<(usize, &str), ()> = BTreeMap::new();
        for candidate in self.shelves.iter().flat_map(|shelf| shelf.index.names()) {
            if candidate.len().abs_diff(name.len()) <= 2 {
                let distance = strsim::osa_distance(name, candidate);
                if distance <= 2 {
                    near.insert((distance, candidate), ());
                }
            }
        }
        near.into_keys().take(5).map(|(_, name)| name.to_owned()).collect()
    }
}

/// Whether `package` satisfies `relation` by its own name or by what it provides.
pub fn is_satisfied_by(relation: &Relation<'_>, package: &Package<'_>) -> bool {
    let fits = |qualifier: &str| match qualifier {
        "any" => !package.field(Field::MultiArch).is_empty(),
        arch => arch == package.arch || package.arch == "all",
    };
    let qualified = relation.qualifier.is_none_or(fits);
    if package.name == relation.name && qualified && relation.accepts(Some(package.version)) {
        return true;
    }
    provided(package).any(|provided| {
        provided.name == relation.name
            && (qualified || provided.qualifier == relation.qualifier)
            && relation.accepts(provided.version.map(|(_, version)| version))
    })
}

/// What a package provides. What does not follow the grammar provides nothing, as with apt.
pub fn provided<'u>(package: &Package<'u>) -> impl Iterator<Item = Relation<'u>> + use<'u> {
    groups(package.field(Field::Provides)).filter_map(|group| Relation::parse(group).ok())
}

/// Debian Policy §2.5, the most important first.
fn priority(package: &Package<'_>) -> u8 {
    match package.field(Field::Priority) {
        "required" => 0,
        "important" => 1,
        "standard" => 2,
        "extra" => 4,
        _ => 3,
    }
}
