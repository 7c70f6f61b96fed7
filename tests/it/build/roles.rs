//! All four roles of one cluster from the tests' mirror and Debian's archive, and what is in them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::lab::lab;
use crate::support::sandbox::Sandbox;

/// The four roles, built once for all tests that look at the result.
pub fn built() -> &'static Sandbox {
    static BUILT: OnceLock<Sandbox> = OnceLock::new();
    BUILT.get_or_init(|| {
        let sandbox = Sandbox::new();
        sandbox.write("cluster.yaml", lab().cluster());
        sandbox.khimg(build_all()).assert().success();
        sandbox
    })
}

/// The arguments that build every role, whether the cluster has nodes of it or not.
pub fn build_all() -> [&'static str; 9] {
    ["build", "--profile", "master", "--profile", "worker", "--profile", "lb", "--profile", "etcd"]
}

/// The public files of a delivery with their digests, as `SHA256SUMS` lists them.
pub fn sums(dist: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(dist.join("public/SHA256SUMS")).expect("SHA256SUMS");
    text.lines().filter_map(|line| line.split_once("  ")).map(|(sum, path)| (path.to_owned(), sum.to_owned())).collect()
}

#[test]
fn every_role_becomes_a_bundle_and_every_node_a_seed() {
    let dist = built().path("dist");
    for role in ["master", "worker", "lb", "etcd"] {
        assert!(dist.join(format!("public/bundles/{role}-debian-12-amd64.tar.zst")).is_file(), "{role}");
    }
    for node in ["master-1", "master-2", "master-3", "worker-1", "lb-1"] {
        for file in ["user-data", "meta-data", "network-config"] {
            assert!(dist.join("secret").join(node).join(file).is_file(), "{node}/{file}");
        }
    }
    let checked = std::process::Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(dist.join("public"))
        .status()
        .expect("sha256sum");
    assert!(checked.success());
}

#[test]
fn the_manifest_names_every_public_file_with_role_and_origin() {
    let dist = built().path("dist");
    let manifest: Value = serde_json::from_str(&built().read("dist/public/manifest.json")).expect("JSON");
    let listed = manifest["files"].as_object().expect("files");
    for (path, sum) in sums(&dist).into_iter().filter(|(path, _)| path != "manifest.json") {
        let record = &listed[&path];
        assert_eq!(record["sha256"].as_str(), Some(format!("sha256:{sum}").as_str()), "{path}");
        assert!(!record["origins"].as_array().expect("origins").is_empty(), "{path}");
        assert!(!path.starts_with("bundles/") || record["role"].is_string(), "{path}");
    }
}

#[test]
fn no_secret_and_no_host_name_reaches_the_public_half() {
    let secrets = built().read("secrets.yaml");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
    let private = secrets.lines().skip_while(|line| !line.contains("PRIVATE KEY")).nth(1);
    let private = private.expect("a line of a private key").trim();
    assert!(private.len() > 32, "{private}");
    for entry in walk(&built().path("dist/public")) {
        let bytes = std::fs::read(&entry).expect("a file");
        assert!(!contains(&bytes, private.as_bytes()), "{}", entry.display());
    }
    let manifest = built().read("dist/public/manifest.json");
    assert!(!manifest.contains(&format!("\"{}\"", host.trim())), "the build machine's name is in the manifest");
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    walkdir::WalkDir::new(dir)
        .into_iter()
        .map(|entry| entry.expect("readable"))
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}
