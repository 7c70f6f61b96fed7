//! Repositories on mirrors: every way to find them, and every fault that ends in the next mirror or in a clear error.

use std::fs;

use khimg::catalog::system::Base;
use khimg::catalog::{AptLayout, AptSource};
use khimg::cluster::Trust;
use khimg::exit::{Exit, Explain};
use khimg::lock::{Lock, Proof};
use khimg::resolve::Upgrade;

use super::archive::{Archive, Key, STANZAS, dated, rfc2822, with_field};
use super::{Bench, requirements, source};
use crate::support::empty;
use crate::support::fault::Fault;
use crate::support::mirror::Mirror;

fn base() -> Base {
    Base { priorities: vec!["required".to_owned()], packages: Vec::new() }
}

/// A bench with one source on these mirrors, which the shared key signs.
fn bench(mirrors: &[&str]) -> Bench {
    bench_of(source(&[&Key::shared().fingerprint], &named(mirrors)))
}

fn bench_of(source: AptSource) -> Bench {
    let mut bench = Bench::new(&[("test", source)], base());
    bench.catalog.keys.insert("key".to_owned(), Key::shared().public());
    bench
}

fn named<'a>(urls: &[&'a str]) -> Vec<(&'static str, &'a str)> {
    ["first", "second", "third"].into_iter().zip(urls.iter().copied()).collect()
}

fn flat(fingerprints: &[&str], mirrors: &[(&str, &str)]) -> AptSource {
    AptSource { layout: AptLayout::Flat {}, ..source(fingerprints, mirrors) }
}

fn names(bench: &Bench, packages: &[(&str, Option<&str>)]) -> Vec<String> {
    let resolution = bench.resolve(packages).unwrap_or_else(|error| panic!("{error}: {error:?}"));
    resolution.packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect()
}

/// The whole error as a user reads it, with the exit code that it must have.
fn refusal(bench: &Bench, packages: &[(&str, Option<&str>)], exit: Exit) -> String {
    let error = bench.resolve(packages).expect_err("refused");
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    assert_eq!(error.exit(), exit, "{text}");
    text
}

const APP: &[(&str, Option<&str>)] = &[("app", None)];

#[test]
fn finds_both_layouts_and_both_kinds_of_signature() {
    let suite = Archive::suite(&STANZAS);
    let mirror = Mirror::serving(suite.root());
    let resolution = bench(&[mirror.url()]).resolve(APP).expect("resolved");
    let app = &resolution.packages[0];
    assert_eq!((app.name.as_str(), app.arch.as_str(), app.source.as_str()), ("app", "amd64", "test"));
    assert_eq!(app.path, "pool/main/app_1.0-1_amd64.deb");
    let file = fs::read(suite.root().join(&app.path)).expect("the package");
    assert_eq!((app.size, app.sha256), (file.len() as u64, khimg::digest::Digest::of(&file)));
    assert_eq!(app.proof, Proof::Signature(Key::shared().fingerprint.clone()));
    assert_eq!(resolution.packages[1].why[0].chain, ["app", "lib"]);
    assert_eq!(resolution.packages.len(), 2, "essential is in the base");
    assert_eq!(resolution.repositories[0].suite, "bookworm");

    suite.remove("InRelease");
    assert_eq!(names(&bench(&[mirror.url()]), APP), ["app 1.0-1", "lib 1.1-1"]);

    let flat_one = Archive::flat(&STANZAS);
    let mirror = Mirror::serving(flat_one.root());
    let bench = bench_of(flat(&[&Key::shared().fingerprint], &named(&[mirror.url()])));
    let resolution = bench.resolve(&[("app", None), ("doc", None)]).expect("resolved");
    let paths: Vec<_> = resolution.packages.iter().map(|package| package.path.as_str()).collect();
    assert_eq!(paths, ["amd64/app_1.0-1_amd64.deb", "amd64/doc_2_amd64.deb", "amd64/lib_1.1-1_amd64.deb"]);
    assert_eq!(resolution.packages[1].arch, "all");
}

#[test]
fn works_from_a_directory() {
    let archive = Archive::suite(&STANZAS);
    let url = format!("file://{}", archive.root().display());
    assert_eq!(names(&bench(&["file:///no/such/directory", &url]), APP), ["app 1.0-1", "lib 1.1-1"]);
}

#[test]
fn takes_whatever_compression_there_is() {
    for kept in [".xz", ".zst", ".gz", ""] {
        let archive = Archive::suite(&STANZAS);
        let others = [".xz", ".zst", ".gz", ""].into_iter().filter(|ending| *ending != kept);
        // Debian's archive lists the plain index and does not have it: so every other one is listed here, and gone.
        others.for_each(|ending| archive.remove(&format!("main/binary-amd64/Packages{ending}")));
        let mirror = Mirror::serving(archive.root());
        assert_eq!(names(&bench(&[mirror.url()]), APP), ["app 1.0-1", "lib 1.1-1"], "{kept:?}");
    }
}

#[test]
fn asks_for_indices_by_their_digest_where_that_is_offered() {
    let archive = Archive::suite(&STANZAS);
    archive.sign(Key::shared(), |release| with_field(&release, "Acquire-By-Hash", "yes"));
    let mirror = Mirror::serving(archive.root());
    let hits = |part: &str| mirror.log().iter().filter(|hit| hit.path.contains(part)).count();
    names(&bench(&[mirror.url()]), APP);
    assert_eq!((hits("by-hash/SHA256/"), hits("Packages.xz")), (1, 1), "the plain path comes after it");
    let index = archive.root().join("dists/bookworm/main/binary-amd64/Packages.xz");
    let digest = khimg::digest::Digest::of(&fs::read(&index).expect("the index"));
    let by_hash = format!("dists/bookworm/main/binary-amd64/by-hash/SHA256/{}", digest.hex());
    mirror.put(&by_hash, fs::read(&index).expect("the index"));
    names(&bench(&[mirror.url()]), APP);
    assert_eq!((hits("by-hash/SHA256/"), hits("Packages.xz")), (2, 1));
}

#[test]
fn a_warm_store_asks_for_the_release_file_only() {
    let archive = Archive::suite(&STANZAS);
    let mirror = Mirror::serving(archive.root());
    let bench = bench(&[mirror.url()]);
    let cold = bench.resolve(APP).expect("cold");
    let asked = mirror.log().len();
    assert_eq!(bench.resolve(APP).expect("warm"), cold);
    let again: Vec<_> = mirror.log().into_iter().skip(asked).map(|hit| hit.path).collect();
    assert_eq!(again, ["dists/bookworm/InRelease"]);
}

/// What spoils a mirror, and what is said of it. Each is tried alone and in front of a good mirror.
#[test]
fn every_fault_ends_at_the_next_mirror_or_in_an_error() {
    let shared = Key::shared();
    let tampered = |archive: &Archive| {
        archive.write("InRelease", &archive.read("InRelease").replace("Codename: bookworm", "Codename:  bookworm"));
    };
    type Spoil<'a> = Box<dyn Fn(&Archive) + 'a>;
    let table: Vec<(&str, Spoil<'_>, Exit, &str)> = vec![
        ("tampered", Box::new(tampered), Exit::Verification, "does not fit the text"),
        (
            "unsigned",
            Box::new(|a| {
                a.remove("InRelease");
                a.remove("Release.gpg");
            }),
            Exit::Verification,
            "has no signature, neither inside it nor beside it",
        ),
        ("gone", Box::new(|a| ["InRelease", "Release"].iter().for_each(|f| a.remove(f))), Exit::Network, "404"),
        ("other key", Box::new(|a| a.sign(Key::other(), |r| r)), Exit::Verification, &Key::other().fingerprint),
        (
            "text around the signed one",
            Box::new(|a| a.write("InRelease", &format!("Evil: yes\n{}", a.read("InRelease")))),
            Exit::Verification,
            "does not begin with a clear-signed message",
        ),
        (
            "text behind the signed one",
            Box::new(|a| a.write("InRelease", &format!("{}Evil: yes\n", a.read("InRelease")))),
            Exit::Verification,
            "not well-formed OpenPGP",
        ),
        (
            "a plain release file",
            Box::new(|a| a.write("InRelease", &a.read("Release"))),
            Exit::Verification,
            "clear-signed",
        ),
        (
            "signature of another text",
            Box::new(|a| {
                a.remove("InRelease");
                a.write("Release", &format!("{}Evil: yes\n", a.read("Release")));
            }),
            Exit::Verification,
            "does not fit the text",
        ),
        (
            "expired",
            Box::new(|a| a.sign(shared, |r| with_field(&dated(&r, -7200), "Valid-Until", &rfc2822(-3600)))),
            Exit::Verification,
            "valid until",
        ),
        ("future", Box::new(|a| a.sign(shared, |r| dated(&r, 86400))), Exit::Verification, "in the future"),
        ("rolled back", Box::new(|a| a.sign(shared, |r| dated(&r, -86400 * 30))), Exit::Verification, "older than"),
        (
            "other suite",
            Box::new(|a| a.sign(shared, |r| r.replace("Codename: bookworm", "Codename: trixie"))),
            Exit::Verification,
            "is of suite stable / trixie, not bookworm",
        ),
        (
            "index not listed",
            Box::new(|a| a.sign(shared, |r| r.replace("main/binary-amd64", "main/binary-i386"))),
            Exit::Verification,
            "lists no main/binary-amd64/Packages",
        ),
        (
            "index of wrong bytes",
            Box::new(|a| {
                ["", ".gz", ".xz", ".zst"].iter().for_each(|e| a.write(&format!("main/binary-amd64/Packages{e}"), "x"))
            }),
            Exit::Verification,
            "main/binary-amd64/Packages",
        ),
        (
            "malformed index",
            Box::new(|a| {
                let index = a.read("main/binary-amd64/Packages").replacen("Size:", "Sise:", 1);
                a.replace_index(&index);
            }),
            Exit::Verification,
            "line 1: the stanza has no Size",
        ),
    ];
    let good = Archive::suite(&STANZAS);
    let healthy = Mirror::serving(good.root());
    for (fault, spoil, exit, said) in table {
        let archive = Archive::suite(&STANZAS);
        spoil(&archive);
        let bad = Mirror::serving(archive.root());
        let mut alone = bench(&[bad.url()]);
        alone.previous = Some(seen_at(-86400));
        let text = refusal(&alone, APP, exit);
        assert!(text.contains(said) && text.contains("first (http://127.0.0.1"), "{fault}: {text}");

        let mut both = bench(&[bad.url(), healthy.url()]);
        both.previous = Some(seen_at(-86400));
        assert_eq!(names(&both, APP), ["app 1.0-1", "lib 1.1-1"], "{fault}");
        let told = both.told.text();
        // An index comes from wherever it may be had: that is noted by the download itself.
        assert!(told.contains("note: ") && (told.contains(said) || fault == "index of wrong bytes"), "{fault}: {told}");
    }
}

/// A lock that has seen the repository as it was so many seconds from now.
fn seen_at(seconds: i64) -> Lock {
    let date = khimg::clock::now() + jiff::SignedDuration::from_secs(seconds);
    let state = khimg::lock::Repository {
        source: "test".to_owned(),
        suite: "bookworm".to_owned(),
        date,
        proof: Proof::Unsigned,
    };
    Lock { repositories: vec![state], ..empty::lock() }
}

#[test]
fn faults_of_the_network_end_at_the_next_mirror() {
    let archive = Archive::suite(&STANZAS);
    let index = "dists/bookworm/main/binary-amd64/Packages.xz";
    let table: [(&str, &str, Fault); 8] = [
        ("unavailable", "dists/bookworm/InRelease", Fault::unavailable()),
        ("endless redirect", "dists/bookworm/InRelease", Fault::endless_redirect()),
        ("truncated release file", "dists/bookworm/InRelease", Fault::truncated()),
        ("unavailable index", index, Fault::unavailable()),
        ("truncated index", index, Fault::truncated()),
        ("index too long", index, Fault::too_long()),
        ("index of wrong bytes", index, Fault::wrong_bytes()),
        ("no index", index, Fault::not_found()),
    ];
    for (fault, path, kind) in table {
        let (bad, good) = (Mirror::serving(archive.root()), Mirror::serving(archive.root()));
        bad.fault(path, kind);
        assert_eq!(names(&bench(&[bad.url(), good.url()]), APP), ["app 1.0-1", "lib 1.1-1"], "{fault}");
    }
}

#[test]
fn an_index_that_expands_beyond_its_size_is_refused() {
    let archive = Archive::suite(&STANZAS);
    // The release file says that the plain index has one byte; the compressed one is as it was.
    archive.sign(Key::shared(), |release| {
        let lines = release.lines().map(|line| match line.strip_suffix(" main/binary-amd64/Packages") {
            Some(line) => {
                format!("{} 1 main/binary-amd64/Packages\n", line.split_whitespace().next().expect("a digest"))
            }
            None => format!("{line}\n"),
        });
        lines.collect::<String>().replace("\n0", "\n 0")
    });
    let release = archive.read("Release");
    let fixed: String = release
        .lines()
        .map(|line| {
            if line.contains(" 1 main/binary-amd64/Packages") {
                format!(" {}\n", line.trim())
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    archive.sign(Key::shared(), |_| fixed.clone());
    let mirror = Mirror::serving(archive.root());
    let text = refusal(&bench(&[mirror.url()]), APP, Exit::Verification);
    assert!(text.contains("more than 1 bytes when decompressed"), "{text}");
}

#[test]
fn an_unsigned_repository_needs_the_users_word() {
    let archive = Archive::suite(&STANZAS);
    archive.remove("InRelease");
    archive.remove("Release.gpg");
    let mirror = Mirror::serving(archive.root());
    let mut bench = bench(&[mirror.url()]);
    bench.trust.insert("test".to_owned(), Trust::Unsigned);
    let resolution = bench.resolve(APP).expect("trusted");
    assert!(resolution.packages.iter().all(|package| package.proof == Proof::Unsigned));
    assert_eq!(resolution.repositories[0].proof, Proof::Unsigned);
    assert!(bench.told.text().contains("warning: repository test bookworm: its signature is not checked"));
    // The same where there is nothing but a file that somebody signed.
    archive.sign(Key::other(), |release| release);
    archive.remove("Release");
    assert_eq!(names(&bench, APP), ["app 1.0-1", "lib 1.1-1"]);
}

#[test]
fn the_users_keys_replace_those_of_the_catalogue() {
    let archive = Archive::suite(&STANZAS);
    archive.sign(Key::other(), |release| release);
    let mirror = Mirror::serving(archive.root());
    let mut bench = bench(&[mirror.url()]);
    let trust = Trust::Keys {
        fingerprints: vec![Key::other().fingerprint.to_lowercase()],
        armored: vec![String::from_utf8(Key::other().public()).expect("text")],
    };
    bench.trust.insert("test".to_owned(), trust);
    let resolution = bench.resolve(APP).expect("trusted");
    assert_eq!(resolution.packages[0].proof, Proof::Signature(Key::other().fingerprint.clone()));
    archive.sign(Key::shared(), |release| release);
    let text = refusal(&bench, APP, Exit::Verification);
    assert!(text.contains("this key is not pinned"), "{text}");
}

#[test]
fn a_key_on_the_mirror_counts_only_if_it_is_pinned() {
    let archive = Archive::suite(&STANZAS);
    let mirror = Mirror::serving(archive.root());
    let source = || AptSource {
        keys: Vec::new(),
        key_path: Some("doc/key.gpg".to_owned()),
        ..source(&[&Key::shared().fingerprint], &named(&[mirror.url()]))
    };
    let text = refusal(&bench_of(source()), APP, Exit::Verification);
    assert!(text.contains("none of the pinned keys is at hand"), "{text}");
    mirror.put("doc/key.gpg", Key::other().public());
    let text = refusal(&bench_of(source()), APP, Exit::Verification);
    assert!(text.contains("none of the pinned keys is at hand"), "{text}");
    mirror.put("doc/key.gpg", Key::shared().public());
    assert_eq!(names(&bench_of(source()), APP), ["app 1.0-1", "lib 1.1-1"]);
}

#[test]
fn what_is_locked_stays_until_it_is_upgraded() {
    let old = Archive::suite(&[
        ("essential", "1", "Essential: yes\n"),
        ("app", "1.0-1", "Depends: lib\n"),
        ("lib", "1.0-1", ""),
    ]);
    let mirror = Mirror::serving(old.root());
    let mut bench = bench(&[mirror.url()]);
    let requirements = requirements("1.20.2", APP);
    let lock = bench.resolve_all(&requirements).expect("resolved").into_lock(&requirements, None);
    assert!(lock.satisfies(&requirements));

    let new = Archive::suite(&STANZAS);
    let mirror = Mirror::serving(new.root());
    bench.catalog.sources.insert(
        "test".to_owned(),
        khimg::catalog::Source::Apt(source(&[&Key::shared().fingerprint], &named(&[mirror.url()]))),
    );
    bench.previous = Some(lock);
    assert_eq!(names(&bench, APP), ["app 1.0-1", "lib 1.0-1"], "still offered, so nothing changes");
    bench.upgrade = Upgrade::Component("other".to_owned());
    assert_eq!(names(&bench, APP), ["app 1.0-1", "lib 1.0-1"]);
    for upgrade in [Upgrade::Component("app".to_owned()), Upgrade::Everything] {
        bench.upgrade = upgrade;
        assert_eq!(names(&bench, APP), ["app 1.0-1", "lib 1.1-1"]);
    }
}

#[test]
fn no_mirror_is_an_error_that_says_so() {
    let bench = bench_of(source(&[&Key::shared().fingerprint], &[("elsewhere", "http://127.0.0.1:1/")]));
    let text = refusal(&bench, APP, Exit::Network);
    assert_eq!(text, "none of the chosen mirrors serves the repository test bookworm");
}

#[test]
fn packages_that_do_not_come_together() {
    let archive = Archive::suite(&[
        ("essential", "1", "Essential: yes\n"),
        ("needs-newer-base", "1", "Depends: essential (>= 2)\n"),
        ("hostile", "1", "Conflicts: essential\n"),
        ("broken", "1", "Depends: middle\n"),
        ("middle", "1", "Depends: no-such-package (>= 3) | old (>= 2)\n"),
        ("old", "1", ""),
        ("chooser", "1", "Depends: hostile | middle | fallback\n"),
        ("fallback", "1", ""),
        ("exact", "1", "Depends: old-cni (= 0.7)\n"),
        ("old-cni", "0.7", ""),
        ("old-cni", "0.8", ""),
        ("virtual-user", "1", "Depends: some-virtual\n"),
        ("provider-a", "1", "Provides: some-virtual\n"),
        ("provider-b", "1", "Provides: some-virtual\nPriority: important\n"),
        ("versioned-user", "1", "Depends: some-virtual (>= 1)\n"),
        ("round", "1", "Depends: about\n"),
        ("about", "1", "Depends: round\n"),
    ]);
    let mirror = Mirror::serving(archive.root());
    let bench = bench(&[mirror.url()]);
    for (package, version, exit, said) in [
        ("brokn", None, Exit::BadInput, "no source offers the package \"brokn\" that brokn asks for; there is broken"),
        ("some-virtual", None, Exit::BadInput, "there is provider-b, provider-a"),
        ("old-cni", Some("0.9*"), Exit::Unsupported, "old-cni is not offered in version \"0.9*\", only in 0.8, 0.7"),
        ("needs-newer-base", None, Exit::Unsupported, "essential (>= 2) is not offered, only 1"),
        ("hostile", None, Exit::Unsupported, "package hostile 1 conflicts with essential in the base system"),
        (
            "broken",
            None,
            Exit::Unsupported,
            "broken → middle needs no-such-package (>= 3) | old (>= 2), which cannot be had: \
             nothing offers no-such-package (>= 3); old (>= 2) is not offered, only 1",
        ),
        ("versioned-user", None, Exit::Unsupported, "nothing offers some-virtual (>= 1)"),
    ] {
        let text = refusal(&bench, &[(package, version)], exit);
        assert!(text.contains(said), "{package}: {text}");
    }
    assert_eq!(names(&bench, &[("chooser", None)]), ["chooser 1", "fallback 1"], "the first alternative that works");
    assert_eq!(
        names(&bench, &[("exact", None)]),
        ["exact 1", "old-cni 0.7"],
        "an older one where the newest does not fit"
    );
    assert_eq!(names(&bench, &[("virtual-user", None)]), ["provider-b 1", "virtual-user 1"], "the higher priority");
    assert_eq!(names(&bench, &[("virtual-user", None), ("provider-a", None)]), ["provider-a 1", "virtual-user 1"]);
    assert_eq!(names(&bench, &[("round", None)]), ["about 1", "round 1"]);
    assert_eq!(names(&bench, &[("essential", None)]), [""; 0], "what the base has is not carried");
}

#[test]
fn the_patch_is_the_highest_that_all_packages_have() {
    let stanzas: Vec<(&str, &str, &str)> = [
        ("kubeadm", "1.20.2-00"),
        ("kubeadm", "1.20.10-00"),
        ("kubeadm", "1.20.15-00"),
        ("kubeadm", "1.21.1-00"),
        ("kubelet", "1.20.2-00"),
        ("kubelet", "1.20.10-00"),
        ("kubelet", "1.20.10-01"),
        ("kubelet", "1.21.1-00"),
    ]
    .into_iter()
    .map(|(name, version)| (name, version, ""))
    .collect();
    let archive = Archive::flat(&stanzas);
    let mirror = Mirror::serving(archive.root());
    let mut bench = bench_of(flat(&[&Key::shared().fingerprint], &named(&[mirror.url()])));
    bench.catalog.systems.get_mut("debian-12").expect("there").base =
        Base { priorities: Vec::new(), packages: Vec::new() };
    let wanted = [("kubeadm", Some("{kubernetes}-*")), ("kubelet", Some("{kubernetes}-*"))];
    let resolved = |request: &str, bench: &Bench| {
        let resolution = bench.resolve_all(&requirements(request, &wanted)).expect("resolved");
        let versions: Vec<_> = resolution.packages.iter().map(|package| package.version.clone()).collect();
        (resolution.kubernetes.map(|version| version.to_string()).unwrap_or_default(), versions.join(" "))
    };
    let pair = |version: &str, packages: &str| (version.to_owned(), packages.to_owned());
    assert_eq!(resolved("1.20", &bench), pair("1.20.10", "1.20.10-00 1.20.10-01"));
    assert_eq!(resolved("1.20.2", &bench), pair("1.20.2", "1.20.2-00 1.20.2-00"));
    let error = bench.resolve_all(&requirements("1.20.15", &wanted)).expect_err("kubelet has it not");
    assert_eq!(error.exit(), Exit::Unsupported);
    let error = bench.resolve_all(&requirements("1.22", &wanted)).expect_err("no such minor");
    assert!(error.to_string().contains("no patch of Kubernetes 1.22 is offered for package kubeadm"), "{error}");

    // What is locked stays, as long as it is asked for.
    let old = requirements("1.20.2", &wanted);
    bench.previous = Some(bench.resolve_all(&old).expect("resolved").into_lock(&old, None));
    assert_eq!(resolved("1.20", &bench).0, "1.20.2");
    assert_eq!(resolved("1.21", &bench).0, "1.21.1");
    bench.upgrade = Upgrade::Component("kubelet".to_owned());
    assert_eq!(resolved("1.20", &bench).0, "1.20.10");
}
