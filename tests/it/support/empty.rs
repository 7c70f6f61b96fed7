//! What nothing was put into yet.

use std::collections::BTreeMap;

use khimg::lock::{Lock, VERSION};

/// A lock that pins nothing.
pub fn lock() -> Lock {
    Lock {
        version: VERSION,
        inputs: BTreeMap::new(),
        kubernetes: None,
        repositories: Vec::new(),
        packages: Vec::new(),
        files: Vec::new(),
        images: Vec::new(),
        addons: Vec::new(),
        systems: Vec::new(),
    }
}
