//! The same Kubernetes in its other forms: as plain files, and from a flat repository.

use std::process::Command;

use serde_json::Value;

use super::packages::unpack;
use crate::support::lab::lab;
use crate::support::sandbox::Sandbox;

const WORKER: [&str; 3] = ["build", "--profile", "worker"];
const BUNDLE: &str = "dist/public/bundles/worker-debian-12-amd64.tar.zst";

fn published(path: &str) -> String {
    let url = format!("{}/{path}.sha256", lab().http);
    let output = Command::new("curl").args(["--fail", "--silent", &url]).output().expect("curl");
    assert!(output.status.success(), "{url}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.split_whitespace().next().expect("a digest").to_owned()
}

/// A cluster that wants plain files instead of packages.
fn plain() -> Sandbox {
    let sandbox = Sandbox::new();
    let choice = "components: {kubernetes: {source: file}, cni-plugins: {version: 1.1.1}}\n";
    sandbox.write("cluster.yaml", format!("{}{choice}", lab().cluster()));
    sandbox
}

fn contents(sandbox: &Sandbox) -> Value {
    let output = sandbox.khimg(["inspect", "--json", BUNDLE]).assert().success().get_output().stdout.clone();
    let report: Value = serde_json::from_slice(&output).expect("JSON");
    report["contents"].clone()
}

#[test]
fn plain_files_by_the_digests_of_an_own_catalogue() {
    let sandbox = plain();
    let mut digests = String::new();
    for name in ["kubelet", "kubeadm", "kubectl"] {
        let digest = published(&format!("dl/release/v1.20.2/bin/linux/amd64/{name}"));
        digests += &format!("{name} 1.20.2 amd64 {digest}\n");
    }
    let plugins = "github/containernetworking/plugins/releases/download/v1.1.1/cni-plugins-linux-amd64-v1.1.1.tgz";
    digests += &format!("cni-plugins 1.1.1 amd64 {}\n", published(plugins));
    sandbox.write("catalog/digests.txt", &digests);
    sandbox.khimg(WORKER).assert().success();

    let contents = contents(&sandbox);
    let files = contents["files"].as_array().expect("files");
    assert_eq!(files.len(), 4, "{files:?}");
    assert!(files.iter().all(|file| file["proof"] == "catalogue"), "{files:?}");
    assert!(!contents["packages"].as_array().expect("packages").iter().any(|package| package["name"] == "kubelet"));
    let unpacked = unpack(&sandbox.path(BUNDLE));
    let version =
        Command::new(unpacked.path().join("rootfs/usr/bin/kubeadm")).args(["version", "-o", "short"]).output();
    assert_eq!(String::from_utf8_lossy(&version.expect("kubeadm runs").stdout).trim(), "v1.20.2");
    assert!(unpacked.path().join("rootfs/opt/cni/bin/bridge").is_file());
    assert!(unpacked.path().join("rootfs/usr/lib/systemd/system/kubelet.service").is_file());
}

#[test]
fn a_rebuilt_program_is_not_what_the_publisher_published() {
    let sandbox = plain();
    let output = sandbox.khimg(WORKER).assert().code(6).get_output().stderr.clone();
    let told = String::from_utf8_lossy(&output);
    assert!(told.contains("kube") && told.contains("hint: "), "{told}");
    assert!(!sandbox.path("dist").exists());
}

#[test]
fn packages_of_a_flat_repository() {
    let sandbox = Sandbox::new();
    sandbox.write("cluster.yaml", lab().cluster());
    let shown = sandbox.khimg(["catalog", "show", "components"]).assert().success().get_output().stdout.clone();
    let components = String::from_utf8(shown).expect("text");
    // The new repository begins with 1.26; the tests' mirror has 1.20 in its layout too.
    let swapped = components
        .replace("\">=1.14, <1.26\"", "\"<1.14\"")
        .replace("kubernetes: \">=1.26\"", "kubernetes: \">=1.14\"");
    assert_ne!(components, swapped);
    sandbox.write("catalog/components.yaml", swapped);
    sandbox.khimg(WORKER).assert().success();
    let contents = contents(&sandbox);
    let packages = contents["packages"].as_array().expect("packages");
    let kubelet = packages.iter().find(|package| package["name"] == "kubelet").expect("kubelet");
    assert_eq!(kubelet["version"], "1.20.2-1.1");
    assert_eq!(kubelet["proof"]["signature"].as_str(), Some(lab().fingerprint.as_str()));
}
