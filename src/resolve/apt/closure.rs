//! What must come along with a package: its dependencies, and theirs, beyond what the base system has.
//!
//! The choice is the one that apt makes (`apt-get install --no-install-recommends`): everything that is asked for is taken
//! first; then, depth first and in the order of the fields `Pre-Depends` and `Depends`, each group of alternatives that nothing
//! taken so far satisfies gets its first alternative whose candidate fits and can itself be satisfied. Unlike apt, a lower
//! version is tried where no candidate fits (old kubelets want one exact kubernetes-cni).
//!
//! The base system is never upgraded, and nothing of it is removed: what would need that is an error.

use super::candidates::{candidates, fitting, is_satisfied_by, of_priorities};
use super::relation::{Relation, alternatives, groups};
use crate::resolve::closure::{ClosureError, Member, Root, asked, explain, unknown};
use crate::resolve::index::Field;
use crate::resolve::universe::{Offer, Universe};

type Plan<'u> = crate::resolve::plan::Plan<'u, Relation<'u>>;

/// Longest chain of dependencies. Debian's longest are below 100.
const MAX_DEPTH: usize = 256;
/// Most choices that are tried before giving up.
const MAX_STEPS: usize = 100_000;

/// The base system of a target.
#[derive(Debug, Clone, Default)]
pub struct Base<'u>(Plan<'u>);

impl<'u> Base<'u> {
    /// The packages that are `Essential` or of the declared priorities, those named, and all that they need.
    ///
    /// # Errors
    /// A name that nobody offers, and a base that does not fit together.
    pub fn new(universe: &Universe<'u>, priorities: &[String], names: &[String]) -> Result<Self, ClosureError> {
        let mut roots = of_priorities(universe, priorities);
        for name in names {
            let missing = || unknown(universe, name, "the base system", providing(universe, name));
            let offer = universe.candidate(name).ok_or_else(missing)?;
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
    let asked = asked(universe, roots, |name| providing(universe, name))?;
    let plan = Search::new(universe, base.0.clone()).run(asked.offers.clone())?;
    Ok(explain(&plan, &asked, |offer| {
        let fields = [Field::PreDepends, Field::Depends].map(|field| offer.package.field(field));
        let relations = fields.into_iter().flat_map(groups).flat_map(alternatives).flatten();
        relations.flat_map(|relation| plan.satisfying(&relation)).collect()
    }))
}

/// Who would be installed for a name that no package has.
fn providing<'u>(universe: &Universe<'u>, name: &str) -> Vec<Offer<'u>> {
    candidates(universe, &Relation { name, qualifier: None, version: None })
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
                return Err(self.conflict(root, reason.to_string()));
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
                    source: Box::new(source),
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
            relations.iter().flat_map(|relation| candidates(self.universe, relation)).collect();
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
            true if candidates(self.universe, relation).is_empty() => format!("nothing offers {relation}"),
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
