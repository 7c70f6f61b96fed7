//! From data files to a catalogue that is consistent in itself.
//!
//! The built-in files lie in `profiles/catalog/`. A directory of the user's may hold files of the same names:
//!
//! | file | what it does there |
//! |---|---|
//! | `sources.yaml`, `components.yaml`, `systems.yaml` | adds entries; one of the same name stands in for the built-in one |
//! | `digests.txt` | adds lines, which win |
//! | `kubernetes.yaml`, `limits.yaml` | stands in for the whole list |
//! | `keys/<name>` | adds keys, or stands in for one |

use std::collections::BTreeMap;
use std::path::Path;

use super::check::{self, Parts};
use super::digests::{self, Digests};
use super::shelf::{Shelf, values};
use super::{Catalog, Limit};
use crate::config::{Problem, Problems};
use crate::kubernetes::Releases;
use crate::{input, shipped};

/// The data files, in the order in which people should read them.
pub const FILES: [&str; 6] =
    ["sources.yaml", "components.yaml", "systems.yaml", "kubernetes.yaml", "digests.txt", "limits.yaml"];

/// The largest key file, in bytes: Debian's have 8,000.
const MAX_KEY: u64 = 256 * 1024;

/// The built-in catalogue with what the directory `user` changes.
///
/// # Errors
/// Everything that is wrong with any of the files, at once: files that cannot be read, values that do not fit, and references
/// from one entry to another that leads nowhere.
pub fn load(user: Option<&Path>) -> Result<Catalog, Problems> {
    let shelf = Shelf { built_in: shipped::catalog(), name: "catalog", user };
    let mut problems = Vec::new();
    shelf.strangers(&FILES, &mut problems);
    let sources = shelf.entries("sources.yaml", &mut problems);
    let components = shelf.entries("components.yaml", &mut problems);
    let systems = shelf.entries("systems.yaml", &mut problems);
    let releases = shelf.last::<Releases>("kubernetes.yaml", &mut problems);
    let limits = shelf.last::<Vec<Limit>>("limits.yaml", &mut problems);
    let mut digests = Digests::new();
    for (name, text) in shelf.texts("digests.txt", &mut problems) {
        digests::add(&mut digests, &name, &text, &mut problems);
    }
    let keys = keys(user, &mut problems);

    // References are judged only where everything that they could lead to was understood.
    if problems.is_empty() {
        let parts = Parts {
            sources: &sources,
            keys: &keys,
            components: &components,
            systems: &systems,
            digests: &digests,
            releases: releases.as_ref(),
            limits: limits.as_ref(),
        };
        problems.extend(check::check(&parts));
    }
    let catalog = Catalog {
        sources: values(sources),
        keys,
        components: values(components),
        systems: values(systems),
        digests,
        kubernetes: releases.map(|placed| placed.value).unwrap_or_default(),
        limits: limits.map(|placed| placed.value).unwrap_or_default(),
    };
    Problems::or(problems, catalog)
}

fn keys(user: Option<&Path>, problems: &mut Vec<Problem>) -> BTreeMap<String, Vec<u8>> {
    let mut keys = BTreeMap::new();
    for (path, content) in shipped::catalog() {
        if let Some(name) = path.strip_prefix("keys/") {
            keys.insert(name.to_owned(), content.to_vec());
        }
    }
    let Some(directory) = user.map(|user| user.join("keys")).filter(|directory| directory.exists()) else {
        return keys;
    };
    match read_keys(&directory) {
        Ok(own) => keys.extend(own),
        Err(problem) => problems.push(problem),
    }
    keys
}

fn read_keys(directory: &Path) -> Result<BTreeMap<String, Vec<u8>>, Problem> {
    let unreadable = |error| Problem::unreadable(directory, &error);
    let mut keys = BTreeMap::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let unreadable = |error| Problem::unreadable(&path, &error);
        let metadata = path.metadata().map_err(unreadable)?;
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| metadata.is_file()) else {
            continue;
        };
        keys.insert(name.to_owned(), input::read(&path, MAX_KEY).map_err(unreadable)?);
    }
    Ok(keys)
}
