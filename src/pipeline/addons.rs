//! The bytes of the user's manifests: beside the cluster file, or in the store.

use std::collections::BTreeMap;

use super::{Error, Project};
use crate::cluster::addon::LIMIT;
use crate::lock::Lock;

/// Name in the cluster file → bytes.
type Addons = BTreeMap<String, Vec<u8>>;

/// All of them, as the lock pins them.
pub(super) fn locked(project: &Project, lock: &Lock) -> Result<Addons, Error> {
    let mut addons = Addons::new();
    for addon in &project.cluster.addons {
        let pinned = lock.addons.iter().find(|pinned| pinned.name == addon.name);
        let stored = pinned.map(|pinned| project.store.get(&pinned.sha256)).transpose()?.flatten();
        let bytes = match (&addon.text, stored) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(blob)) => blob.read(LIMIT)?,
            (None, None) => continue,
        };
        addons.insert(addon.name.clone(), bytes);
    }
    Ok(addons)
}

/// The same before anything is fetched: what is not there yet has a stand-in that says so.
pub(super) fn for_a_look(project: &Project, lock: &Option<Lock>) -> Result<Addons, Error> {
    let mut addons = match lock {
        Some(lock) => locked(project, lock)?,
        None => Addons::new(),
    };
    for addon in &project.cluster.addons {
        let text = || match &addon.text {
            Some(text) => text.clone(),
            None => format!("# The manifest of the addon {} comes here; `khimg fetch` gets it.\n", addon.name),
        };
        addons.entry(addon.name.clone()).or_insert_with(|| text().into_bytes());
    }
    Ok(addons)
}
