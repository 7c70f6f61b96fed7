//! Repositories on mirrors: layouts, compressions, signatures, and every fault that ends in the next mirror or in a clear error.

use std::process::Command;

use khimg::catalog::{Source, YumSigned};
use khimg::exit::{Exit, Explain};
use khimg::lock::{Lock, Proof};

use super::tree::{Rpms, Tree, run};
use super::{bench, resolve, told};
use crate::apt::Bench;
use crate::apt::archive::Key;
use crate::support::empty;
use crate::support::fault::Fault;
use crate::support::mirror::Mirror;

const APP: &[(&str, Option<&str>)] = &[("app", None)];

fn rpms() -> Rpms {
    Rpms::build(&[("app", "1-1", "Requires: lib"), ("lib", "1-1", "arch: noarch"), ("lib", "2-1", "arch: noarch")])
}

/// One repository, `os`, signed by the shared key.
fn tree(how: &[&str]) -> Tree {
    let tree = Tree::new();
    tree.repository("os", &rpms().files(), how);
    tree.sign("os", Key::shared());
    tree
}

fn bench_on(mirrors: &[&str]) -> Bench {
    let named: Vec<(&str, &str)> = ["first", "second"].into_iter().zip(mirrors.iter().copied()).collect();
    bench(&["os"], YumSigned::Metadata, &[], &named)
}

fn names(bench: &Bench) -> Vec<String> {
    let resolution = resolve(bench, APP).unwrap_or_else(|error| panic!("{}", told(&error)));
    resolution.packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect()
}

#[test]
fn the_signature_of_the_list_leads_to_each_package() {
    let tree = tree(&[]);
    let mirror = Mirror::serving(tree.root());
    let resolution = resolve(&bench_on(&[mirror.url()]), APP).expect("resolved");
    let proof = Proof::Signature(Key::shared().fingerprint.clone());
    assert_eq!((&resolution.repositories[0].suite, &resolution.repositories[0].proof), (&"os".to_owned(), &proof));
    let app = &resolution.packages[0];
    let file = std::fs::read(tree.root().join(&app.path)).expect("the package");
    assert_eq!((app.size, app.sha256), (file.len() as u64, khimg::digest::Digest::of(&file)));
    assert_eq!((&app.proof, app.arch.as_str(), resolution.packages[1].arch.as_str()), (&proof, "x86_64", "noarch"));
}

#[test]
fn takes_whatever_compression_there_is() {
    for how in [
        &["--general-compress-type=gz", "--no-database"][..],
        &["--general-compress-type=xz", "--no-database"],
        &["--database"],
    ] {
        let tree = tree(how);
        let mirror = Mirror::serving(tree.root());
        assert_eq!(names(&bench_on(&[mirror.url()])), ["app 1-1", "lib 2-1"], "{how:?}");
    }
    // createrepo_c of Debian 12 does not write zstd; that of Fedora and EL10 does.
    let tree = tree(&["--no-database"]);
    let plain = run(Command::new("zcat").arg(tree.root().join(tree.list("os", "primary"))));
    let zstd = zstd::encode_all(plain.as_bytes(), 3).expect("compressed");
    tree.replace_list("os", "primary.xml.zst", &zstd);
    tree.sign("os", Key::shared());
    let mirror = Mirror::serving(tree.root());
    assert_eq!(names(&bench_on(&[mirror.url()])), ["app 1-1", "lib 2-1"]);
}

#[test]
fn a_warm_store_asks_for_the_signed_list_only() {
    let tree = tree(&[]);
    let mirror = Mirror::serving(tree.root());
    let bench = bench_on(&[mirror.url()]);
    let cold = resolve(&bench, APP).expect("cold");
    let asked = mirror.log().len();
    assert_eq!(resolve(&bench, APP).expect("warm"), cold);
    let again: Vec<_> = mirror.log().into_iter().skip(asked).map(|hit| hit.path).collect();
    assert_eq!(again, ["os/repodata/repomd.xml", "os/repodata/repomd.xml.asc"]);
}

/// The first yum repository of Kubernetes keeps its packages in a pool beside the repository.
#[test]
fn packages_may_lie_beside_their_repository() {
    let tree = Tree::new();
    tree.pooled("repos/kubernetes-el7-x86_64", "pool", &rpms().files());
    let part = "repos/kubernetes-el7-{machine}";
    tree.sign("repos/kubernetes-el7-x86_64", Key::shared());
    let mirror = Mirror::serving(tree.root());
    let bench = bench(&[part], YumSigned::Metadata, &[], &[("first", mirror.url())]);
    let resolution = resolve(&bench, APP).expect("resolved");
    assert_eq!(resolution.packages[0].path, "pool/app-1-1.x86_64.rpm");
    assert_eq!(resolution.repositories[0].suite, "repos/kubernetes-el7-x86_64");
}

/// What spoils a mirror, and what is said of it. Each is tried alone and in front of a good mirror.
#[test]
fn every_fault_ends_at_the_next_mirror_or_in_an_error() {
    let shared = Key::shared();
    let repomd = "os/repodata/repomd.xml";
    let resigned = |tree: &Tree, change: &dyn Fn(String) -> String| {
        let text = change(tree.read(repomd));
        tree.write(repomd, &text);
        tree.sign("os", shared);
    };
    let in_days = |text: String, days: i64| {
        let time = khimg::clock::now().as_second() + days * 86400;
        let mut dated = String::new();
        for line in text.lines() {
            let name = ["revision", "timestamp"].into_iter().find(|name| line.contains(&format!("<{name}>")));
            dated += &name.map_or_else(|| line.to_owned(), |name| format!("<{name}>{time}</{name}>"));
            dated.push('\n');
        }
        dated
    };
    type Spoil<'a> = Box<dyn Fn(&Tree, &Mirror) + 'a>;
    let table: Vec<(&str, Spoil<'_>, Exit, &str)> = vec![
        (
            "unsigned",
            Box::new(|t, _| t.remove("os/repodata/repomd.xml.asc")),
            Exit::Verification,
            "has no signature beside it",
        ),
        ("gone", Box::new(|t, _| t.remove(repomd)), Exit::Network, "404"),
        ("other key", Box::new(|t, _| t.sign("os", Key::other())), Exit::Verification, &Key::other().fingerprint),
        (
            "changed after it was signed",
            Box::new(|t, _| t.write(repomd, &t.read(repomd).replace("<size>", "<size >"))),
            Exit::Verification,
            "does not fit the text",
        ),
        (
            "rolled back",
            Box::new(|t, _| resigned(t, &|text| in_days(text, -30))),
            Exit::Verification,
            "older than the one of",
        ),
        ("future", Box::new(|t, _| resigned(t, &|text| in_days(text, 1))), Exit::Verification, "in the future"),
        (
            "no list",
            Box::new(|t, _| resigned(t, &|text| text.replace("\"primary\"", "\"secondary\""))),
            Exit::Verification,
            "names no primary",
        ),
        (
            "weak digests",
            Box::new(|t, _| {
                t.index("os", &["--checksum=sha1"]);
                t.sign("os", shared);
            }),
            Exit::Verification,
            "proves primary by sha1, and not by SHA-256",
        ),
        (
            "list of wrong bytes",
            Box::new(|t, m| {
                m.fault(&t.list("os", "primary"), Fault::wrong_bytes());
            }),
            Exit::Verification,
            "primary.xml.gz",
        ),
        (
            "list cut off",
            Box::new(|t, m| {
                m.fault(&t.list("os", "primary"), Fault::truncated());
            }),
            Exit::Network,
            "primary.xml.gz",
        ),
        (
            "list that is none",
            Box::new(|t, _| {
                t.replace_list("os", "primary.xml", b"<metadata><package type=\"rpm\"><name>a</name>");
                t.sign("os", shared);
            }),
            Exit::Verification,
            "it ends too early",
        ),
        (
            "list that grows without end",
            Box::new(|t, _| {
                // 64 MiB of one comment: more than a piece may have, in a file of a few kilobytes.
                let bomb = format!("<metadata><!-- {}", " ".repeat(64 << 20));
                let small = zstd::encode_all(bomb.as_bytes(), 3).expect("compressed");
                t.replace_list("os", "primary.xml.zst", &small);
                t.sign("os", shared);
            }),
            Exit::Verification,
            "a piece has more than",
        ),
        (
            "list that is larger than it says",
            Box::new(|t, _| {
                resigned(t, &|text| {
                    let open = text.find("<open-size>").expect("a size");
                    let end = text[open..].find("</open-size>").expect("an end") + open;
                    format!("{}<open-size>100{}", &text[..open], &text[end..])
                });
            }),
            Exit::Verification,
            "more than 100 bytes when decompressed",
        ),
    ];
    let good = tree(&[]);
    let healthy = Mirror::serving(good.root());
    for (fault, spoil, exit, said) in table {
        let bad_tree = tree(&[]);
        let bad = Mirror::serving(bad_tree.root());
        spoil(&bad_tree, &bad);
        let mut alone = bench_on(&[bad.url()]);
        alone.previous = Some(seen_at(-86400));
        let error = resolve(&alone, APP).expect_err(fault);
        let text = told(&error);
        assert_eq!(error.exit(), exit, "{fault}: {text}");
        assert!(text.contains(said) && text.contains("first (http://127.0.0.1"), "{fault}: {text}");

        let mut both = bench_on(&[bad.url(), healthy.url()]);
        both.previous = Some(seen_at(-86400));
        assert_eq!(names(&both), ["app 1-1", "lib 2-1"], "{fault}");
        assert!(both.told.text().contains("note: "), "{fault}");
    }
}

/// A lock that has seen the repository as it was so many seconds from now.
fn seen_at(seconds: i64) -> Lock {
    let date = khimg::clock::now() + jiff::SignedDuration::from_secs(seconds);
    let state =
        khimg::lock::Repository { source: "test".to_owned(), suite: "os".to_owned(), date, proof: Proof::Unsigned };
    Lock { repositories: vec![state], ..empty::lock() }
}

#[test]
fn a_key_that_the_mirror_publishes_counts_if_it_is_pinned() {
    let tree = tree(&[]);
    tree.write("os/repodata/repomd.xml.key", &String::from_utf8(Key::shared().public()).expect("text"));
    let mirror = Mirror::serving(tree.root());
    let mut bench = bench_on(&[mirror.url()]);
    bench.catalog.keys.clear();
    let Some(Source::Yum(source)) = bench.catalog.sources.get_mut("test") else { panic!("no source") };
    source.keys.clear();
    source.key_path = Some("os/repodata/repomd.xml.key".to_owned());
    assert_eq!(names(&bench), ["app 1-1", "lib 2-1"]);
    tree.write("os/repodata/repomd.xml.key", &String::from_utf8(Key::other().public()).expect("text"));
    tree.sign("os", Key::other());
    assert_eq!(resolve(&bench, APP).expect_err("refused").exit(), Exit::Verification);
}

#[test]
fn both_architectures_of_one_repository() {
    let tree = Tree::new();
    let rpms = rpms();
    let mut files = rpms.files();
    let arm = Rpms::build_for("aarch64", &[("app", "3-1", "Requires: lib")]);
    files.extend(arm.files());
    tree.repository("os", &files, &[]);
    tree.sign("os", Key::shared());
    let mirror = Mirror::serving(tree.root());
    let bench = bench_on(&[mirror.url()]);
    assert_eq!(names(&bench), ["app 1-1", "lib 2-1"]);
    let arm = khimg::target::Target { arch: khimg::arch::Arch::Arm64, ..super::target() };
    let resolution = bench.resolve_all(&crate::apt::requirements_on(arm, "1.20.2", APP)).expect("resolved");
    let found: Vec<_> = resolution.packages.iter().map(|p| (p.version.as_str(), p.arch.as_str())).collect();
    assert_eq!(found, [("3-1", "aarch64"), ("2-1", "noarch")]);
}

#[test]
fn a_lock_keeps_what_is_still_offered() {
    let tree = tree(&[]);
    let mirror = Mirror::serving(tree.root());
    let mut bench = bench_on(&[mirror.url()]);
    let old = resolve(&bench, &[("lib", Some("1-1"))]).expect("resolved");
    bench.previous =
        Some(old.into_lock(&crate::apt::requirements_on(super::target(), "1.20.2", &[("lib", Some("1-1"))]), None));
    assert_eq!(names(&bench), ["app 1-1", "lib 1-1"]);
    bench.upgrade = khimg::resolve::Upgrade::Everything;
    assert_eq!(names(&bench), ["app 1-1", "lib 2-1"]);
    let error = resolve(&bench, &[("lib", Some("7*"))]).expect_err("not offered");
    assert!(
        told(&error).contains("package lib is not offered in version \"7*\", only in 2-1, 1-1"),
        "{}",
        told(&error)
    );
    let error = resolve(&bench, &[("libb", None)]).expect_err("not offered");
    assert!(told(&error).contains("no source offers the package \"libb\""), "{}", told(&error));
}
