//! rpm repositories: signatures, lists, closures compared with dnf.

mod closure;
mod repository;
mod signature;
pub mod tree;
mod versions;

use std::collections::BTreeMap;

use khimg::arch::Arch;
use khimg::catalog::system::Base;
use khimg::catalog::{Family, Source, System, YumSigned, YumSource};
use khimg::resolve::{Resolution, ResolveError};
use khimg::target::Target;

use crate::apt::archive::Key;
use crate::apt::{Bench, requirements_on};

pub fn target() -> Target {
    Target { os: "rocky-9".to_owned(), arch: Arch::Amd64 }
}

/// A bench with one operating system, `rocky-9`, whose only source has these repositories and is signed by the shared key.
pub fn bench(repositories: &[&str], signed: YumSigned, base: &[&str], mirrors: &[(&str, &str)]) -> Bench {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>();
    let system = System {
        family: Family::Rhel,
        codename: "9".to_owned(),
        distribution: "rocky".to_owned(),
        el: "9".to_owned(),
        sources: vec!["test".to_owned()],
        sources_on: BTreeMap::new(),
        base: Base { priorities: Vec::new(), packages: owned(base) },
        rehearsal: Vec::new(),
        image: None,
    };
    let source = YumSource {
        repositories: owned(repositories),
        signed,
        fingerprints: vec![Key::shared().fingerprint.clone()],
        keys: vec!["key".to_owned()],
        key_path: None,
        frozen: false,
        mirrors: mirrors.iter().map(|(name, base)| ((*name).to_owned(), (*base).to_owned())).collect(),
    };
    let mut bench = Bench::of("rocky-9", system, [("test".to_owned(), Source::Yum(source))].into());
    bench.catalog.keys.insert("key".to_owned(), Key::shared().public());
    bench
}

/// Resolves the packages that role `lb` asks for.
pub fn resolve(bench: &Bench, packages: &[(&str, Option<&str>)]) -> Result<Resolution, ResolveError> {
    bench.resolve_all(&requirements_on(target(), "1.20.2", packages))
}

/// The whole error as a user reads it.
pub fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
