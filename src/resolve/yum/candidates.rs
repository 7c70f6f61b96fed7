//! Who could satisfy a need, in dnf's order.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::capability::{Capability, ENTRY, entries, provided};
use super::evr;
use super::filelists::{self, Owners};
use super::rich::Need;
use crate::resolve::index::Field;
use crate::resolve::plan::Relation;
use crate::resolve::universe::{Offer, Universe};
use crate::resolve::version::Operator;

/// How far it is looked ahead.
const MAX_DEPTH: usize = 64;

/// All packages, and what has been asked of them so far.
pub struct Supply<'s, 'u> {
    pub universe: &'s Universe<'u>,
    owners: &'s Owners,
    /// Name → every package that provides it in some version.
    known: RefCell<BTreeMap<&'u str, Vec<Offer<'u>>>>,
    /// Paths that no list of packages names, and whose owners nobody has looked for yet.
    unknown: RefCell<BTreeSet<String>>,
    /// Name and version → whether everything that it needs is offered.
    possible: RefCell<BTreeMap<(&'u str, &'u str), bool>>,
}

impl<'s, 'u> Supply<'s, 'u> {
    pub fn new(universe: &'s Universe<'u>, owners: &'s Owners) -> Self {
        Self { universe, owners, known: RefCell::default(), unknown: RefCell::default(), possible: RefCell::default() }
    }

    /// Paths that must be looked up in the lists of files before anything can be said.
    pub fn unknown(&self) -> BTreeSet<String> {
        self.unknown.borrow().clone()
    }

    /// Every version of every package that satisfies `wanted`, by name, then from high to low, a pinned version first.
    pub fn candidates(&self, wanted: &Capability<'u>) -> Vec<Offer<'u>> {
        let all = self.known.borrow().get(wanted.name).cloned();
        let all = all.unwrap_or_else(|| {
            let found = self.find(wanted.name);
            self.known.borrow_mut().insert(wanted.name, found.clone());
            found
        });
        let is_file = wanted.name.starts_with('/');
        let listed = self.owners.contains_key(wanted.name);
        if all.is_empty() && is_file && !filelists::is_in_primary(wanted.name) && !listed {
            self.unknown.borrow_mut().insert(wanted.name.to_owned());
        }
        all.into_iter().filter(|offer| listed || wanted.is_satisfied_by(&offer.package)).collect()
    }

    /// `choices` in the order in which dnf's solver would try them (libsolv's policy.c): the best version of each name first, by
    /// name, without those that another takes the place of; then those that a newer version of the same package is better
    /// than; of several that provide the same in different versions, the newer first. Lower versions come last of all.
    pub fn preferred(&self, choices: Vec<Offer<'u>>) -> Vec<Offer<'u>> {
        if choices.len() < 2 {
            return choices;
        }
        let mut by_name: BTreeMap<&str, Vec<Offer<'u>>> = BTreeMap::new();
        for choice in choices {
            let versions = by_name.entry(choice.package.name).or_default();
            if !versions.iter().any(|other| other.package.version == choice.package.version) {
                versions.push(choice);
            }
        }
        let (mut best, mut lower): (Vec<Offer<'u>>, Vec<Offer<'u>>) = (Vec::new(), Vec::new());
        for versions in by_name.into_values() {
            let mut versions = versions.into_iter();
            best.extend(versions.next());
            lower.extend(versions);
        }
        let all = best.clone();
        let gives_way = |offer: &Offer<'u>| all.iter().any(|other| replaces(other, offer) && !replaces(offer, other));
        best.retain(|offer| !gives_way(offer));
        let is_newest = |offer: &Offer<'u>| {
            let candidate = self.universe.candidate(offer.package.name);
            candidate.is_none_or(|newest| newest.package.version == offer.package.version)
        };
        let (newest, outdated): (Vec<_>, Vec<_>) = best.into_iter().partition(is_newest);
        let mut best: Vec<Offer<'u>> = newest.into_iter().chain(outdated).collect();
        let behind = behind(&best);
        let mut order: Vec<usize> = (0..best.len()).collect();
        order.sort_by_key(|at| behind.get(*at));
        best = order.iter().filter_map(|at| best.get(*at).copied()).collect();
        best.into_iter().chain(lower).collect()
    }

    /// Whether everything that `offer` needs is offered at all, and what that needs. What depends on other choices, and what
    /// only the lists of files tell, is taken to be.
    pub fn is_possible(&self, offer: &Offer<'u>) -> bool {
        self.is_possible_from(offer, 0)
    }

    fn is_possible_from(&self, offer: &Offer<'u>, depth: usize) -> bool {
        let key = (offer.package.name, offer.package.version);
        if let Some(known) = self.possible.borrow().get(&key) {
            return *known;
        }
        if depth > MAX_DEPTH {
            return true;
        }
        // Whoever comes back to it in a circle must not fail by that.
        self.possible.borrow_mut().insert(key, true);
        let needs = entries(&offer.package, Field::Depends).filter_map(|text| Need::parse(text).ok());
        let possible = needs.into_iter().all(|need| {
            let one = |one: &Capability<'u>| {
                let unlisted = one.name.starts_with('/') && !filelists::is_in_primary(one.name);
                unlisted || self.candidates(one).iter().any(|other| self.is_possible_from(other, depth + 1))
            };
            match &need {
                Need::One(wanted) => one(wanted),
                Need::Or(all) if all.iter().all(|one| matches!(one, Need::One(_))) => {
                    need.capabilities().iter().any(one)
                }
                _ => true,
            }
        });
        self.possible.borrow_mut().insert(key, possible);
        possible
    }

    /// The owners of a path that the lists of files told.
    pub fn listed_owners(&self, path: &str) -> Vec<Offer<'u>> {
        let Some(digests) = self.owners.get(path) else { return Vec::new() };
        let packages = self.universe.shelves().iter().flat_map(|shelf| {
            let owned = shelf.index.packages().filter(|package| digests.contains(&package.sha256));
            owned.map(move |package| Offer { package, shelf })
        });
        packages.collect()
    }

    /// Everything that provides `name`.
    fn find(&self, name: &'u str) -> Vec<Offer<'u>> {
        let text = format!("{ENTRY}{name}");
        let mut names: BTreeSet<&'u str> = BTreeSet::new();
        let any = Capability { name, version: None, by_name: false };
        for shelf in self.universe.shelves() {
            let mut found = shelf.index.providers(&text);
            if name.starts_with('/') {
                found.extend(shelf.index.owners(&text));
            }
            names.extend(found.iter().filter(|package| any.is_satisfied_by(package)).map(|package| package.name));
        }
        let listed = self.listed_owners(name);
        names.extend(listed.iter().map(|offer| offer.package.name));
        let all = names.into_iter().flat_map(|name| self.universe.offers(name));
        all.filter(|offer| {
            let is_listed = listed.iter().any(|owner| owner.package.sha256 == offer.package.sha256);
            is_listed || any.is_satisfied_by(&offer.package)
        })
        .collect()
    }
}

/// Whether `offer` obsoletes `other`.
fn replaces(offer: &Offer<'_>, other: &Offer<'_>) -> bool {
    let obsolete = entries(&offer.package, Field::Obsoletes).filter_map(Capability::parse);
    obsolete.map(|gone| Capability { by_name: true, ..gone }).any(|gone| gone.is_satisfied_by(&other.package))
}

/// How many steps each offer is behind others that provide the same in a newer version.
fn behind(offers: &[Offer<'_>]) -> Vec<usize> {
    let mut versions: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
    for (at, offer) in offers.iter().enumerate() {
        for provided in provided(&offer.package) {
            match provided.version {
                Some((Operator::Equal, version)) if !is_hash(version) => {
                    versions.entry(provided.name).or_default().push((at, version));
                }
                Some((Operator::Less | Operator::LessOrEqual, version)) => {
                    versions.entry(provided.name).or_default().push((at, version));
                }
                _ => {}
            }
        }
    }
    let mut behind = vec![0; offers.len()];
    for mut provided in versions.into_values() {
        provided.sort_by(|(_, a), (_, b)| evr::compare_as_asked(b, a));
        let (mut steps, mut last): (usize, Option<(usize, &str)>) = (0, None);
        for (at, version) in provided {
            steps += usize::from(
                last.is_some_and(|(other, newer)| other != at && evr::compare_as_asked(newer, version).is_gt()),
            );
            last = Some((at, version));
            if let Some(count) = behind.get_mut(at) {
                *count += steps;
            }
        }
    }
    behind
}

/// A build's hash for a version says nothing of its age.
fn is_hash(version: &str) -> bool {
    version.len() >= 4 && version.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
