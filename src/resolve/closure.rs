//! A closure: what is asked for, what it comes to and why, and why packages do not come together. How one is found depends on the
//! package manager.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::plan::{Plan, Relation};
use super::universe::{Offer, Universe};
use super::version::Scheme;
use crate::exit::{Exit, Explain};

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

/// What was asked for, each package once.
#[derive(Debug, Clone, Default)]
pub struct Asked<'u> {
    /// The packages, in the order in which they were asked for.
    pub offers: Vec<Offer<'u>>,
    components: BTreeMap<&'u str, Vec<String>>,
}

/// The packages that `roots` name. `providing` tells who provides a name that no package has: on rpm systems the first of them is
/// taken for it, as dnf does; apt refuses to guess.
///
/// # Errors
/// A name or version that nobody offers.
pub fn asked<'u>(
    universe: &Universe<'u>,
    roots: &[Root<'_>],
    providing: impl Fn(&str) -> Vec<Offer<'u>>,
) -> Result<Asked<'u>, ClosureError> {
    let mut asked = Asked::default();
    let mut taken: BTreeMap<&'u str, Offer<'u>> = BTreeMap::new();
    let fits = |root: &Root<'_>, offer: &Offer<'u>| {
        root.version.is_none_or(|pattern| universe.scheme().matches(pattern, offer.package.version))
    };
    for root in roots {
        let offer = match taken.get(root.name) {
            Some(offer) if fits(root, offer) => *offer,
            _ => {
                let mut offers = universe.offers(root.name);
                offers.retain(|offer| root.sources.contains(&offer.shelf.source));
                match offers.iter().find(|offer| fits(root, offer)) {
                    Some(offer) => *offer,
                    None if offers.is_empty() => {
                        let providing = providing(root.name);
                        match (universe.scheme(), root.version, providing.first()) {
                            (Scheme::Rpm, None, Some(offer)) => *offer,
                            _ => return Err(unknown(universe, root.name, root.component, providing)),
                        }
                    }
                    None => {
                        let mut available: Vec<String> =
                            offers.iter().map(|offer| offer.package.version.to_owned()).collect();
                        available.dedup();
                        let wanted = root.version.unwrap_or_default().to_owned();
                        return Err(ClosureError::NoVersion { name: root.name.to_owned(), wanted, available });
                    }
                }
            }
        };
        match taken.insert(offer.package.name, offer) {
            Some(other) if other.package.version != offer.package.version => {
                return Err(ClosureError::TwoVersions {
                    name: root.name.to_owned(),
                    versions: [other.package.version.to_owned(), offer.package.version.to_owned()],
                });
            }
            Some(_) => {}
            None => asked.offers.push(offer),
        }
        asked.components.entry(offer.package.name).or_default().push(root.component.to_owned());
    }
    Ok(asked)
}

/// The error for a name that no package has; `providing` are those that provide it.
pub fn unknown(universe: &Universe<'_>, name: &str, asks: &str, providing: Vec<Offer<'_>>) -> ClosureError {
    let mut near: Vec<String> = providing.iter().map(|offer| offer.package.name.to_owned()).collect();
    near.truncate(5);
    let near = if near.is_empty() { universe.similar(name) } else { near };
    ClosureError::UnknownPackage { name: name.to_owned(), asks: asks.to_owned(), near }
}

/// Everything in `plan` beyond the base with its shortest chain, breadth first from all that was asked for at once, ordered by
/// name. `children` are the packages beyond the base that satisfy what an offer needs.
pub fn explain<'u, R: Relation<'u>>(
    plan: &Plan<'u, R>,
    asked: &Asked<'u>,
    children: impl Fn(&Offer<'u>) -> Vec<Offer<'u>>,
) -> Vec<Member<'u>> {
    let mut members: BTreeMap<&'u str, Member<'u>> = BTreeMap::new();
    let mut queue: VecDeque<&'u str> = VecDeque::new();
    for root in asked.offers.iter().filter(|root| plan.taken(root.package.name).is_some()) {
        let name = root.package.name;
        let mut components = asked.components.get(name).cloned().unwrap_or_default();
        components.sort();
        components.dedup();
        members.insert(name, Member { offer: *root, components, chain: vec![name.to_owned()] });
        queue.push_back(name);
    }
    while let Some(name) = queue.pop_front() {
        let Some(parent) = members.get(name).cloned() else { continue };
        for child in children(&parent.offer) {
            let name = child.package.name;
            if let Entry::Vacant(vacant) = members.entry(name) {
                let chain = parent.chain.iter().cloned().chain([name.to_owned()]).collect();
                vacant.insert(Member { offer: child, components: parent.components.clone(), chain });
                queue.push_back(name);
            }
        }
    }
    members.into_values().collect()
}

/// A set of packages that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ClosureError {
    /// No source offers a package of this name.
    #[error("no source offers the package {name:?} that {asks} asks for{}", did_you_mean(near))]
    UnknownPackage {
        /// The name.
        name: String,
        /// Who asks for it.
        asks: String,
        /// Names that look like it.
        near: Vec<String>,
    },
    /// The package is there, the version is not.
    #[error("package {name} is not offered in version {wanted:?}, only in {}", few(available))]
    NoVersion {
        /// The package.
        name: String,
        /// The version or pattern that is asked for.
        wanted: String,
        /// What is offered, from high to low.
        available: Vec<String>,
    },
    /// Two components want different versions of one package.
    #[error("package {name} is asked for in two versions, {} and {}", versions[0], versions[1])]
    TwoVersions {
        /// The package.
        name: String,
        /// The versions.
        versions: [String; 2],
    },
    /// A dependency that nothing satisfies.
    #[error("{} needs {relation}, which cannot be had: {}", chain.join(" → "), tried.join("; "))]
    Unsatisfied {
        /// From the package asked for to the one that has the dependency.
        chain: Vec<String>,
        /// The dependency with all its alternatives.
        relation: String,
        /// What was tried and why it failed.
        tried: Vec<String>,
    },
    /// Packages that exclude each other.
    #[error("package {package} {version} {reason}")]
    Conflict {
        /// The package that was to be taken.
        package: String,
        /// Its version.
        version: String,
        /// With what it conflicts, where.
        reason: String,
    },
    /// Files whose owners nobody has looked for yet: the search must be made again with the lists of files.
    #[error("nothing is known yet of the owners of {}", paths.iter().map(String::as_str).collect::<Vec<_>>().join(", "))]
    UnknownFiles {
        /// Their paths.
        paths: BTreeSet<String>,
    },
    /// A search beyond its limits.
    #[error("the dependencies of {} go on for too long", chain.first().map(String::as_str).unwrap_or_default())]
    TooDeep {
        /// How far it came.
        chain: Vec<String>,
    },
    /// A dependency field that cannot be read.
    #[error("package {package} {version} has a dependency that cannot be read")]
    BadRelation {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// What cannot be read.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; there is {}", near.join(", ")) }
}

fn few(versions: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown = versions.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match versions.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

impl Explain for ClosureError {
    fn exit(&self) -> Exit {
        match self {
            Self::UnknownPackage { .. } => Exit::BadInput,
            Self::UnknownFiles { .. } => Exit::Unexpected,
            Self::BadRelation { .. } | Self::TooDeep { .. } => Exit::Verification,
            _ => Exit::Unsupported,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownPackage { .. } => Some(
                "`khimg catalog show sources` lists the sources; add one that offers it to the component".to_owned(),
            ),
            Self::NoVersion { .. } => Some("set one of these versions in the cluster file".to_owned()),
            _ => None,
        }
    }
}
