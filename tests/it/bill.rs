//! What bundles and locks are made of: proven, compared, told as CycloneDX.

use std::collections::BTreeSet;

use khimg::cluster::Role;
use khimg::deliver::deliver;
use khimg::pack::Format;
use khimg::report::Silent;
use serde_json::Value;

use super::pack::full;
use crate::support::sandbox::Sandbox;
use crate::support::workshop::Workshop;

/// A depot and its lock in the sandbox, below `name`.
fn delivered(sandbox: &Sandbox, workshop: &Workshop, name: &str) {
    let bundles = workshop.pack(Format::TarZst, 2).expect("packs");
    deliver(&bundles, &[], &[], &sandbox.path(name).join("dist"), &workshop.store, &Silent).expect("delivers");
    sandbox.write(format!("{name}/khimg.lock"), khimg::lock::to_yaml(&workshop.lock).expect("a lock"));
}

fn told(sandbox: &Sandbox, code: i32, arguments: &[&str]) -> (String, String) {
    let output = sandbox.khimg(arguments).assert().code(code).get_output().clone();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr))
}

#[test]
fn verify_proves_bytes_and_the_lock() {
    let (sandbox, workshop) = (Sandbox::new(), full());
    delivered(&sandbox, &workshop, "one");
    let (stdout, _) = told(&sandbox, 0, &["verify", "one/dist", "--lock", "one/khimg.lock"]);
    assert!(stdout.contains("master-debian-12-amd64 sha256:"), "{stdout}");
    let bundle = "one/dist/public/bundles/master-debian-12-amd64.tar.zst";
    let digest = stdout.lines().find_map(|line| line.strip_prefix("master-debian-12-amd64 ")).expect("a digest");
    told(&sandbox, 0, &["verify", bundle, "--sha256", digest]);
    let (_, stderr) = told(&sandbox, 6, &["verify", bundle, "--sha256", &format!("sha256:{}", "0".repeat(64))]);
    assert!(stderr.contains(digest), "{stderr}");
    // A lock that lacks a package, and one that has it with other bytes.
    let mut other = full();
    other.lock.packages.retain(|package| package.name != "haproxy");
    sandbox.write("less.lock", khimg::lock::to_yaml(&other.lock).expect("a lock"));
    let (_, stderr) = told(&sandbox, 6, &["verify", "one/dist", "--lock", "less.lock"]);
    assert!(stderr.contains("holds package haproxy"), "{stderr}");
    // One byte.
    let path = sandbox.path(bundle);
    let mut bytes = std::fs::read(&path).expect("a bundle");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("a bundle");
    told(&sandbox, 6, &["verify", "one/dist"]);
}

#[test]
fn diff_names_what_changed() {
    let (sandbox, mut workshop) = (Sandbox::new(), full());
    delivered(&sandbox, &workshop, "one");
    let (stdout, stderr) = told(&sandbox, 0, &["diff", "one/dist", "one/dist"]);
    assert!(stdout.trim().is_empty() && stderr.contains("no difference"), "{stdout}{stderr}");
    let haproxy = workshop.lock.packages.iter().position(|package| package.name == "haproxy").expect("there");
    workshop.lock.packages.remove(haproxy);
    workshop.package("haproxy", "2.6.13-1", "haproxy", &[Role::Master], b"a newer one");
    workshop.package("later", "1.0", "later", &[Role::Master], b"later");
    delivered(&sandbox, &workshop, "two");
    for (from, to, subject) in
        [("one/dist", "two/dist", "master-debian-12-amd64"), ("one/khimg.lock", "two/khimg.lock", "khimg.lock")]
    {
        let (stdout, _) = told(&sandbox, 0, &["diff", from, to]);
        for line in ["package haproxy 2.6.12-1 → 2.6.13-1", "package later 1.0 added"] {
            assert!(stdout.lines().any(|found| found == format!("{subject}: {line}")), "{line}: {stdout}");
        }
        let (stdout, _) = told(&sandbox, 0, &["diff", to, from]);
        assert!(stdout.contains("package later 1.0 removed"), "{stdout}");
        let (stdout, _) = told(&sandbox, 0, &["diff", from, to, "--json"]);
        let changes: Value = serde_json::from_str(&stdout).expect("JSON");
        assert!(changes.as_array().expect("a list").iter().any(|change| change["key"]["name"] == "later"));
    }
}

#[test]
fn sbom_lists_every_part_the_same_way_twice() {
    let (sandbox, workshop) = (Sandbox::new(), full());
    delivered(&sandbox, &workshop, "one");
    let (stdout, _) = told(&sandbox, 0, &["sbom", "one/khimg.lock"]);
    assert_eq!(told(&sandbox, 0, &["sbom", "one/khimg.lock"]).0, stdout);
    let document: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!((&document["bomFormat"], &document["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    let serial = document["serialNumber"].as_str().expect("a serial number");
    assert!(serial.len() == 45 && serial.starts_with("urn:uuid:"), "{serial}");
    let components = document["components"].as_array().expect("components");
    let lock = &workshop.lock;
    assert_eq!(components.len(), lock.packages.len() + lock.files.len() + lock.images.len());
    let refs: BTreeSet<_> = components.iter().map(|component| component["bom-ref"].to_string()).collect();
    assert_eq!(refs.len(), components.len(), "each reference once");
    let libseccomp = components.iter().find(|component| component["name"] == "libseccomp2").expect("a package");
    assert_eq!(libseccomp["purl"], "pkg:deb/debian/libseccomp2@2%3A2.5.1-1%2Bb1?arch=amd64");
    let locked = lock.packages.iter().find(|package| package.name == "libseccomp2").expect("a package");
    assert_eq!(libseccomp["hashes"][0]["content"], locked.sha256.hex());
    let (bundles, _) = told(&sandbox, 0, &["sbom", "one/dist"]);
    assert_eq!(serde_json::from_str::<Value>(&bundles).expect("JSON").as_array().map(Vec::len), Some(2));
}
