//! Other operating systems, end to end, from mirrors in their layouts. What the real packages and images hold is replaced by small
//! stand-ins where it cannot be had here, as the tests' names say; names, versions and dependencies are those of the real ones.

mod centos;
mod rocky;
mod ubuntu;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::apt::archive::Key;
use crate::support::images::{DOCKER_LIST, DOCKER_MANIFEST, TestImage, index};
use crate::support::registry::{LocalRegistry, Storage};
use crate::support::sandbox::Sandbox;
use crate::yum::tree::{Dnf, Rpm, Rpms, Tree};

/// A registry with an image of each `namespace/name` and tag for both architectures; nothing where the machine has no registry.
fn registry(storage: &Storage, images: &[(&str, &str)]) -> Option<LocalRegistry> {
    let registry = LocalRegistry::open(storage)?;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        for (repository, tag) in images {
            let mut entries = Vec::new();
            for arch in ["amd64", "arm64"] {
                let image = TestImage::new(DOCKER_MANIFEST, arch, &[format!("{repository} {tag} {arch}").as_bytes()]);
                registry.push(repository, &image.digest().to_string(), &image).await;
                entries.push(image.entry(&json!({"os": "linux", "architecture": arch})));
            }
            registry.push_manifest(repository, tag, DOCKER_LIST, &index(DOCKER_LIST, &entries)).await;
        }
    });
    Some(registry)
}

/// What kubeadm and the kubelet start, in these versions.
fn kubernetes_images<'a>(kubernetes: &'a str, etcd: &'a str, pause: &'a str) -> Vec<(&'static str, &'a str)> {
    vec![
        ("google_containers/pause", pause),
        ("google_containers/etcd", etcd),
        ("google_containers/kube-proxy", kubernetes),
        ("google_containers/kube-apiserver", kubernetes),
        ("google_containers/kube-controller-manager", kubernetes),
        ("google_containers/kube-scheduler", kubernetes),
    ]
}

/// A project that trusts the shared key.
fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("mirror.asc", Key::shared().public());
    sandbox
}

/// The keys of a cluster file that put one mirror in place of all: each of `sources` below `url`, images in `registry`.
fn mirrors(url: &str, sources: &[(&str, &str)], registry: &str) -> String {
    let mut text = String::from("mirrors: [lan]\nmirrorDefinitions:\n  lan:\n");
    for (source, base) in sources {
        writeln!(text, "    {source}: {url}/{base}").expect("in memory");
    }
    for (source, namespace) in [
        ("kubernetes-images", "google_containers"),
        ("flannel-images", "flannel-io"),
        ("docker-hub", "docker.io"),
        ("quay", "quay.io"),
    ] {
        writeln!(text, "    {source}: {registry}/{namespace}").expect("in memory");
    }
    text.push_str("trust:\n");
    for (source, _) in sources {
        let fingerprint = &Key::shared().fingerprint;
        writeln!(text, "  {source}: {{keys: [mirror.asc], fingerprints: [{fingerprint}]}}").expect("in memory");
    }
    text
}

/// Three masters, a worker and, where there is one, a load balancer.
fn nodes(with_lb: bool) -> String {
    let lb = if with_lb { " - {name: lb-1, role: lb, address: 10.77.0.31/24}\n" } else { "" };
    format!(
        "nodes:\n\
         \x20- {{name: master-1, role: master, address: 10.77.0.11/24}}\n\
         \x20- {{name: master-2, role: master, address: 10.77.0.12/24}}\n\
         \x20- {{name: master-3, role: master, address: 10.77.0.13/24}}\n\
         \x20- {{name: worker-1, role: worker, address: 10.77.0.21/24}}\n{lb}"
    )
}

fn khimg(sandbox: &Sandbox, arguments: &[&str]) {
    let output = sandbox.khimg(arguments).output().expect("khimg");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Names and versions of the packages in a bundle, with the proof of each.
fn packages(sandbox: &Sandbox, bundle: &str) -> BTreeMap<String, (String, Value)> {
    let output = sandbox.khimg(["inspect", "--json", bundle]).assert().success().get_output().stdout.clone();
    let report: Value = serde_json::from_slice(&output).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let packages = report["contents"]["packages"].as_array().expect("packages");
    packages.iter().map(|one| (text(&one["name"]), (text(&one["version"]), one["proof"].clone()))).collect()
}

fn versions(packages: &BTreeMap<String, (String, Value)>) -> BTreeMap<String, String> {
    packages.iter().map(|(name, (version, _))| (name.clone(), version.clone())).collect()
}

/// What the lock has for a role on a target, by name with version.
fn locked(sandbox: &Sandbox, role: khimg::cluster::Role, target: &str) -> BTreeMap<String, String> {
    let lock = khimg::lock::read(&sandbox.path("khimg.lock")).expect("a lock");
    let packages = lock.packages.into_iter().filter(|package| {
        let of = format!("{}-{}", package.target.os, package.target.arch.name());
        of == target && package.why.iter().any(|why| why.role == role)
    });
    packages.map(|package| (package.name, package.version)).collect()
}

/// Puts signed packages into a repository.
fn publish(tree: &Tree, path: &str, machine: &str, packages: &[Rpm<'_>]) -> Vec<PathBuf> {
    let rpms = Rpms::build_for(machine, packages);
    if !packages.is_empty() {
        Key::shared().sign_rpms(&rpms.files(), true);
    }
    tree.repository(path, &rpms.files(), &[]);
    let kept = tree.root().join(path).join("Packages");
    rpms.files().iter().map(|file| kept.join(file.file_name().expect("a name"))).collect()
}

/// dnf on a machine that has the packages of these names among `files`.
fn dnf(url: &str, repositories: &[&str], files: &[PathBuf], base: &[&str]) -> Dnf {
    let name = |path: &Path| {
        let file = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        file.rsplitn(3, '-').nth(2).expect("name-version-release").to_owned()
    };
    let installed: Vec<PathBuf> = files.iter().filter(|path| base.contains(&name(path).as_str())).cloned().collect();
    assert_eq!(installed.len(), base.len(), "{base:?}");
    Dnf::new(repositories.iter().map(|path| format!("{url}/{path}")).collect(), &installed)
}
