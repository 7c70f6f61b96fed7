//! Ubuntu 24.04.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{khimg, kubernetes_images, mirrors, nodes, packages, project, registry, versions};
use crate::apt::archive::{Key, build_deb, run};
use crate::support::mirror::Mirror;
use crate::support::registry::Storage;

/// A signed Debian archive with several suites, each with its components; all packages are in the first component of the first.
fn suites(root: &Path, name: &str, suites: &[&str], components: &[&str], stanzas: &[(&str, &str, &str)]) {
    let base = root.join(name);
    fs::create_dir_all(base.join("pool/main")).expect("created");
    for (package, version, more) in stanzas {
        build_deb(&base.join("pool/main"), package, version, more);
    }
    for (number, suite) in suites.iter().enumerate() {
        for (place, component) in components.iter().enumerate() {
            let index = base.join(format!("dists/{suite}/{component}/binary-amd64"));
            fs::create_dir_all(&index).expect("created");
            let packages = if number == 0 && place == 0 {
                run(Command::new("apt-ftparchive").args(["packages", "pool/main"]).current_dir(&base))
            } else {
                Vec::new()
            };
            fs::write(index.join("Packages"), packages).expect("written");
        }
        let mut command = Command::new("apt-ftparchive");
        for (key, value) in
            [("Suite", *suite), ("Codename", suite.split('-').next().expect("a name")), ("Architectures", "amd64")]
        {
            command.arg("-o").arg(format!("APT::FTPArchive::Release::{key}={value}"));
        }
        let release = run(command.arg("release").arg(format!("dists/{suite}")).current_dir(&base));
        let text = String::from_utf8(release).expect("text");
        fs::write(base.join(format!("dists/{suite}/InRelease")), Key::shared().clearsign(&text)).expect("written");
    }
}

const UBUNTU: &[(&str, &str, &str)] = &[
    ("base-files", "13ubuntu10", "Essential: yes\nPriority: required\n"),
    ("dpkg", "1.22.6ubuntu6", "Essential: yes\nPriority: required\n"),
    ("bash", "5.2.21-2ubuntu4", "Essential: yes\nPriority: required\nDepends: base-files\n"),
    ("apt", "2.7.14", "Priority: important\nDepends: dpkg\n"),
    ("libc6", "2.39-0ubuntu8", "Priority: required\n"),
    ("kmod", "31+20240202-2ubuntu7", "Depends: libkmod2 (= 31+20240202-2ubuntu7)\n"),
    ("libkmod2", "31+20240202-2ubuntu7", ""),
    ("iproute2", "6.1.0-1ubuntu6", ""),
    ("chrony", "4.5-1ubuntu4", "Depends: libc6 (>= 2.38)\n"),
    ("ca-certificates", "20240203", "Architecture: all\n"),
    ("conntrack", "1:1.4.8-1ubuntu1", ""),
    ("ebtables", "2.0.11-6build1", ""),
    ("ethtool", "1:6.7-1build1", ""),
    ("iptables", "1.8.10-3ubuntu2", ""),
    ("socat", "1.8.0.0-4build3", ""),
    ("haproxy", "2.8.5-1ubuntu3", ""),
    ("keepalived", "1:2.2.8-1build2", ""),
    ("util-linux", "2.39.3-9ubuntu6", "Priority: required\nEssential: yes\n"),
    ("mount", "2.39.3-9ubuntu6", ""),
    ("containerd", "1.7.12-0ubuntu4", ""),
];

#[test]
fn ubuntu_24_04_with_containerd_and_kubernetes_1_36_from_stand_in_packages_and_images() {
    let key = Key::shared();
    let root = tempfile::Builder::new().prefix("khimg-apt-").tempdir().expect("a directory");
    suites(root.path(), "ubuntu", &["noble", "noble-updates", "noble-security"], &["main", "universe"], UBUNTU);
    let docker = [
        (
            "containerd.io",
            "2.2.1-1~ubuntu.24.04~noble",
            "Depends: libc6 (>= 2.34)\nProvides: containerd, runc\nConflicts: containerd, runc\n",
        ),
        ("containerd.io", "1.7.29-1~ubuntu.24.04~noble", ""),
    ];
    suites(root.path(), "docker-ce/linux/ubuntu", &["noble"], &["stable"], &docker);
    let flat = root.path().join("kubernetes-new/core/stable/v1.36/deb");
    fs::create_dir_all(flat.join("amd64")).expect("created");
    for (name, version, more) in [
        ("kubelet", "1.36.0-1.1", "Depends: kubernetes-cni (>= 1.2.0), mount, util-linux\n"),
        ("kubelet", "1.36.4-1.1", "Depends: kubernetes-cni (>= 1.2.0), mount, util-linux\n"),
        ("kubeadm", "1.36.4-1.1", ""),
        ("kubeadm", "1.36.0-1.1", ""),
        ("kubectl", "1.36.4-1.1", ""),
        ("kubectl", "1.36.0-1.1", ""),
        ("kubernetes-cni", "1.8.0-1.1", ""),
    ] {
        build_deb(&flat.join("amd64"), name, version, more);
    }
    let packages_file = run(Command::new("apt-ftparchive").args(["packages", "."]).current_dir(&flat));
    fs::write(flat.join("Packages"), packages_file).expect("written");
    let release = run(Command::new("apt-ftparchive").args(["release", "."]).current_dir(&flat));
    fs::write(flat.join("InRelease"), key.clearsign(&String::from_utf8(release).expect("text"))).expect("written");
    let mirror = Mirror::serving(root.path());

    let storage = Storage::new();
    let Some(registry) = registry(&storage, &kubernetes_images("v1.36.4", "3.6.8-0", "3.10.2")) else { return };
    let sandbox = project();
    let sources = [
        ("ubuntu", "ubuntu"),
        ("docker-ce", "docker-ce/linux/{distribution}"),
        ("kubernetes", "kubernetes-new/core/stable/v{minor}/deb"),
    ];
    let cluster = format!(
        "name: new\nkubernetes: 1.36\ntarget: {{os: ubuntu-24.04, arch: amd64}}\nruntime: containerd\n\
         endpoint: {{mode: dedicated, vip: 10.77.0.100, port: 6443, interface: ens160}}\nnetwork: {{cni: bridge, dns: none}}\n{}{}",
        mirrors(mirror.url(), &sources, &registry.base()),
        nodes(true)
    );
    sandbox.write("cluster.yaml", cluster);
    khimg(&sandbox, &["build"]);
    let bundle = "dist/public/bundles/master-ubuntu-24.04-amd64.tar.zst";
    let master = versions(&packages(&sandbox, bundle));
    for (name, version) in [
        ("kubelet", "1.36.4-1.1"),
        ("kubernetes-cni", "1.8.0-1.1"),
        ("containerd.io", "2.2.1-1~ubuntu.24.04~noble"),
        ("conntrack", "1:1.4.8-1ubuntu1"),
    ] {
        assert_eq!(master.get(name).map(String::as_str), Some(version), "{name}");
    }
    let names: BTreeSet<&str> = master.keys().map(String::as_str).collect();
    assert!(!names.contains("containerd") && !names.contains("bash") && names.contains("libkmod2"), "{names:?}");
    assert!(sandbox.read("khimg.lock").contains("1.36.4"), "the highest patch that all can serve");
    khimg(&sandbox, &["build", "--locked", "--offline", "--check"]);
}
