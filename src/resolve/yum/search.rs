//! The search for packages that satisfy everything.
//!
//! What only packages of one name can satisfy is taken first, as dnf's solver does; among several names the first by name that fits
//! is taken. A choice that turns out wrong is taken back, and only a choice that had a part in it: each dead end knows which
//! packages brought it about.

use std::collections::{BTreeMap, BTreeSet};

use super::candidates::Supply;
use super::capability::{Capability, entries};
use super::rich::Need;
use crate::resolve::closure::ClosureError;
use crate::resolve::index::Field;
use crate::resolve::plan::Relation;
use crate::resolve::universe::Offer;

/// Packages beyond what is asked for, chosen one after the other. A full graphical system has some 1500; a node far less.
const MAX_DEPTH: usize = 1000;
/// Most choices that are tried before giving up.
const MAX_STEPS: usize = 20_000;
/// Most choices that are made again because they turned out not to be needed.
const MAX_RETRIES: usize = 64;

pub(super) type Plan<'u> = crate::resolve::plan::Plan<'u, Capability<'u>>;

/// A search for what satisfies everything in a plan.
pub(super) struct Search<'s, 'u> {
    supply: &'s Supply<'s, 'u>,
    plan: Plan<'u>,
    /// Package → the one that needed it first.
    parents: BTreeMap<&'u str, &'u str>,
    depth: usize,
    steps: usize,
    retries: usize,
}

/// A need that has yet to be satisfied.
#[derive(Clone)]
struct Pending<'u> {
    by: &'u str,
    text: &'u str,
    need: Need<'u>,
}

/// Why there is no way on, and the packages that brought it about.
struct Dead<'u> {
    error: ClosureError,
    by: BTreeSet<&'u str>,
    /// No other choice could help.
    fatal: bool,
}

impl<'s, 'u> Search<'s, 'u> {
    pub(super) fn new(supply: &'s Supply<'s, 'u>, plan: Plan<'u>) -> Self {
        Self { supply, plan, parents: BTreeMap::new(), depth: 0, steps: 0, retries: 0 }
    }

    pub(super) fn run(mut self, roots: Vec<Offer<'u>>) -> Result<Plan<'u>, ClosureError> {
        for root in &roots {
            if let Some(objection) = self.plan.objection(root) {
                return Err(ClosureError::Conflict {
                    package: root.package.name.to_owned(),
                    version: root.package.version.to_owned(),
                    reason: objection.to_string(),
                });
            }
            self.plan.take(*root);
        }
        let mut pending = Vec::new();
        for root in &roots {
            pending.extend(needs(root)?);
        }
        self.solve(pending).map_err(|dead| dead.error)?;
        Ok(self.plan)
    }

    /// Satisfies everything in `pending`. On an error the plan may hold a part of it; the caller goes back.
    fn solve(&mut self, mut pending: Vec<Pending<'u>>) -> Result<(), Dead<'u>> {
        let Some((at, choices, mut by, mut tried)) = self.next(&mut pending)? else { return Ok(()) };
        let Some(next) = pending.get(at).cloned() else { return Ok(()) };
        if !next.need.is_compound() {
            pending.remove(at);
        }
        let mut only = None;
        for choice in &choices {
            let (name, mark) = (choice.package.name, self.plan.mark());
            let dead = match self.take(*choice, &next, &pending) {
                Ok(()) => return self.without_surplus(mark, *choice, &choices, &next, &pending),
                Err(dead) => dead,
            };
            self.plan.back_to(mark);
            if dead.fatal || !dead.by.contains(name) {
                return Err(dead);
            }
            by.extend(dead.by.into_iter().filter(|other| *other != name));
            tried.push(format!("{name} {}: {}", choice.package.version, dead.error));
            only = Some(dead.error);
        }
        let error = match only {
            // One way that led nowhere: its own error says best why.
            Some(error) if tried.len() == 1 => error,
            _ => self.unsatisfied(&next, tried),
        };
        Err(Dead { error, by, fatal: false })
    }

    /// Takes `choice` for `next`, and satisfies what it needs and everything that is pending beside it.
    fn take(&mut self, choice: Offer<'u>, next: &Pending<'u>, pending: &[Pending<'u>]) -> Result<(), Dead<'u>> {
        let name = choice.package.name;
        self.steps += 1;
        if self.steps > MAX_STEPS || self.depth > MAX_DEPTH {
            let error = ClosureError::TooDeep { chain: self.chain(next.by) };
            return Err(Dead { error, by: BTreeSet::new(), fatal: true });
        }
        self.plan.take(choice);
        self.parents.insert(name, next.by);
        let own = needs(&choice).map_err(|error| Dead { error, by: [name].into(), fatal: false })?;
        self.depth += 1;
        let solved = self.solve(pending.iter().cloned().chain(own).collect());
        self.depth -= 1;
        solved
    }

    /// Where one of the other `choices` came along in the end for other reasons, `choice` may not have been needed at all: then the
    /// way over the other is taken, if there is one.
    fn without_surplus(
        &mut self,
        mark: usize,
        choice: Offer<'u>,
        choices: &[Offer<'u>],
        next: &Pending<'u>,
        pending: &[Pending<'u>],
    ) -> Result<(), Dead<'u>> {
        let name = choice.package.name;
        let other = choices.iter().find(|other| other.package.name != name && self.plan.has(other)).copied();
        let Some(other) = other.filter(|_| self.retries < MAX_RETRIES) else { return Ok(()) };
        self.retries += 1;
        self.plan.back_to(mark);
        match self.take(other, next, pending) {
            Err(dead) if !dead.fatal => {
                self.plan.back_to(mark);
                self.take(choice, next, pending)
            }
            solved => solved,
        }
    }

    /// The need to see to next, with its choices, those who are to blame if none of them does, and what was said against others.
    #[expect(clippy::type_complexity, reason = "four things that belong together for one line only")]
    fn next(
        &self,
        pending: &mut Vec<Pending<'u>>,
    ) -> Result<Option<(usize, Vec<Offer<'u>>, BTreeSet<&'u str>, Vec<String>)>, Dead<'u>> {
        let mut postponed = None;
        let mut at = 0;
        while let Some(one) = pending.get(at) {
            if self.holds(&one.need) {
                if one.need.is_compound() {
                    at += 1
                } else {
                    drop(pending.remove(at))
                }
                continue;
            }
            let mut by = BTreeSet::from([one.by]);
            if one.need.is_compound() {
                let conditions = one.need.capabilities();
                by.extend(conditions.iter().flat_map(|one| self.plan.satisfying(one)).map(|offer| offer.package.name));
            }
            let (mut choices, mut tried): (Vec<Offer<'u>>, Vec<String>) = (Vec::new(), Vec::new());
            for choice in self.choices(&one.need) {
                match self.plan.objection(&choice) {
                    None => choices.push(choice),
                    Some(objection) => {
                        tried.push(format!("{} {} {objection}", choice.package.name, choice.package.version));
                        by.insert(objection.by);
                    }
                }
            }
            // A dead end that can be seen from here is none of the choices, unless there is no other to tell what is missing.
            let possible: Vec<Offer<'u>> =
                choices.iter().filter(|choice| self.supply.is_possible(choice)).copied().collect();
            let choices = self.supply.preferred(if possible.is_empty() { choices } else { possible });
            let names = choices.iter().map(|choice| choice.package.name).collect::<BTreeSet<&str>>();
            match names.len() {
                0 => {
                    let error = self.unsatisfied(one, tried);
                    return Err(Dead { error, by, fatal: false });
                }
                1 => return Ok(Some((at, choices, by, tried))),
                _ => postponed = postponed.or(Some((at, choices, by, tried))),
            }
            at += 1;
        }
        Ok(postponed)
    }

    /// Whether the plan has what is needed.
    fn holds(&self, need: &Need<'u>) -> bool {
        let one_package = |fits: &dyn Fn(&Offer<'u>) -> bool, of: &Need<'u>| {
            self.choices(of).iter().any(|offer| self.plan.has(offer) && fits(offer))
        };
        match need {
            Need::One(one) => {
                self.plan.satisfies(one) || self.supply.listed_owners(one.name).iter().any(|owner| self.plan.has(owner))
            }
            Need::And(all) => all.iter().all(|one| self.holds(one)),
            Need::Or(all) => all.iter().any(|one| self.holds(one)),
            Need::If(both, other) => {
                let [wanted, condition] = &**both;
                if self.holds(condition) { self.holds(wanted) } else { other.as_ref().is_none_or(|o| self.holds(o)) }
            }
            Need::Unless(both, other) => {
                let [wanted, condition] = &**both;
                if self.holds(condition) { other.as_ref().is_none_or(|o| self.holds(o)) } else { self.holds(wanted) }
            }
            Need::With(_) | Need::Without(_) => one_package(&|_| true, need),
        }
    }

    /// What could be taken for it. Of what is needed together, the first that is missing.
    fn choices(&self, need: &Need<'u>) -> Vec<Offer<'u>> {
        let fits = |offer: &Offer<'u>, need: &Need<'u>| {
            need.capabilities().iter().any(|one| one.is_satisfied_by(&offer.package))
        };
        match need {
            Need::One(one) => self.supply.candidates(one),
            Need::And(all) => all.iter().find(|one| !self.holds(one)).map_or_else(Vec::new, |one| self.choices(one)),
            Need::Or(all) => all.iter().flat_map(|one| self.choices(one)).collect(),
            Need::If(both, other) => {
                let [wanted, condition] = &**both;
                match other {
                    _ if self.holds(condition) => self.choices(wanted),
                    // As libsolv reads it: without the condition there must be the other, or else the condition.
                    Some(other) => self.choices(condition).into_iter().chain(self.choices(other)).collect(),
                    None => Vec::new(),
                }
            }
            Need::Unless(both, other) => {
                let [wanted, condition] = &**both;
                let needed = if self.holds(condition) { other.as_deref() } else { Some(wanted) };
                needed.map_or_else(Vec::new, |needed| self.choices(needed))
            }
            Need::With(all) => {
                let [first, rest @ ..] = &all[..] else { return Vec::new() };
                let mut choices = self.choices(first);
                choices.retain(|offer| rest.iter().all(|one| fits(offer, one)));
                choices
            }
            Need::Without(both) => {
                let [wanted, unwanted] = &**both;
                let mut choices = self.choices(wanted);
                choices.retain(|offer| !fits(offer, unwanted));
                choices
            }
        }
    }

    fn unsatisfied(&self, one: &Pending<'u>, mut tried: Vec<String>) -> ClosureError {
        for wanted in one.need.capabilities().iter().filter(|wanted| self.supply.candidates(wanted).is_empty()) {
            let mut versions: Vec<&str> =
                self.supply.universe.offers(wanted.name).iter().map(|offer| offer.package.version).collect();
            versions.dedup();
            versions.truncate(5);
            tried.push(if versions.is_empty() {
                format!("nothing offers {wanted}")
            } else {
                format!("{wanted} is not offered, only {}", versions.join(", "))
            });
        }
        let relation = match &one.need {
            Need::One(wanted) => wanted.to_string(),
            _ => one.text.to_owned(),
        };
        ClosureError::Unsatisfied { chain: self.chain(one.by), relation, tried }
    }

    /// From what was asked for to `name`.
    fn chain(&self, name: &'u str) -> Vec<String> {
        let mut chain = vec![name.to_owned()];
        let mut at = name;
        while let Some(parent) = self.parents.get(at).filter(|parent| !chain.iter().any(|seen| seen == **parent)) {
            chain.push((*parent).to_owned());
            at = parent;
        }
        chain.reverse();
        chain
    }
}

/// What a package needs, each need once.
fn needs<'u>(offer: &Offer<'u>) -> Result<Vec<Pending<'u>>, ClosureError> {
    let mut needs = Vec::new();
    for text in entries(&offer.package, Field::Depends) {
        let need = Need::parse(text).map_err(|source| ClosureError::BadRelation {
            package: offer.package.name.to_owned(),
            version: offer.package.version.to_owned(),
            source: Box::new(source),
        })?;
        needs.push(Pending { by: offer.package.name, text, need });
    }
    Ok(needs)
}
