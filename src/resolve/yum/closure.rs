//! What must come along with a package: its dependencies, and theirs, beyond what the base system has.
//!
//! The choice is the one that dnf makes without weak dependencies. The base system is never upgraded, and nothing of it is
//! removed or replaced: what would need that is an error.

use super::candidates::Supply;
use super::capability::{Capability, ENTRY, entries};
use super::filelists::Owners;
use super::rich::Need;
use super::search::{Plan, Search};
use crate::resolve::closure::{ClosureError, Member, Root, asked, explain, unknown};
use crate::resolve::index::Field;
use crate::resolve::universe::{Offer, Universe};

/// The base system of a target.
#[derive(Debug, Clone, Default)]
pub struct Base<'u>(Plan<'u>);

impl<'u> Base<'u> {
    /// The packages that are named, and all that they need. `owners` is what the lists of files told so far.
    ///
    /// # Errors
    /// A name that nobody offers, and a base that does not fit together; [`ClosureError::UnknownFiles`].
    pub fn new(universe: &Universe<'u>, owners: &Owners, names: &[String]) -> Result<Self, ClosureError> {
        let supply = Supply::new(universe, owners);
        let mut roots = Vec::new();
        for name in names {
            let missing = || unknown(universe, name, "the base system", providing(universe, name));
            roots.push(universe.candidate(name).ok_or_else(missing)?);
        }
        Ok(Self(run(&supply, Plan::default(), roots)?.into_base()))
    }

    /// Its packages with their versions, by name.
    pub fn packages(&self) -> impl Iterator<Item = Offer<'u>> + '_ {
        self.0.base()
    }
}

/// What `roots` need beyond `base`, ordered by name. `owners` is what the lists of files told so far.
///
/// # Errors
/// A name or version that nobody offers, and dependencies that cannot be satisfied; [`ClosureError::UnknownFiles`].
pub fn close<'u>(
    universe: &Universe<'u>,
    owners: &Owners,
    base: &Base<'u>,
    roots: &[Root<'_>],
) -> Result<Vec<Member<'u>>, ClosureError> {
    let supply = Supply::new(universe, owners);
    let asked = asked(universe, roots, |name| supply.preferred(providing(universe, name)))?;
    let plan = run(&supply, base.0.clone(), asked.offers.clone())?;
    Ok(explain(&plan, &asked, |offer| {
        let needs = entries(&offer.package, Field::Depends).filter_map(|text| Need::parse(text).ok());
        let wanted = needs.flat_map(|need| need.capabilities());
        let satisfying = wanted.flat_map(|wanted| {
            let mut found = plan.satisfying(&wanted);
            found.extend(
                supply
                    .listed_owners(wanted.name)
                    .into_iter()
                    .filter(|owner| plan.has(owner) && plan.taken(owner.package.name).is_some()),
            );
            found
        });
        satisfying.collect()
    }))
}

/// A search that says first which paths it knows nothing of: without them its result is worth nothing.
fn run<'u>(supply: &Supply<'_, 'u>, plan: Plan<'u>, roots: Vec<Offer<'u>>) -> Result<Plan<'u>, ClosureError> {
    let result = Search::new(supply, plan).run(roots);
    let paths = supply.unknown();
    if paths.is_empty() { result } else { Err(ClosureError::UnknownFiles { paths }) }
}

/// Who provides a name that no package has.
fn providing<'u>(universe: &Universe<'u>, name: &str) -> Vec<Offer<'u>> {
    let wanted = Capability { name, version: None, by_name: false };
    let mut found = Vec::new();
    for shelf in universe.shelves() {
        let packages = shelf.index.providers(&format!("{ENTRY}{name}")).into_iter();
        found.extend(packages.filter(|package| wanted.is_provided_by(package)).map(|package| Offer { package, shelf }));
    }
    found
}
