//! What a relation may be satisfied with, in apt's order.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::relation::{Relation, alternatives, groups};
use crate::resolve::index::{Field, Package};
use crate::resolve::plan;
use crate::resolve::universe::{Offer, Universe};

/// The candidates that satisfy `relation`, the best first: the package of that name itself, then those that provide it,
/// essential ones and higher priorities first. Where that does not tell them apart, apt takes what its cache numbers
/// last; in an archive sorted by name that is mostly the last name, so that is what we take.
pub fn candidates<'u>(universe: &Universe<'u>, relation: &Relation<'_>) -> Vec<Offer<'u>> {
    let own = universe.candidate(relation.name).filter(|offer| is_satisfied_by(relation, &offer.package));
    let mut others: Vec<Offer<'u>> = Vec::new();
    for provider in universe.shelves().iter().flat_map(|shelf| shelf.index.providers(relation.name)) {
        if provider.name == relation.name || others.iter().any(|other| other.package.name == provider.name) {
            continue;
        }
        // Only the version that would be installed counts, not what an older one provides.
        let candidate = universe.candidate(provider.name);
        others.extend(candidate.filter(|offer| is_satisfied_by(relation, &offer.package)));
    }
    others.sort_by_key(|offer| {
        let package = &offer.package;
        (package.field(Field::Essential).is_empty(), priority(package), Reverse(package.name))
    });
    own.into_iter().chain(others).collect()
}

/// Candidates that are essential or of one of these priorities, by name.
pub fn of_priorities<'u>(universe: &Universe<'u>, priorities: &[String]) -> BTreeMap<&'u str, Offer<'u>> {
    let mut found = BTreeMap::new();
    for shelf in universe.shelves() {
        for field in [Field::Priority, Field::Essential] {
            for package in shelf.index.having(field) {
                let Some(offer) = universe.candidate(package.name) else { continue };
                let wanted = priorities.iter().any(|priority| priority == offer.package.field(Field::Priority));
                if wanted || !offer.package.field(Field::Essential).is_empty() {
                    found.insert(offer.package.name, offer);
                }
            }
        }
    }
    found
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

/// All versions of the package that `relation` names and that satisfy it, from high to low.
pub fn fitting<'u>(universe: &Universe<'u>, relation: &Relation<'_>) -> Vec<Offer<'u>> {
    let mut offers = universe.offers(relation.name).into_iter();
    // The candidate has been tried.
    offers.next();
    offers.filter(|offer| is_satisfied_by(relation, &offer.package)).collect()
}

impl<'u> plan::Relation<'u> for Relation<'u> {
    fn name(&self) -> &'u str {
        self.name
    }

    fn is_satisfied_by(&self, package: &Package<'_>) -> bool {
        is_satisfied_by(self, package)
    }

    fn provided(package: &Package<'u>) -> impl Iterator<Item = &'u str> {
        provided(package).map(|provided| provided.name)
    }

    /// What a package conflicts with or breaks. What does not follow the grammar forbids nothing, as with apt.
    fn against(package: &Package<'u>) -> impl Iterator<Item = Self> {
        let fields = [Field::Conflicts, Field::Breaks].map(|field| package.field(field));
        fields.into_iter().flat_map(groups).flat_map(alternatives).flatten()
    }
}
