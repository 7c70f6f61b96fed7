//! Registries that are wrong: the next mirror, or a clear error; never other bytes.

use khimg::arch::Arch;
use khimg::exit::{Exit, Explain};

use super::{Family, User, places};
use crate::support::images::{OCI_INDEX, OCI_MANIFEST, TestImage, index};
use crate::support::proxy::{Fault, Proxy};
use crate::support::registry::{LocalRegistry, Storage};
use crate::support::tokens::{Rules, TokenServer};

const SCHEMA1: &[u8] = br#"{"schemaVersion": 1, "name": "library/thing", "tag": "1", "architecture": "amd64", "fsLayers": [], "history": []}"#;

#[tokio::test]
async fn every_fault_ends_in_the_next_mirror_or_in_a_clear_error() {
    let storage = Storage::new();
    let Some(registry) = LocalRegistry::open(&storage) else { return };
    let family = Family::new(false);
    family.push(&registry).await;
    let tokens = TokenServer::start(Rules::default()).await;
    let realm = tokens.realm();
    let only_arm =
        index(OCI_INDEX, &[family.arm64.entry(&serde_json::json!({"os": "linux", "architecture": "arm64"}))]);
    let artifact =
        String::from_utf8(family.amd64.manifest.clone()).expect("JSON").replace("image.layer.v1.tar+gzip", "artifact");
    let ambiguous =
        String::from_utf8(family.amd64.manifest.clone()).expect("JSON").replacen('{', r#"{"manifests": [],"#, 1);
    let faults = [
        (Fault::UnauthorizedForever { realm }, Exit::Network, "refuses access (HTTP 401)"),
        (Fault::UnauthorizedForever { realm: "ftp://nowhere".to_owned() }, Exit::Network, "neither Bearer nor Basic"),
        (Fault::NotFound, Exit::Network, "does not exist"),
        (Fault::WrongBlob, Exit::Verification, "instead of sha256:"),
        (Fault::HalfBlob, Exit::Verification, "instead of sha256:"),
        (Fault::DroppedBlob, Exit::Network, "broke off"),
        (Fault::WrongManifest, Exit::Verification, "instead of sha256:"),
        (Fault::EndlessManifest, Exit::Verification, "4194304"),
        (Fault::ManifestType("text/html"), Exit::Verification, "text/html"),
        (Fault::ManifestType(OCI_MANIFEST), Exit::Verification, "index.v1+json"),
        (Fault::Manifest(OCI_INDEX, only_arm), Exit::Unsupported, "has nothing for linux/amd64, only: linux/arm64"),
        (
            Fault::Manifest("application/vnd.docker.distribution.manifest.v1+prettyjws", SCHEMA1.to_vec()),
            Exit::Unsupported,
            "schema 1",
        ),
        (Fault::Manifest("application/json", SCHEMA1.to_vec()), Exit::Unsupported, "schema 1"),
        (Fault::Manifest(OCI_MANIFEST, b"<html>login</html>".to_vec()), Exit::Verification, "not a valid manifest"),
        (Fault::Manifest(OCI_MANIFEST, artifact.into_bytes()), Exit::Verification, "artifact"),
        (Fault::Manifest(OCI_MANIFEST, ambiguous.into_bytes()), Exit::Verification, "no part of a container image"),
    ];
    for (number, (fault, exit, text)) in faults.into_iter().enumerate() {
        let proxy = Proxy::start(&registry.base(), fault).await;
        let user = User::new();
        let error = user.pull(&places(&[&proxy.base()]), Arch::Amd64).await.expect_err("a fault");
        let told = told(&error);
        assert!(told.contains(text), "fault {number}: {told}");
        assert_eq!(error.exit(), exit, "fault {number}: {told}");
        // Nothing unproven has stayed, and a good mirror behind it is enough.
        let image = user.pull(&places(&[&proxy.base(), &registry.base()]), Arch::Amd64).await;
        let image = image.unwrap_or_else(|error| panic!("fault {number}: {error}"));
        assert_eq!(image.manifest.sha256, family.amd64.digest(), "fault {number}");
        for blob in image.layers.iter().chain([&image.config, &image.manifest]) {
            user.store.get(&blob.sha256).expect("readable").expect("there").read(1 << 20).expect("proven");
        }
    }
}

#[tokio::test]
async fn a_host_that_is_not_there_is_passed_over() {
    let storage = Storage::new();
    let Some(registry) = LocalRegistry::open(&storage) else { return };
    let family = Family::new(false);
    family.push(&registry).await;
    // Bound and closed again: nobody listens there.
    let gone =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let gone = format!("http://{gone}/google_containers");
    let user = User::new();
    user.pull(&places(&[&gone, &registry.base()]), Arch::Amd64).await.expect("pulled");
    let error = User::new().pull(&places(&[&gone]), Arch::Amd64).await.expect_err("nobody there");
    assert_eq!(error.exit(), Exit::Network, "{error}");
    assert_eq!(user.pull(&[], Arch::Amd64).await.expect_err("no place").exit(), Exit::BadInput);
}

#[tokio::test]
async fn manifest_and_configuration_must_agree() {
    let storage = Storage::new();
    let Some(registry) = LocalRegistry::open(&storage) else { return };
    let mut image = TestImage::new(OCI_MANIFEST, "amd64", &[b"one", b"two"]);
    let mut manifest: serde_json::Value = serde_json::from_slice(&image.manifest).expect("JSON");
    manifest["layers"].as_array_mut().expect("layers").pop();
    image.manifest = manifest.to_string().into_bytes();
    registry.push("library/thing", "1", &image).await;
    let error = User::new().pull(&places(&[&registry.base()]), Arch::Amd64).await.expect_err("a layer is missing");
    assert!(error.to_string().contains("has 1 layers, but its configuration describes 2"), "{error}");
    assert_eq!(error.exit(), Exit::Verification);
}

fn told(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
