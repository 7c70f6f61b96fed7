//! Mirrors are transport, not identity: an ordered list of places for each source, and who may sign what they serve.

use std::collections::BTreeMap;

use url::Url;

use crate::catalog::{Catalog, Source, Vars};
use crate::cluster::{Cluster, Trust};
use crate::openpgp::{Keyring, OpenPgpError};

/// One line of the build machine's apt configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemEntry {
    /// Base URL.
    pub uri: Url,
    /// Suite, such as `bookworm-security`.
    pub suite: String,
    /// Components, such as `main`.
    pub components: Vec<String>,
}

/// One place that serves a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Name of the mirror, for messages.
    pub mirror: String,
    /// Base: a URL for files and packages, `[http://]host[:port][/namespace]` for registries.
    pub base: String,
}

/// All places of all sources, in the order of trial that a cluster wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirrors {
    order: Vec<String>,
    defined: BTreeMap<String, BTreeMap<String, String>>,
    trust: BTreeMap<String, Trust>,
    system: Vec<SystemEntry>,
}

impl Mirrors {
    /// The mirrors of `cluster`; `system` is the build machine's own apt configuration, empty where it has none.
    pub fn new(cluster: &Cluster, system: Vec<SystemEntry>) -> Self {
        Self {
            order: cluster.mirrors.clone(),
            defined: cluster.mirror_definitions.clone(),
            trust: cluster.trust.clone(),
            system,
        }
    }

    /// The keys that may sign what `source` serves: those that the user named, or else the catalogue's. `None` where the user said
    /// that it may be unsigned, and for what is no package repository.
    ///
    /// # Errors
    /// Key files that are none.
    pub fn keyring(&self, catalog: &Catalog, source: &str) -> Result<Option<Keyring>, OpenPgpError> {
        let (fingerprints, keys, frozen) = match (self.trust.get(source), catalog.sources.get(source)) {
            (Some(Trust::Unsigned), _) => return Ok(None),
            (Some(Trust::Keys { fingerprints, armored }), _) => {
                return Keyring::new(armored, fingerprints).map(Some);
            }
            (None, Some(Source::Apt(apt))) => (&apt.fingerprints, &apt.keys, apt.frozen),
            (None, Some(Source::Yum(yum))) => (&yum.fingerprints, &yum.keys, yum.frozen),
            (None, _) => return Ok(None),
        };
        let at_hand = keys.iter().filter_map(|key| catalog.keys.get(key));
        Ok(Some(Keyring::new(at_hand, fingerprints)?.frozen(frozen)))
    }

    /// Every place that serves `source`, in order of trial: for each mirror name, the user's definition or else the catalogue's.
    ///
    /// # Errors
    /// A base that names an unknown variable.
    pub fn origins(
        &self,
        catalog: &Catalog,
        source: &str,
        vars: &Vars,
    ) -> Result<Vec<Origin>, crate::catalog::vars::UnknownVariable> {
        let shipped = catalog.sources.get(source).map(Source::mirrors);
        let mut origins = Vec::new();
        for mirror in &self.order {
            let own = self.defined.get(mirror).and_then(|bases| bases.get(source));
            let Some(base) = own.or_else(|| shipped.and_then(|bases| bases.get(mirror))) else { continue };
            if base == "system" {
                origins.extend(self.system_origins(catalog, source, vars)?);
            } else {
                origins.push(Origin { mirror: mirror.clone(), base: vars.fill(base)? });
            }
        }
        Ok(origins)
    }

    fn system_origins(
        &self,
        catalog: &Catalog,
        source: &str,
        vars: &Vars,
    ) -> Result<Vec<Origin>, crate::catalog::vars::UnknownVariable> {
        let Some(Source::Apt(apt)) = catalog.sources.get(source) else { return Ok(Vec::new()) };
        let mut suites = Vec::new();
        for suite in apt.suites() {
            suites.push(vars.fill(suite)?);
        }
        let mut origins: Vec<Origin> = Vec::new();
        for entry in self.system.iter().filter(|entry| suites.contains(&entry.suite)) {
            let origin = Origin { mirror: "system".to_owned(), base: entry.uri.to_string() };
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        Ok(origins)
    }
}
