//! A cluster file, and the schema by which cloud-init's files are checked.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use khimg::catalog::{self, Catalog};
use khimg::cluster;
use libfuzzer_sys::fuzz_target;

static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| catalog::load(None).unwrap_or_else(|problems| panic!("{problems}")));

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(problems) = cluster::parse("cluster.yaml", text, Path::new("/nonexistent"), &CATALOG) {
        // Showing them is half of the work.
        assert!(!problems.to_string().is_empty());
    }
});
