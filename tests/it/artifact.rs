//! Depots in a registry: pushed, pulled, and what a newer version sends.

use std::path::Path;

use khimg::deliver::{Delivery, PublicContent, PublicFile, deliver};
use khimg::pack::Format;
use khimg::report::Silent;

use super::pack::full;
use crate::support::registry::{LocalRegistry, Storage};
use crate::support::sandbox::Sandbox;
use crate::support::workshop::Workshop;

fn delivered(workshop: &Workshop, out: &Path) -> Delivery {
    let bundles = workshop.pack(Format::TarZst, 2).expect("packs");
    let lock = PublicFile { path: "khimg.lock", content: PublicContent::Bytes(b"version: 1\n"), origin: "the lock" };
    deliver(&bundles, &[], &[lock], out, &workshop.store, &Silent).expect("delivers")
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> serde_json::Value {
    let output = sandbox.khimg(arguments).arg("--json").assert().success().get_output().stdout.clone();
    serde_json::from_slice(&output).expect("JSON")
}

#[test]
fn pulled_as_it_was_pushed_and_a_newer_one_sends_what_changed() {
    let storage = Storage::new();
    let Some(registry) = LocalRegistry::open(&storage) else { return };
    let (sandbox, mut workshop) = (Sandbox::new(), full());
    let first = delivered(&workshop, &sandbox.path("dist"));
    let reference = format!("{}/khimg/demo:v1", registry.base());
    let pushed = run(&sandbox, &["push", &reference]);
    let blobs = pushed["sent"].as_u64().expect("a count");
    assert_eq!(pushed["there"], 0);
    assert!(blobs > 5, "{pushed}");
    assert_eq!(registry.uploads() as u64, blobs, "as the registry counts them");

    let digest = pushed["digest"].as_str().expect("a digest");
    let pulled = run(&sandbox, &["pull", &reference, "--out", "copy", "--sha256", digest]);
    assert_eq!(pulled["new"].as_u64(), Some(blobs - 1), "all but the empty configuration");
    sandbox.khimg(["inspect", "copy"]).assert().success();
    for name in ["manifest.json", "SHA256SUMS"] {
        assert_eq!(sandbox.read(format!("dist/public/{name}")), sandbox.read(format!("copy/public/{name}")));
    }

    // The same again: nothing is sent. One package later: its layer, the tables of contents and the lists.
    assert_eq!(run(&sandbox, &["push", &reference])["sent"], 0);
    let role = khimg::cluster::Role::Master;
    workshop.package("later", "1.0", "later", &[role], &[7; 5000]);
    let second = delivered(&workshop, &sandbox.path("dist"));
    let pieces = |delivery: &Delivery| -> std::collections::BTreeSet<String> {
        let files = delivery.public.files.values();
        let pieces = files.flat_map(|file| {
            file.pieces.iter().map(|piece| piece.sha256).chain(file.pieces.is_empty().then_some(file.sha256))
        });
        pieces.map(|digest| digest.to_string()).collect()
    };
    let new = pieces(&second).difference(&pieces(&first)).count();
    let newer = reference.replace("v1", "v2");
    let pushed = run(&sandbox, &["push", &newer]);
    // manifest.json and SHA256SUMS list what changed.
    assert_eq!(pushed["sent"].as_u64(), Some(new as u64 + 2));
    println!(
        "first push {blobs} blobs; second {} of {}",
        pushed["sent"],
        pushed["sent"].as_u64().unwrap_or_default() + pushed["there"].as_u64().unwrap_or_default()
    );
    assert!((new as u64 + 2) < blobs, "{new} of {blobs}");
    assert_eq!(registry.uploads(), blobs as usize + new + 2, "as the registry counts them");
    run(&sandbox, &["pull", &newer, "--out", "copy"]);
    assert_eq!(sandbox.read("dist/public/SHA256SUMS"), sandbox.read("copy/public/SHA256SUMS"));
    sandbox.khimg(["inspect", "copy"]).assert().success();
    // The former version is there as before.
    run(&sandbox, &["pull", &reference, "--out", "former", "--sha256", digest]);
    sandbox.khimg(["inspect", "former"]).assert().success();
}

#[test]
fn what_was_changed_or_is_something_else_is_refused() {
    let storage = Storage::new();
    let Some(registry) = LocalRegistry::open(&storage) else { return };
    let (sandbox, workshop) = (Sandbox::new(), full());
    delivered(&workshop, &sandbox.path("dist"));
    let reference = format!("{}/khimg/demo", registry.base());
    sandbox.khimg(["pull", &reference]).assert().code(5);
    let lock = sandbox.path("dist/public/khimg.lock");
    std::fs::write(&lock, b"version: 2\n").expect("a file");
    let output = sandbox.khimg(["push", &reference]).assert().code(6).get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&output).contains("khimg.lock was changed since it was delivered"));
    sandbox.khimg(["pull", &reference]).assert().code(5);
    std::fs::write(&lock, b"version: 1\n").expect("a file");
    sandbox.khimg(["push", &reference]).assert().success();
    let other = format!("sha256:{}", "0".repeat(64));
    sandbox.khimg(["pull", &reference, "--sha256", &other]).assert().code(6);
    // A delivery with seeds is not replaced by one without.
    sandbox.write("here/public/manifest.json", sandbox.read("dist/public/manifest.json"));
    sandbox.write("here/secret/master-1/user-data", "#cloud-config\n");
    sandbox.khimg(["pull", &reference, "--out", "here"]).assert().code(2);
    assert!(sandbox.path("here/secret/master-1/user-data").is_file());
}

/// An ordinary image at the tag.
#[tokio::test]
async fn an_image_is_no_depot() {
    use crate::support::images::{OCI_MANIFEST, TestImage};
    let storage = Storage::new();
    let Some(registry) = LocalRegistry::open(&storage) else { return };
    registry.push("khimg/demo", "latest", &TestImage::new(OCI_MANIFEST, "amd64", &[b"x"])).await;
    let reference = format!("{}/khimg/demo", registry.base());
    let output = Sandbox::new().khimg(["pull", &reference]).assert().code(2).get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&output).contains("is no depot of khimg"), "{}", String::from_utf8_lossy(&output));
}
