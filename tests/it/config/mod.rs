//! Good and bad files, as the user sees what khimg makes of them.

mod cluster;
mod compat;
mod document;
mod report;

use std::collections::BTreeMap;

use khimg::catalog::{Catalog, Component, FileSource, Limit, RegistrySource, Source, System};
use khimg::config::{Document, Problems};
use khimg::kubernetes::Releases;
use serde::de::DeserializeOwned;

/// A catalogue of a few entries, so that these tests stay true whatever the real one comes to hold.
pub fn catalog() -> Catalog {
    Catalog {
        sources: BTreeMap::from([
            (
                "debian".to_owned(),
                Source::Apt(yaml(
                    "{layout: {suite: {suites: [bookworm], components: [main]}}, fingerprints: [], mirrors: {aliyun: 'https://mirrors.aliyun.com/debian', tuna: 'https://a.b', ustc: 'https://a.b', system: system, upstream: 'https://ftp.debian.org/debian'}}",
                )),
            ),
            ("upstream-files".to_owned(), Source::File(yaml::<FileSource>("{mirrors: {upstream: 'https://dl.k8s.io'}}"))),
            ("registry".to_owned(), Source::Registry(yaml::<RegistrySource>("{mirrors: {upstream: registry.k8s.io}}"))),
        ]),
        keys: BTreeMap::new(),
        components: BTreeMap::from([
            (
                "kubernetes".to_owned(),
                yaml::<Component>("{description: d, offers: [{source: package, version: '{kubernetes}-*'}, {source: file, version: '{kubernetes}'}]}"),
            ),
            ("containerd".to_owned(), yaml::<Component>("{description: d, offers: [{source: package, version: '*'}]}")),
            ("chrony".to_owned(), yaml::<Component>("{description: d, packages: [{name: chrony}]}")),
        ]),
        systems: BTreeMap::from([
            ("debian-12".to_owned(), system("bookworm")),
            ("debian-13".to_owned(), system("trixie")),
        ]),
        digests: BTreeMap::new(),
        kubernetes: yaml::<Releases>(
            "[{from: 1.20.0, etcd: a, coredns: b, pause: c}, {from: 1.30.0, etcd: a, coredns: b, pause: c}, {from: 1.34.0, etcd: a, coredns: b, pause: c}]",
        ),
        limits: yaml::<Limits>(
            "limits: [{when: {runtime: docker}, reason: docker is not supported yet, remedy: 'write `runtime: containerd`'}, {when: {cni: calico}, reason: calico is not supported yet, remedy: 'write `cni: flannel`'}, {when: {os: debian-13, kubernetes: '<1.34'}, reason: Debian 13 is too new for it, remedy: 'write `kubernetes: 1.34`'}]",
        )
        .limits,
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Limits {
    limits: Vec<Limit>,
}

fn system(codename: &str) -> System {
    yaml(&format!(
        "{{family: debian, codename: {codename}, sources: [debian], base: {{priorities: [], packages: []}}}}"
    ))
}

fn yaml<T: DeserializeOwned + schemars::JsonSchema>(text: &str) -> T {
    let decoded: Result<T, Problems> = Document::parse("catalogue", text).and_then(|document| document.decode());
    decoded.unwrap_or_else(|problems| panic!("{problems}"))
}
