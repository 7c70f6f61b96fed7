//! Across an air gap: exported on one machine, built on another that has no network interface at all.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::roles::{build_all, built, sums};
use crate::support::images::{OCI_MANIFEST, TestImage};
use crate::support::lab::lab;
use crate::support::registry::{LocalRegistry, Storage};
use crate::support::sandbox::Sandbox;

/// A project with everything below its own directory, built from what the other tests have fetched.
fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    let key = lab().key.to_str().expect("UTF-8");
    sandbox.write("keys/lab.asc", fs::read(key).expect("the mirror's key"));
    sandbox.write("cluster.yaml", lab().cluster().replace(key, "keys/lab.asc"));
    sandbox.write("khimg.lock", built().read("khimg.lock"));
    build(&sandbox, &["--locked"]);
    sandbox
}

fn build(sandbox: &Sandbox, further: &[&str]) {
    sandbox.khimg(build_all()).args(further).env("KHIMG_STORE", built().store()).assert().success();
}

fn export(sandbox: &Sandbox, arguments: &[&str]) -> u64 {
    let mut command = sandbox.khimg(["export", "--json"]);
    let output = command.args(arguments).env("KHIMG_STORE", built().store()).assert().success().get_output().clone();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    told["size"].as_u64().expect("a size")
}

/// The program on a machine without any interface, with a store of its own.
fn inside(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    Command::new("unshare")
        .arg("--net")
        .arg(assert_cmd::cargo::cargo_bin!("khimg"))
        .args(arguments)
        .current_dir(sandbox.root())
        .env_clear()
        .env("KHIMG_STORE", sandbox.store())
        .output()
        .expect("unshare")
}

fn succeeds(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    told
}

fn sound(directory: &Path, list: &str) -> bool {
    let mut command = Command::new("sha256sum");
    command.args(["--check", "--strict", "--quiet", list]).current_dir(directory);
    command.output().expect("sha256sum").status.success()
}

/// Bytes that no compressor makes smaller.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(size).collect()
}

#[test]
fn built_on_the_other_side_with_the_same_digests() {
    let (near, far) = (project(), Sandbox::new());
    let whole = export(&near, &["usb", "--split", "50M"]);
    assert!(near.path("usb.001").is_file() && !near.path("usb").exists());
    assert!(sound(&near.root(), "usb.sha256"));
    let usb = near.path("usb");
    let usb = usb.to_str().expect("UTF-8");

    // A byte goes wrong on the way: told, with what came before it kept; with the part copied again it goes on there.
    let part = near.path("usb.001");
    let good = fs::read(&part).expect("a part");
    let mut bad = good.clone();
    bad[1 << 20] ^= 1;
    fs::write(&part, bad).expect("a part");
    assert!(!sound(&near.root(), "usb.sha256"));
    let failed = inside(&far, &["import", usb]);
    let told = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(6), "{told}");
    assert!(told.contains("is damaged at blobs/sha256/") && told.contains("usb.sha256"), "{told}");
    assert!(!far.path("cluster.yaml").exists(), "half a project");
    fs::write(&part, good).expect("a part");
    let told = succeeds(&inside(&far, &["import", usb]));
    let known = told.lines().find_map(|line| line.split_once(" were there")).expect("a summary").0;
    let known: usize = known.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a count");
    assert!(known > 0, "{told}");

    let here = sums(&near.path("dist"));
    assert!(here.len() > 4 && sound(&far.path("dist/public"), "SHA256SUMS"));
    assert_eq!(here, sums(&far.path("dist")), "the depot that came along");
    fs::remove_dir_all(far.path("dist")).expect("removed");
    let mut arguments = build_all().to_vec();
    arguments.extend(["--offline", "--locked"]);
    succeeds(&inside(&far, &arguments));
    assert_eq!(here, sums(&far.path("dist")), "the depot that was built there");

    // One component later: another kube-proxy of the size of the real one.
    let storage = Storage::new();
    let Some(registry) = LocalRegistry::open(&storage) else { return };
    let proxy = TestImage::new(OCI_MANIFEST, "amd64", &[&noise(20 << 20)]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(registry.push("google_containers/kube-proxy", "v1.20.2", &proxy));
    let newer = format!("mirrorDefinitions:\n  newer: {{kubernetes-images: {}/google_containers}}\n", registry.base());
    let cluster = near.read("cluster.yaml").replace("mirrorDefinitions:\n", &newer);
    near.write("cluster.yaml", cluster.replace("mirrors: [lab", "mirrors: [newer, lab"));
    near.khimg(["lock", "--upgrade", "kubernetes"]).env("KHIMG_STORE", built().store()).assert().success();
    build(&near, &["--locked"]);
    let news = export(&near, &["news", "--since", "usb"]);
    println!("full export {whole} bytes, one component changed {news} bytes, {:.3}", news as f64 / whole as f64);
    assert!(news * 5 < whole, "{news} of {whole}");
    let news = near.path("news");
    let news = news.to_str().expect("UTF-8");
    let stranger = Sandbox::new();
    let failed = inside(&stranger, &["import", news]);
    assert_eq!(failed.status.code(), Some(2), "{}", String::from_utf8_lossy(&failed.stderr));
    let failed = inside(&far, &["import", news]);
    assert_eq!(failed.status.code(), Some(2), "the cluster file there is another one");
    succeeds(&inside(&far, &["import", news, "--replace"]));
    succeeds(&inside(&far, &arguments));
    assert_eq!(sums(&near.path("dist")), sums(&far.path("dist")));
    assert_ne!(here, sums(&far.path("dist")));
}
