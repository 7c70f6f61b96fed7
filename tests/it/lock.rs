//! khimg.lock: same bytes for the same content, and what is said of a lock that cannot be used.

use std::path::Path;

use crate::support::empty;
use jiff::Timestamp;
use khimg::arch::Arch;
use khimg::catalog::component::Install;
use khimg::cluster::Role;
use khimg::digest::Digest;
use khimg::exit::{Exit, Explain};
use khimg::lock::{self, Blob, File, Image, Lock, LockError, Package, Proof, Repository, Why, Written};
use khimg::target::Target;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

/// Texts that a careless YAML writer would turn into something else.
const TRICKY: &[&str] = &[
    "1.34",
    "1e3",
    "0x10",
    "0o7",
    "~",
    "null",
    "yes",
    "no",
    "on",
    "true",
    "",
    " a",
    "a ",
    "- a",
    "a: b",
    "a #b",
    "#",
    "'",
    "\"",
    "&a",
    "*a",
    "!a",
    "%a",
    "@a",
    "`a",
    "{a",
    "[a",
    ">",
    "|",
    "1_000",
    "2020-01-01",
    ".inf",
    "0:1",
    "?",
    ",",
    "5:20.10.24~3-0~debian-bookworm",
    "1:2",
    "\n",
    "\n\n",
    "a\n\n",
    "a\nb",
    "\t",
    "→",
];

/// Any text, and often a tricky one.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![proptest::sample::select(TRICKY).prop_map(str::to_owned), "[ -~]{0,20}", "\\PC{0,8}"]
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<u64>().prop_map(|seed| Digest::of(&seed.to_le_bytes()))
}

fn role() -> impl Strategy<Value = Role> {
    proptest::sample::select(&Role::ALL[..])
}

fn arch() -> impl Strategy<Value = Arch> {
    prop_oneof![Just(Arch::Amd64), Just(Arch::Arm64)]
}

fn proof() -> impl Strategy<Value = Proof> {
    prop_oneof![
        text().prop_map(Proof::Signature),
        Just(Proof::Catalogue),
        text().prop_map(Proof::Publisher),
        Just(Proof::Tag),
        Just(Proof::Unsigned)
    ]
}

fn why() -> impl Strategy<Value = Vec<Why>> {
    let one = (role(), text(), vec(text(), 0..3)).prop_map(|(role, component, chain)| Why { role, component, chain });
    vec(one, 0..3)
}

fn package() -> impl Strategy<Value = Package> {
    let target = (text(), arch()).prop_map(|(os, arch)| Target { os, arch });
    (target, vec(text(), 5), any::<u64>(), digest(), proof(), why()).prop_map(
        |(target, texts, size, sha256, proof, why)| {
            let [name, version, arch, source, path] = texts.try_into().expect("five");
            Package { target, name, version, arch, size, sha256, source, path, proof, why }
        },
    )
}

fn file() -> impl Strategy<Value = File> {
    let install = prop_oneof![
        text().prop_map(Install::Program),
        (text(), 0..4_usize, vec(text(), 0..3)).prop_map(|(to, strip, only)| Install::Archive { to, strip, only })
    ];
    (arch(), vec(text(), 4), option::of(any::<u64>()), digest(), install, proof(), why()).prop_map(
        |(arch, texts, size, sha256, install, proof, why)| {
            let [name, version, source, path] = texts.try_into().expect("four");
            File { arch, name, version, size, sha256, source, path, install, proof, why }
        },
    )
}

fn image() -> impl Strategy<Value = Image> {
    let blob =
        || (text(), any::<u64>(), digest()).prop_map(|(media_type, size, sha256)| Blob { media_type, size, sha256 });
    (arch(), vec(text(), 4), option::of(blob()), blob(), blob(), vec(blob(), 0..3), proof(), why()).prop_map(
        |(arch, texts, index, manifest, config, layers, proof, why)| {
            let [name, source, repository, tag] = texts.try_into().expect("four");
            Image { arch, name, source, repository, tag, index, manifest, config, layers, proof, why }
        },
    )
}

fn any_lock() -> impl Strategy<Value = Lock> {
    let repository = (text(), text(), 0..4_000_000_000_i64, proof()).prop_map(|(source, suite, second, proof)| {
        Repository { source, suite, date: Timestamp::from_second(second).expect("in range"), proof }
    });
    let kubernetes = option::of((0..99_u16, 0..99_u16));
    (
        btree_map(text(), digest(), 0..4),
        kubernetes,
        vec(repository, 0..4),
        vec(package(), 0..5),
        vec(file(), 0..5),
        vec(image(), 0..3),
    )
        .prop_map(|(inputs, kubernetes, repositories, packages, files, images)| Lock {
            version: lock::VERSION,
            inputs,
            kubernetes: kubernetes.map(|(minor, patch)| format!("1.{minor}.{patch}").parse().expect("a version")),
            repositories,
            packages,
            files,
            images,
            addons: Vec::new(),
            systems: Vec::new(),
        })
}

fn reversed(mut lock: Lock) -> Lock {
    lock.repositories.reverse();
    lock.packages.reverse();
    lock.packages.iter_mut().for_each(|package| package.why.reverse());
    lock.files.reverse();
    lock.files.iter_mut().for_each(|file| file.why.reverse());
    lock.images.reverse();
    lock.images.iter_mut().for_each(|image| image.why.reverse());
    lock
}

proptest! {
    #[test]
    fn reads_what_it_wrote(lock in any_lock()) {
        let text = lock::to_yaml(&lock).expect("writable");
        let back = lock::parse(Path::new("khimg.lock"), &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        prop_assert_eq!(lock::to_yaml(&back).expect("writable"), text);
        prop_assert_eq!(back.inputs, lock.inputs);
        prop_assert_eq!(back.kubernetes, lock.kubernetes);
    }

    #[test]
    fn order_does_not_reach_the_bytes(lock in any_lock()) {
        prop_assert_eq!(lock::to_yaml(&lock).expect("writable"), lock::to_yaml(&reversed(lock)).expect("writable"));
    }
}

#[test]
fn tricky_texts_are_kept() {
    let long = format!("{}{}", "long ".repeat(60), "end ");
    for text in TRICKY.iter().copied().chain([long.as_str()]) {
        let mut lock = empty();
        lock.packages.push(a_package(text, Role::Lb, &[text, "x", text]));
        let yaml = lock::to_yaml(&lock).expect("writable");
        assert!(yaml.ends_with('\n') && !yaml.ends_with("\n\n"), "{text:?}: {yaml}");
        assert_eq!(lock::parse(Path::new("khimg.lock"), &yaml).expect("sound"), lock, "{text:?}");
    }
}

fn empty() -> Lock {
    Lock { inputs: [("lb-debian-12-amd64".to_owned(), Digest::of(b"1"))].into(), ..empty::lock() }
}

fn a_package(name: &str, role: Role, chain: &[&str]) -> Package {
    let why =
        Why { role, component: "haproxy".to_owned(), chain: chain.iter().map(|name| (*name).to_owned()).collect() };
    Package {
        target: Target { os: "debian-12".to_owned(), arch: Arch::Amd64 },
        name: name.to_owned(),
        version: "2.6.12-1+deb12u1".to_owned(),
        arch: "amd64".to_owned(),
        size: 12,
        sha256: Digest::of(name.as_bytes()),
        source: "debian".to_owned(),
        path: format!("pool/{name}.deb"),
        proof: Proof::Signature("4D64FEC119C2029067D6E791F8D2585B8783D481".to_owned()),
        why: vec![why],
    }
}

#[test]
fn an_unchanged_lock_is_not_touched() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("khimg.lock");
    let mut lock = empty();
    lock.packages.push(a_package("haproxy", Role::Lb, &["haproxy"]));
    assert_eq!(lock::write(&path, &lock).expect("written"), Written::Changed);
    assert_eq!(lock::write(&path, &lock).expect("the same"), Written::Unchanged);
    assert_eq!(lock::read(&path).expect("sound"), lock);
    assert_eq!(std::fs::read_dir(directory.path()).expect("listed").count(), 1, "nothing is left beside the lock");
    insta::assert_snapshot!(std::fs::read_to_string(&path).expect("text"), @r"
    # Written by khimg; keep it under version control. `khimg lock` brings it up to date.
    version: 1
    inputs:
      lb-debian-12-amd64: sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b
    repositories: []
    packages:
    - target:
        os: debian-12
        arch: amd64
      name: haproxy
      version: 2.6.12-1+deb12u1
      arch: amd64
      size: 12
      sha256: sha256:cb2a39806df97f59882eba65998709e83f7b28a823e924a63dea8081d1f33eed
      source: debian
      path: pool/haproxy.deb
      proof:
        signature: 4D64FEC119C2029067D6E791F8D2585B8783D481
      why:
      - role: lb
        component: haproxy
        chain:
        - haproxy
    files: []
    images: []
    ");
}

#[test]
fn a_lock_that_cannot_be_used_says_why() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("khimg.lock");
    let say = |text: &str| {
        std::fs::write(&path, text).expect("written");
        lock::read(&path).expect_err("refused")
    };
    let good = lock::to_yaml(&empty()).expect("writable");

    let newer = say("version: 7\nsomethingNew: {a: b}\n");
    assert!(matches!(newer, LockError::Newer { found: 7, .. }), "{newer}");
    assert_eq!(newer.exit(), Exit::Lock);
    assert!(newer.to_string().contains("has format version 7, this khimg knows 1"));

    for (text, expected) in [
        (good.replace("inputs", "input"), "input"),
        (good.replace("version: 1", "version: 0"), "version 0 never was"),
        (good.replace("version: 1", "verison: 1"), "version"),
        (format!("{good}<<<<<<< ours\n"), "line"),
        (String::new(), ""),
        ("version: 1\n".to_owned(), "missing"),
    ] {
        let error = say(&text);
        assert!(matches!(error, LockError::Malformed { .. }) && error.to_string().contains(expected), "{error}");
        assert_eq!(error.exit(), Exit::Lock);
        assert!(error.hint().expect("a remedy").contains("khimg lock"));
    }

    std::fs::remove_file(&path).expect("removed");
    let missing = lock::read(&path).expect_err("none");
    assert_eq!((missing.exit(), missing.hint()), (Exit::Lock, Some("run `khimg lock`".to_owned())));
    assert_eq!(lock::read(directory.path()).expect_err("a directory").exit(), Exit::LocalIo);
}

#[test]
fn a_lock_is_written_whole_or_not_at_all() {
    let directory = tempfile::tempdir().expect("a directory");
    let error = lock::write(&directory.path().join("no/such/khimg.lock"), &empty()).expect_err("no directory");
    assert_eq!(error.exit(), Exit::LocalIo);
    let path = directory.path().join("khimg.lock");
    std::fs::create_dir(&path).expect("created");
    assert!(matches!(lock::write(&path, &empty()), Err(LockError::Write { .. })));
    assert_eq!(std::fs::read_dir(directory.path()).expect("listed").count(), 1);
}

#[test]
fn roles_are_locked_one_by_one() {
    let mut lb = empty();
    lb.packages.push(a_package("libc6", Role::Lb, &["haproxy", "libc6"]));
    lb.packages.push(a_package("haproxy", Role::Lb, &["haproxy"]));
    let mut master = empty();
    master.inputs = [("master-debian-12-amd64".to_owned(), Digest::of(b"2"))].into();
    master.kubernetes = Some("1.20.2".parse().expect("a version"));
    master.packages.push(a_package("haproxy", Role::Master, &["haproxy"]));
    let both = master.clone().with_rest_of(&lb);
    assert_eq!(both.inputs.len(), 2);
    assert_eq!(
        both.packages.iter().map(|p| (p.name.as_str(), p.why.len())).collect::<Vec<_>>(),
        [("haproxy", 2), ("libc6", 1)]
    );
    assert_eq!(both, lb.clone().with_rest_of(&master), "whichever came first");
    // What is locked anew replaces what was.
    let mut again = empty();
    again.packages.push(a_package("haproxy", Role::Lb, &["haproxy"]));
    let merged = again.with_rest_of(&both);
    assert_eq!(merged.packages.iter().map(|p| (p.name.as_str(), p.why.len())).collect::<Vec<_>>(), [("haproxy", 2)]);
    // Another Kubernetes makes the rest stale.
    let mut upgraded = lb;
    upgraded.kubernetes = Some("1.21.0".parse().expect("a version"));
    assert_eq!(upgraded.with_rest_of(&master).inputs.len(), 1);
}
