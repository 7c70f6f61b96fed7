//! Packages that prove themselves, where nobody signed what lists them.

use std::fs;
use std::path::Path;
use std::process::Command;

use khimg::catalog::{Source, YumSigned};
use khimg::cluster::Trust;
use khimg::exit::{Exit, Explain};
use khimg::fetch::{FetchError, Fetched, fetch};
use khimg::lock::{Lock, Proof};
use khimg::registry::Credentials;

use super::tree::{Rpms, Tree, run};
use super::{bench, resolve, target, told};
use crate::apt::archive::Key;
use crate::apt::{Bench, requirements_on};
use crate::support::mirror::Mirror;

/// The lock of `app` and all that it needs.
fn lock(bench: &Bench) -> Lock {
    let resolution = resolve(bench, &[("app", None)]).unwrap_or_else(|error| panic!("{}", told(&error)));
    resolution.into_lock(&requirements_on(target(), "1.20.2", &[("app", None)]), None)
}

fn fetched(bench: &Bench, lock: &Lock) -> Result<Fetched, FetchError> {
    let (mirrors, net, nobody) = (bench.mirrors(), bench.net(), Credentials::default());
    let work = fetch(lock, &bench.catalog, &mirrors, &net, &bench.store, &nobody, None);
    tokio::runtime::Runtime::new().expect("a runtime").block_on(work)
}

/// A repository whose packages went through `change` before they were listed.
fn tree(change: impl Fn(&Rpms)) -> Tree {
    let rpms =
        Rpms::build(&[("app", "2:1.0-1", "Requires: lib\nfile: /usr/share/app/data"), ("lib", "1-1", "arch: noarch")]);
    change(&rpms);
    let tree = Tree::new();
    tree.repository("os", &rpms.files(), &[]);
    tree
}

fn bench_of(mirror: &Mirror) -> Bench {
    bench(&["os"], YumSigned::Packages, &[], &[("first", mirror.url())])
}

fn refusal(bench: &Bench) -> String {
    let error = fetched(bench, &lock(bench)).map(drop).expect_err("refused");
    assert_eq!(error.exit(), Exit::Verification, "{}", told(&error));
    told(&error)
}

#[test]
fn signed_packages_prove_themselves() {
    for all in [false, true] {
        let tree = tree(|rpms| Key::shared().sign_rpms(&rpms.files(), all));
        let mirror = Mirror::serving(tree.root());
        let bench = bench_of(&mirror);
        let lock = lock(&bench);
        assert_eq!(lock.packages[0].version, "2:1.0-1");
        assert_eq!(lock.packages[0].path, "os/Packages/app-1.0-1.x86_64.rpm");
        let proof = Proof::Package(vec![Key::shared().fingerprint.clone()]);
        assert!(lock.packages.iter().all(|package| package.proof == proof) && lock.packages.len() == 2);
        assert_eq!(lock.repositories[0].proof, proof);
        assert_eq!(fetched(&bench, &lock).expect("proven").blobs().count(), 2);
        // The second time the store remembers.
        fetched(&bench, &lock).expect("proven");
    }
}

/// Old packages have one signature over header and payload, and no digest of the payload in the header: rpm before 4.14, which
/// CentOS 7 was made with.
#[test]
fn a_signature_over_header_and_payload_is_enough() {
    let tree = tree(|rpms| {
        Key::shared().sign_rpms(&rpms.files(), true);
        for file in rpms.files() {
            without_header_signature(&file);
        }
    });
    let mirror = Mirror::serving(tree.root());
    let bench = bench_of(&mirror);
    fetched(&bench, &lock(&bench)).expect("proven");
}

/// Gives the tags of signatures over the header alone a number that nobody knows.
fn without_header_signature(file: &Path) {
    let mut bytes = fs::read(file).expect("read");
    let entries = u32::from_be_bytes(bytes[104..108].try_into().expect("a word")) as usize;
    let mut found = 0;
    for at in (0..entries).map(|number| 112 + number * 16) {
        if [267_u32, 268].iter().any(|tag| bytes[at..at + 4] == tag.to_be_bytes()) {
            bytes[at..at + 4].copy_from_slice(&290_u32.to_be_bytes());
            found += 1;
        }
    }
    assert_eq!(found, 1);
    fs::write(file, bytes).expect("written");
}

#[test]
fn unsigned_packages_are_refused() {
    let tree = tree(|_| {});
    let mirror = Mirror::serving(tree.root());
    let said = refusal(&bench_of(&mirror));
    assert!(said.contains("package app 2:1.0-1 x86_64 of test is not proven: it is not signed"), "{said}");
    assert!(said.contains("package lib 1-1 noarch of test is not proven"), "both are told: {said}");
    // rpm says the same.
    let file = tree.root().join("os/Packages/app-1.0-1.x86_64.rpm");
    assert!(!run(Command::new("rpm").args(["-K", "-v"]).arg(file)).contains("Signature"));
}

#[test]
fn packages_of_another_signer_are_refused() {
    let tree = tree(|rpms| Key::other().sign_rpms(&rpms.files(), true));
    let mirror = Mirror::serving(tree.root());
    let said = refusal(&bench_of(&mirror));
    assert!(said.contains(&Key::other().fingerprint) && said.contains("not pinned"), "{said}");
}

/// The mirror made a list of its own, with the digests of what it did to the packages.
#[test]
fn changed_packages_are_refused() {
    for all in [false, true] {
        let tree = tree(|rpms| {
            Key::shared().sign_rpms(&rpms.files(), all);
            for file in rpms.files() {
                let mut bytes = fs::read(&file).expect("read");
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                fs::write(&file, bytes).expect("written");
            }
        });
        let mirror = Mirror::serving(tree.root());
        let said = refusal(&bench_of(&mirror));
        assert!(said.contains("its header is signed, but does not fit the rest of it"), "{said}");
    }
}

/// A mirror that serves a signed old package under the name of a new one, and lists it with its right digest.
#[test]
fn a_signed_package_under_another_name_is_refused() {
    let tree = tree(|rpms| Key::shared().sign_rpms(&rpms.files(), true));
    let plain = run(Command::new("zcat").arg(tree.root().join(tree.list("os", "primary"))));
    let forged = plain.replace("epoch=\"2\" ver=\"1.0\" rel=\"1\"", "epoch=\"2\" ver=\"1.9\" rel=\"1\"");
    tree.replace_list("os", "primary.xml", forged.as_bytes());
    let mirror = Mirror::serving(tree.root());
    let bench = bench_of(&mirror);
    assert_eq!(lock(&bench).packages[0].version, "2:1.9-1", "nothing proves the list");
    let said = refusal(&bench);
    assert!(
        said.contains("package app 2:1.9-1 x86_64 of test is not proven: it is app 2:1.0-1 x86_64 in truth"),
        "{said}"
    );
}

#[test]
fn the_users_word_comes_first() {
    let tree = tree(|rpms| Key::other().sign_rpms(&rpms.files(), false));
    let mirror = Mirror::serving(tree.root());
    let mut bench = bench_of(&mirror);
    let other = Key::other();
    let trust = Trust::Keys {
        fingerprints: vec![other.fingerprint.clone()],
        armored: vec![String::from_utf8(other.public()).expect("text")],
    };
    bench.trust.insert("test".to_owned(), trust);
    let mine = lock(&bench);
    fetched(&bench, &mine).expect("proven by the user's key");

    // With the catalogue's key again, the lock asks for one that nobody has.
    bench.trust.clear();
    let error = fetched(&bench, &mine).map(drop).expect_err("refused");
    assert!(told(&error).contains("no such key is at hand for test"), "{}", told(&error));

    bench.trust.insert("test".to_owned(), Trust::Unsigned);
    let unsigned = lock(&bench);
    assert!(unsigned.packages.iter().all(|package| package.proof == Proof::Unsigned));
    fetched(&bench, &unsigned).expect("as the user says");
    assert!(bench.told.text().contains("its signature is not checked, as the cluster file says"));
}

#[test]
fn an_expired_key_counts_where_the_publisher_has_stopped() {
    let key = Key::new("ed25519", "2021-01-01");
    let tree = tree(|rpms| key.sign_rpms_in_2020(&rpms.files()));
    let mirror = Mirror::serving(tree.root());
    let mut bench = bench_of(&mirror);
    bench.catalog.keys.insert("key".to_owned(), key.public());
    let frozen = |frozen, bench: &mut Bench| {
        let Some(Source::Yum(source)) = bench.catalog.sources.get_mut("test") else { panic!("no source") };
        source.fingerprints = vec![key.fingerprint.clone()];
        source.frozen = frozen;
    };
    frozen(false, &mut bench);
    assert!(refusal(&bench).contains("the key expired 2021-01-01"));
    frozen(true, &mut bench);
    fetched(&bench, &lock(&bench)).expect("proven");
    let told = bench.told.text();
    assert_eq!(told.matches("has expired since").count(), 1, "{told}");
}
