//! What must come along with a package: its dependencies, and theirs, beyond what the base system has.
//!
//! The choice is the one that apt makes (`apt-get install --no-install-recommends`): everything that is asked for is taken
//! first; then, depth first and in the order of the fields `Pre-Depends` and `Depends`, each group of alternatives that nothing
//! taken so far satisfies gets its first alternative whose candidate fits and can itself be satisfied. Unlike apt, a lower
//! version is tried where no candidate fits (old kubelets want one exact kubernetes-cni).
//!
//! The base system is never upgraded, and nothing of it is removed: what would need that is an error.

use std::collections::BTreeMap;

use super::error::ClosureError;
use super::index::Field;
use super::plan::{Plan, fitting};
use super::relation::{Relation, alternatives, groups};
use super::universe::{Offer, Universe, is_satisfied_by};
use super::version;

/// Longest chain of dependencies. Debian's longest are below 100.
const MAX_DEPTH: usize = 256;
/// Most choices that are tried before giving up.
const MAX_STEPS: usize = 100_000;

/// A package that somebody asks for by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root<'r> {
    /// The component that asks.
    pub component: &'r str,
    /// The package's name.
    pub name: &'r str,
    /// A version, exact or with a trailing `*`.
    pub version: Option<&'r str>,
    /// The sources that may offer it; dependencies may come from any.
    pub sources: &'r [String],
}

/// A package of a closure.
#[derive(Debug, Clone)]
pub struct Member<'u> {
    /// The package.
    pub offer: Offer<'u>,
    /// The components that the chain begins with, by name; several only where they ask for the same package themselves.
    pub components: Vec<String>,
    /// A shortest chain of package names from the one asked for to this one.
    pub chain: Vec<String>,
}

/// The base system of a target.
#[derive(Debug, Clone, Default)]
pub struct Base<'u>(Plan<'u>);

impl<'u> Base<'u> {
    /// The packages that are `Essential` or of the declared priorities, those named, and all that they need.
    ///
    /// # Errors
    /// A name that nobody offers, and a base that does not fit together.
    pub fn new(universe: &Universe<'u>, priorities: &[String], names: &[String]) -> Result<Self, ClosureError> {
        let mut roots = universe.of_priorities(priorities);
        for name in names {
            let offer = universe.candidate(name).ok_or_else(|| unknown(universe, name, "the base system"))?;
            roots.insert(offer.package.name, offer);
        }
        let plan = Search::new(universe, Plan::default()).run(roots.into_values().collect())?;
        Ok(Self(plan.into_base()))
    }

    /// Its packages with their versions, by name.
    pub fn packages(&self) -> impl Iterator<Item = Offer<'u>> + '_ {
        self.0.base()
    }
}

/// What `roots` need beyond `base`, ordered by name.
///
/// # Errors
/// A name or version that nobody offers, and dependencies that cannot be satisfied.
pub fn close<'u>(
    universe: &Universe<'u>,
    base: &Base<'u>,
    roots: &[Root<'_>],
) -> Result<Vec<Member<'u>>, ClosureError> {
    let mut offers: BTreeMap<&'u str, Offer<'u>> = BTreeMap::new();
    let mut order = Vec::new();
    let mut components: BTreeMap<&'u str, Vec<String>> = BTreeMap::new();
    for root in roots {
        let offer = match offers.get(root.name) {
            Some(taken) if root.version.is_none_or(|pattern| version::matches(pattern, taken.package.version)) => {
                *taken
            }
            _ => find(universe, root)?,
        };
        if let Some(other) = offers.insert(offer.package.name, offer) {
            if other.package.version != offer.package.version {
                return Err(ClosureError::TwoVersions {
                    name: root.name.to_owned(),
                    versions: [other.package.version.to_owned(), offer.package.version.to_owned()],
                });
            }
        } else {
            order.push(offer);
        }
        components.entry(offer.package.name).or_default().push(root.component.to_owned());
    }
    let plan = Search::new(universe, base.0.clone()).run(order.clone())?;
    Ok(explain(&plan, &order, &components))
}

fn find<'u>(universe: &Universe<'u>, root: &Root<'_>) -> Result<Offer<'u>, ClosureError> {
    let mut offers = universe.offers(root.name);
    offers.retain(|offer| root.sources.contains(&offer.shelf.source));
    let fits = |offer: &&Offer<'u>| root.version.is_none_or(|pattern| version::matches(pattern, offer.package.version));
    match offers.iter().find(fits) {
        Some(offer) => Ok(*offer),
        None if offers.is_empty() => Err(unknown(universe, root.name, root.component)),
        None => {
            let mut available: Vec<String> = offers.iter().map(|offer| offer.package.version.to_owned()).collect();
            available.dedup();
            let wanted = root.version.unwrap_or_default().to_owned();
            Err(ClosureError::NoVersion { name: root.name.to_owned(), wanted, available })
        }
    }
}

fn unknown(universe: &Universe<'_>, name: &str, asks: &str) -> ClosureError {
    let virtually = universe.candidates(&Relation { name, qualifier: None, version: None });
    let mut near: Vec<String> = virtually.iter().map(|offer| offer.package.name.to_owned()).collect();
    near.truncate(5);
    let near = if near.is_empty() { universe.similar(name) } else { near };
    ClosureError::UnknownPackage { name: name.to_owned(), asks: asks.to_owned(), near }
}

/// A search for what satisfies everything in a plan.
struct Search<'s, 'u> {
    universe: &'s Universe<'u>,
    plan: Plan<'u>,
    stack: Vec<&'u str>,
    steps: usize,
}

impl<'s, 'u> Search<'s, 'u> {
    fn new(universe: &'s Universe<'u>, plan: Plan<'u>) -> Self {
        Self { universe, plan, stack: Vec::new(), steps: 0 }
    }

    fn run(mut self, roots: Vec<Offer<'u>>) -> Result<Plan<'u>, ClosureError> {
        for root in &roots {
            if let Some(reason) = self.plan.objection(root) {
                return Err(self.conflict(root, reason));
            }
            self.plan.take(*root);
        }
        for root in roots {
            self.satisfy(root)?;
        }
        Ok(self.plan)
    }

    /// Takes what `offer` needs. On an error the plan may hold a part of it; the caller goes back.
    fn satisfy(&mut self, offer: Offer<'u>) -> Result<(), ClosureError> {
        self.stack.push(offer.package.name);
        if self.stack.len() > MAX_DEPTH {
            return Err(ClosureError::TooDeep { chain: self.chain() });
        }
        for field in [Field::PreDepends, Field::Depends] {
            for group in groups(offer.package.field(field)) {
                let relations = alternatives(group).map_err(|source| ClosureError::BadRelation {
                    package: offer.package.name.to_owned(),
                    version: offer.package.version.to_owned(),
                    source,
                })?;
                if !relations.iter().any(|relation| self.plan.satisfies(relation)) {
                    self.choose(group, &relations)?;
                }
            }
        }
        self.stack.pop();
        Ok(())
    }

    fn choose(&mut self, group: &str, relations: &[Relation<'u>]) -> Result<(), ClosureError> {
        let mut choices: Vec<Offer<'u>> =
            relations.iter().flat_map(|relation| self.universe.candidates(relation)).collect();
        // Lower versions come only after every candidate.
        choices.extend(relations.iter().flat_map(|relation| fitting(self.universe, relation)));
        let mut tried: Vec<String> = Vec::new();
        let mut only = None;
        for choice in choices {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(ClosureError::TooDeep { chain: self.chain() });
            }
            let name = format!("{} {}", choice.package.name, choice.package.version);
            if let Some(reason) = self.plan.objection(&choice) {
                tried.push(format!("{name} {reason}"));
                continue;
            }
            let (mark, depth) = (self.plan.mark(), self.stack.len());
            self.plan.take(choice);
            match self.satisfy(choice) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.plan.back_to(mark);
                    self.stack.truncate(depth);
                    tried.push(format!("{name}: {error}"));
                    only = Some(error);
                }
            }
        }
        match only {
            // One way that led nowhere: its own error says best why.
            Some(error) if tried.len() == 1 => Err(error),
            _ => {
                tried.extend(relations.iter().filter_map(|relation| self.not_offered(relation)));
                Err(ClosureError::Unsatisfied { chain: self.chain(), relation: group.to_owned(), tried })
            }
        }
    }

    /// Why an alternative had no choice at all.
    fn not_offered(&self, relation: &Relation<'_>) -> Option<String> {
        let offers = self.universe.offers(relation.name);
        if offers.iter().any(|offer| is_satisfied_by(relation, &offer.package)) {
            return None;
        }
        let mut versions: Vec<&str> = offers.iter().map(|offer| offer.package.version).collect();
        versions.dedup();
        versions.truncate(5);
        Some(match versions.is_empty() {
            true if self.universe.candidates(relation).is_empty() => format!("nothing offers {relation}"),
            true => return None,
            false => format!("{relation} is not offered, only {}", versions.join(", ")),
        })
    }

    fn chain(&self) -> Vec<String> {
        self.stack.iter().map(|name| (*name).to_owned()).collect()
    }

    fn conflict(&self, root: &Offer<'u>, reason: String) -> ClosureError {
        ClosureError::Conflict {
            package: root.package.name.to_owned(),
            version: root.package.version.to_owned(),
            reason,
        }
    }
}

/// Shortest chains, breadth first from all roots at once.
fn explain<'u>(plan: &Plan<'u>, roots: &[Offer<'u>], components: &BTreeMap<&'u str, Vec<String>>) -> Vec<Member<'u>> {
    let mut members: BTreeMap<&'u str, Member<'u>> = BTreeMap::new();
    let mut queue: std::collections::VecDeque<&'u str> = std::collections::VecDeque::new();
    for root in roots.iter().filter(|root| plan.taken(root.package.name).is_some()) {
        let name = root.package.name;
        let mut asking = components.get(name).cloned().unwrap_or_default();
        asking.sort();
        asking.dedup();
        members.insert(name, Member { offer: *root, components: asking, chain: vec![name.to_owned()] });
        queue.push_back(name);
    }
    while let Some(name) = queue.pop_front() {
        let Some(parent) = members.get(name).cloned() else { continue };
        let fields = [Field::PreDepends, Field::Depends].map(|field| parent.offer.package.field(field));
        for relation in fields.into_iter().flat_map(groups).flat_map(alternatives).flatten() {
            for child in plan.satisfying(&relation) {
                let name = child.package.name;
                if let std::collections::btree_map::Entry::Vacant(vacant) = members.entry(name) {
                    let chain = parent.chain.iter().cloned().chain([name.to_owned()]).collect();
                    vacant.insert(Member { offer: child, components: parent.components.clone(), chain });
                    queue.push_back(name);
                }
            }
        }
    }
    members.into_values().collect()
}
