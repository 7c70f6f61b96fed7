//! A real registry, real containerd, real dockerd.

mod archive;
mod faults;
mod login;
mod pull;

use std::sync::Arc;
use std::time::Duration;

use khimg::arch::Arch;
use khimg::lock::{Image, Proof};
use khimg::net::{Net, NetOptions};
use khimg::registry::{Credentials, Pinned, Place, Registry, RegistryError};
use khimg::report::Silent;
use khimg::store::Store;
use serde_json::json;

use crate::support::images::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, TestImage, index};
use crate::support::registry::LocalRegistry;

/// One user of registries: a network, a store of its own, perhaps a name.
struct User {
    net: Net,
    store: Store,
    credentials: Credentials,
    _directory: tempfile::TempDir,
}

impl User {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let pause = (Duration::from_millis(1), Duration::from_millis(5));
        let options = NetOptions { pause, attempts: 2, ..NetOptions::default() };
        let net = Net::new(options, Arc::new(Silent)).expect("a network");
        let store = Store::open(directory.path()).expect("a store");
        Self { net, store, credentials: Credentials::default(), _directory: directory }
    }

    fn registry(&self) -> Registry<'_> {
        Registry::new(&self.net, self.credentials.clone())
    }

    /// Looks a tag up and pulls what it names, with two clients, as `khimg lock` and `khimg fetch` would.
    async fn pull(&self, places: &[Place], arch: Arch) -> Result<Image, RegistryError> {
        let pinned = self.registry().pin(places, "1", arch, &self.store).await?;
        let image = image(pinned, arch);
        self.registry().download(&image, places, &self.store).await?;
        Ok(image)
    }
}

fn image(pinned: Pinned, arch: Arch) -> Image {
    Image {
        arch,
        name: "registry.k8s.io/thing:1".to_owned(),
        source: "kubernetes-images".to_owned(),
        repository: "thing".to_owned(),
        tag: "1".to_owned(),
        index: pinned.index,
        manifest: pinned.manifest,
        config: pinned.config,
        layers: pinned.layers,
        proof: Proof::Tag,
        why: Vec::new(),
    }
}

fn places(bases: &[&str]) -> Vec<Place> {
    let mirrors = ["first", "second", "third"];
    bases
        .iter()
        .zip(mirrors)
        .map(|(base, mirror)| Place::new(mirror, base, "library/thing").expect("a place"))
        .collect()
}

/// The same content for two architectures, with an attestation as buildkit adds one.
struct Family {
    amd64: TestImage,
    arm64: TestImage,
    index: Vec<u8>,
    index_type: &'static str,
}

impl Family {
    fn new(docker: bool) -> Self {
        let (manifest_type, index_type) =
            if docker { (DOCKER_MANIFEST, DOCKER_LIST) } else { (OCI_MANIFEST, OCI_INDEX) };
        let large = vec![7; 300_000];
        let amd64 = TestImage::new(manifest_type, "amd64", &[b"base", &large, b"top of amd64"]);
        let arm64 = TestImage::new(manifest_type, "arm64", &[b"base", &large, b"top of arm64"]);
        let attestation = TestImage::new(manifest_type, "unknown", &[b"in-toto"]);
        let entries = [
            attestation.entry(&json!({"os": "unknown", "architecture": "unknown"})),
            arm64.entry(&json!({"os": "linux", "architecture": "arm64", "variant": "v8"})),
            amd64.entry(&json!({"os": "linux", "architecture": "amd64"})),
        ];
        Self { amd64, arm64, index: index(index_type, &entries[usize::from(docker)..]), index_type }
    }

    async fn push(&self, registry: &LocalRegistry) {
        for image in [&self.amd64, &self.arm64] {
            registry.push("library/thing", &image.digest().to_string(), image).await;
        }
        if self.index_type == OCI_INDEX {
            let attestation = TestImage::new(OCI_MANIFEST, "unknown", &[b"in-toto"]);
            registry.push("library/thing", &attestation.digest().to_string(), &attestation).await;
        }
        registry.push_manifest("library/thing", "1", self.index_type, &self.index).await;
    }
}
