//! The catalogue and the profiles as data: consistent, complete, and what follows from them.

mod data;
mod require;
mod schema;
mod user;

use std::path::Path;

use khimg::catalog::{self, Catalog};
use khimg::cluster::{self, Cluster};

fn built_in() -> Catalog {
    catalog::load(None).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The example cluster with each of `changes` made: a text in it and what to write instead.
fn example(catalog: &Catalog, changes: &[(&str, &str)]) -> Cluster {
    let mut text = cluster::EXAMPLE.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the example has no {from:?}");
        text = text.replacen(from, to, 1);
    }
    cluster::parse("cluster.yaml", &text, Path::new("."), catalog).unwrap_or_else(|problems| panic!("{problems}"))
}
