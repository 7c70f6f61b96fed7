//! All packages that a role may draw from: the indices of its sources, in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::index::{Index, Package, is_safe_path};
use super::version::Scheme;
use super::yum::modules::Modules;
use crate::lock::Proof;

/// One index and where it comes from.
#[derive(Debug, Clone)]
pub struct Shelf {
    /// Name of the source.
    pub source: String,
    /// Where the paths of its packages begin, below the source's base; empty for the base itself.
    pub part: String,
    /// How the digests in it are proven.
    pub proof: Proof,
    /// Its packages.
    pub index: Arc<Index>,
}

/// All packages that a role may draw from.
#[derive(Debug)]
pub struct Universe<'u> {
    scheme: Scheme,
    shelves: Vec<&'u Shelf>,
    pins: BTreeMap<&'u str, &'u str>,
    modules: Modules,
}

/// A package that a shelf offers.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'u> {
    /// The package.
    pub package: Package<'u>,
    /// Its shelf.
    pub shelf: &'u Shelf,
}

impl Offer<'_> {
    /// Where the package lies below its source's base; `None` for one that would lie outside of it.
    pub fn path(&self) -> Option<String> {
        joined(&self.shelf.part, self.package.path)
    }
}

impl<'u> Universe<'u> {
    /// The universe of `shelves`; where two offer the same version, the first counts. `pins` names versions to prefer over
    /// higher ones, as long as they are offered.
    pub fn new(scheme: Scheme, shelves: Vec<&'u Shelf>, pins: BTreeMap<&'u str, &'u str>) -> Self {
        Self { scheme, shelves, pins, modules: Modules::default() }
    }

    /// The same without the packages that modules hide.
    #[must_use]
    pub fn with_modules(mut self, modules: Modules) -> Self {
        self.modules = modules;
        self
    }

    /// Whose rules its versions follow.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Its shelves, in order.
    pub fn shelves(&self) -> &[&'u Shelf] {
        &self.shelves
    }

    /// All offers of a package: the pinned version first, then from high to low.
    pub fn offers(&self, name: &str) -> Vec<Offer<'u>> {
        let mut offers: Vec<Offer<'u>> = self
            .shelves
            .iter()
            .flat_map(|shelf| shelf.index.find(name).map(move |package| Offer { package, shelf }))
            .filter(|offer| !self.modules.hides(&offer.package))
            .collect();
        let pin = self.pins.get(name);
        offers.sort_by(|a, b| {
            let pinned = |offer: &Offer<'_>| pin.is_some_and(|pin| *pin == offer.package.version);
            pinned(b).cmp(&pinned(a)).then_with(|| self.scheme.compare(b.package.version, a.package.version))
        });
        offers
    }

    /// The offer of a package that would be installed by its name: what apt calls its candidate.
    pub fn candidate(&self, name: &str) -> Option<Offer<'u>> {
        self.offers(name).into_iter().next()
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

/// The path of a package below the source's base, from its location in the repository `part`: old repositories have their
/// packages in a pool beside themselves (`../../pool/…`). `None` for one that leads out of the source.
fn joined(part: &str, location: &str) -> Option<String> {
    let mut path: Vec<&str> = part.split('/').filter(|element| !matches!(*element, "" | ".")).collect();
    for element in location.split('/') {
        match element {
            "." => {}
            ".." => drop(path.pop()?),
            "" => return None,
            name => path.push(name),
        }
    }
    let path = path.join("/");
    is_safe_path(&path).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_packages() {
        for (part, location, expected) in [
            ("os/x86_64", "Packages/a-1-1.noarch.rpm", Some("os/x86_64/Packages/a-1-1.noarch.rpm")),
            ("repos/kubernetes-el7-x86_64", "../../pool/ab-kubelet.rpm", Some("pool/ab-kubelet.rpm")),
            (".", "./a.rpm", Some("a.rpm")),
            ("os", "../../a.rpm", None),
            ("os", "/etc/a.rpm", None),
            ("os", "a?b.rpm", None),
            ("os", "..", None),
        ] {
            assert_eq!(joined(part, location).as_deref(), expected, "{part} {location}");
        }
    }
}
