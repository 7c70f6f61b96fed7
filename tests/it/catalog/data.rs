//! What the built-in data says.

use std::collections::BTreeSet;
use std::path::Path;

use khimg::arch::Arch;
use khimg::catalog::{Source, load};
use khimg::kubernetes::KubernetesVersion;
use khimg::profile;

use super::built_in;

#[test]
fn is_consistent() {
    let catalog = built_in();
    assert!(catalog.components.contains_key("kubernetes"));
    profile::load(None, &catalog).unwrap_or_else(|problems| panic!("{problems}"));
}

/// A file that is added to the folder must reach the program, and one of an unknown name must not hide there.
#[test]
fn embeds_the_whole_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/catalog");
    let (mut found, shipped) = (BTreeSet::new(), khimg::shipped::catalog());
    for entry in walkdir::WalkDir::new(&folder).into_iter().map(|entry| entry.expect("readable")) {
        if entry.file_type().is_file() {
            let path = entry.path().strip_prefix(&folder).expect("below").to_str().expect("UTF-8").to_owned();
            assert!(path.starts_with("keys/") || load::FILES.contains(&path.as_str()), "nothing reads {path}");
            let contents = std::fs::read(entry.path()).expect("readable");
            assert_eq!(shipped.get(path.as_str()).copied(), Some(contents.as_slice()), "{path}");
            found.insert(path);
        }
    }
    assert!(found.iter().map(String::as_str).eq(shipped.keys().copied()));
}

/// As many as the published tables have, for every component and both architectures.
#[test]
fn has_all_digests() {
    let digests = built_in().digests;
    let count = |name: &str, arch| digests[name][&arch].len();
    let table = [
        ("cni-plugins", 16, 16),
        ("containerd", 125, 109),
        ("containerd-static", 70, 70),
        ("cri-dockerd", 30, 30),
        ("crictl", 29, 29),
        ("etcd", 49, 49),
        ("kubeadm", 335, 335),
        ("kubectl", 316, 316),
        ("kubelet", 316, 316),
        ("runc", 39, 38),
    ];
    for (name, amd64, arm64) in table {
        assert_eq!((count(name, Arch::Amd64), count(name, Arch::Arm64)), (amd64, arm64), "{name}");
    }
    assert_eq!(digests.len(), table.len());
    let total: usize = digests.values().flat_map(|arches| arches.values()).map(std::collections::BTreeMap::len).sum();
    assert_eq!(total, 2633);
    let kubeadm = digests["kubeadm"][&Arch::Amd64]["1.36.0"].hex();
    assert_eq!(
        digests["kubelet"][&Arch::Amd64]["1.36.4"].hex(),
        "cf2562db46c48ab84cc3791540778ee7fb1a0a008529adbb434723dd02ed8b4b"
    );
    assert_ne!(kubeadm, digests["kubeadm"][&Arch::Arm64]["1.36.0"].hex());
}

/// Each file that a component names in an exact version has a published digest on both architectures.
#[test]
fn pins_the_files_of_components() {
    let catalog = built_in();
    for (name, component) in &catalog.components {
        let offered: Vec<&String> =
            component.offers.iter().filter(|offer| offer.source.name() == "file").map(|offer| &offer.version).collect();
        for file in &component.files {
            let own = vec![&file.version];
            let versions = if file.version == "{version}" { &offered } else { &own };
            for version in versions.iter().copied().filter(|version| !version.contains('{')) {
                for arch in Arch::ALL {
                    let known = catalog.digests.get(&file.name).and_then(|arches| arches.get(&arch));
                    assert!(
                        known.is_some_and(|known| known.contains_key(version)),
                        "{name}: {} {version} {arch}",
                        file.name
                    );
                }
            }
        }
    }
}

#[test]
fn knows_the_images_of_every_minor() {
    let catalog = built_in();
    for minor in 14..=36 {
        for patch in [0, 1, 99] {
            let version = KubernetesVersion { minor, patch };
            let images = catalog.kubernetes.images(version).unwrap_or_else(|| panic!("no images for {version}"));
            assert_eq!(images.coredns.starts_with('v'), minor >= 21, "{version}: {images:?}");
            assert!(images.etcd.starts_with("3."), "{version}: {images:?}");
        }
    }
    for minor in [13, 37] {
        assert_eq!(catalog.kubernetes.images(KubernetesVersion { minor, patch: 0 }), None);
    }
    let table = [
        ("1.14.0", "3.3.10", "1.3.1", "3.1"),
        ("1.19.0", "3.4.9-1", "1.7.0", "3.2"),
        ("1.19.1", "3.4.13-0", "1.7.0", "3.2"),
        ("1.20.2", "3.4.13-0", "1.7.0", "3.2"),
        ("1.23.6", "3.5.1-0", "v1.8.6", "3.6"),
        ("1.23.13", "3.5.1-0", "v1.8.6", "3.6"),
        ("1.23.14", "3.5.5-0", "v1.8.6", "3.6"),
        ("1.23.17", "3.5.6-0", "v1.8.6", "3.6"),
        ("1.28.15", "3.5.15-0", "v1.10.1", "3.9"),
        ("1.34.2", "3.6.5-0", "v1.12.1", "3.10.1"),
        ("1.36.4", "3.6.8-0", "v1.14.2", "3.10.2"),
    ];
    for (version, etcd, coredns, pause) in table {
        let images = catalog.kubernetes.images(version.parse().expect("a version")).expect("known");
        assert_eq!(
            (images.etcd.as_str(), images.coredns.as_str(), images.pause.as_str()),
            (etcd, coredns, pause),
            "{version}"
        );
    }
}

/// Key files and fingerprints of a package repository.
fn signers(source: &Source) -> Option<(&[String], &[String])> {
    match source {
        Source::Apt(apt) => Some((&apt.keys, &apt.fingerprints)),
        Source::Yum(yum) => Some((&yum.keys, &yum.fingerprints)),
        Source::File(_) | Source::Registry(_) => None,
    }
}

/// Every key file belongs to a source, and every pinned fingerprint of a source with key files has its key there.
#[test]
fn carries_the_keys_that_are_pinned() {
    let catalog = built_in();
    let mut used = BTreeSet::new();
    for (name, source) in &catalog.sources {
        let Some((keys, fingerprints)) = signers(source) else { continue };
        used.extend(keys.iter().cloned());
        assert!(keys.is_empty() || keys.len() == fingerprints.len(), "{name}");
    }
    assert_eq!(used, catalog.keys.keys().cloned().collect());
    for (name, key) in &catalog.keys {
        assert!(key.starts_with(b"-----BEGIN PGP PUBLIC KEY BLOCK-----"), "{name}");
    }
}

/// One mirror's own name for CoreDNS, and what is tried at a mirror that nobody knows.
#[test]
fn names_repositories_as_each_mirror_does() {
    let catalog = built_in();
    let Some(Source::Registry(registry)) = catalog.sources.get("kubernetes-images") else { panic!("no registry") };
    assert_eq!(registry.repositories("aliyun", "coredns/coredns"), ["coredns"]);
    assert_eq!(registry.repositories("upstream", "coredns/coredns"), ["coredns/coredns"]);
    assert_eq!(registry.repositories("lan", "coredns/coredns"), ["coredns/coredns", "coredns"]);
    assert_eq!(registry.repositories("lan", "pause"), ["pause"]);
}

/// Every pinned key with a file passes the policy on signatures' keys: it is found in its file by its fingerprint.
#[test]
fn keys_have_the_pinned_fingerprints() {
    let catalog = built_in();
    for (name, source) in &catalog.sources {
        let Some((keys, fingerprints)) = signers(source) else { continue };
        for file in keys {
            let mut keyring = khimg::openpgp::Keyring::new(Vec::<&[u8]>::new(), fingerprints).expect("empty");
            let added = keyring.add(&catalog.keys[file]).expect("a key");
            assert_eq!(added, 1, "{name}: {file}");
        }
    }
}

/// A profile names no layer that is not there, and every layer but the seed's, the lab's and the images' own belongs to a profile.
#[test]
fn layers_exist() {
    let overlays = Path::new(env!("CARGO_MANIFEST_DIR")).join("overlays");
    let there: BTreeSet<String> = std::fs::read_dir(&overlays)
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .filter(|name| {
            !["stage0", "stage0-registry", "report", "hosting", "disk", "lab", "image"].contains(&name.as_str())
        })
        .collect();
    let profiles = profile::load(None, &built_in()).unwrap_or_else(|problems| panic!("{problems}"));
    let named = profiles.values().flat_map(|profile| &profile.layers).map(|part| part.name.clone()).collect();
    assert_eq!(there, named);
}
