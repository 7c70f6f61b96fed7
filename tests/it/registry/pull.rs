//! Tags become digests, digests become bytes.

use khimg::arch::Arch;
use khimg::digest::Digest;
use khimg::registry::RegistryError;

use super::{Family, User, image, places};
use crate::support::images::{DOCKER_MANIFEST, OCI_MANIFEST, TestImage};
use crate::support::proxy::{Fault, Proxy};
use crate::support::registry::{LocalRegistry, Storage};

#[tokio::test]
async fn every_format_comes_byte_for_byte() {
    for docker in [false, true] {
        let storage = Storage::new();
        let Some(registry) = LocalRegistry::open(&storage) else { return };
        let family = Family::new(docker);
        family.push(&registry).await;
        for (arch, expected) in [(Arch::Amd64, &family.amd64), (Arch::Arm64, &family.arm64)] {
            let user = User::new();
            let pulled = user.pull(&places(&[&registry.base()]), arch).await.expect("pulled");
            assert_eq!(pulled.index.map(|index| index.sha256), Some(Digest::of(&family.index)));
            assert_eq!(pulled.manifest.sha256, expected.digest());
            assert_eq!(pulled.manifest.media_type, expected.manifest_type);
            assert_eq!(pulled.config.sha256, expected.id());
            let bytes = |digest: &Digest| {
                user.store.get(digest).expect("readable").expect("there").read(1 << 20).expect("proven")
            };
            assert_eq!(bytes(&pulled.manifest.sha256), expected.manifest);
            assert_eq!(bytes(&pulled.config.sha256), expected.config);
            let layers: Vec<_> = pulled.layers.iter().map(|layer| bytes(&layer.sha256)).collect();
            assert_eq!(layers, expected.layers);
        }
    }
}

#[tokio::test]
async fn a_tag_without_an_index_must_be_for_the_target() {
    let storage = Storage::new();
    let Some(registry) = LocalRegistry::open(&storage) else { return };
    let only = TestImage::new(DOCKER_MANIFEST, "amd64", &[b"only"]);
    registry.push("library/thing", "1", &only).await;
    let user = User::new();
    let places = places(&[&registry.base()]);
    let pulled = user.pull(&places, Arch::Amd64).await.expect("pulled");
    assert_eq!((pulled.index, pulled.manifest.sha256), (None, only.digest()));
    let error = user.pull(&places, Arch::Arm64).await.expect_err("not for arm64");
    assert!(error.to_string().contains("has nothing for linux/arm64, only: linux/amd64"), "{error}");
}

#[tokio::test]
async fn nothing_is_fetched_twice() {
    let storage = Storage::new();
    let Some(registry) = LocalRegistry::open(&storage) else { return };
    let family = Family::new(false);
    family.push(&registry).await;
    let proxy = Proxy::start(&registry.base(), Fault::None).await;
    let places = places(&[&proxy.base()]);
    let user = User::new();
    let amd64 = user.pull(&places, Arch::Amd64).await.expect("pulled");
    // The configuration once by name, each layer once.
    assert_eq!(proxy.blobs(), 4);
    let asked = proxy.seen().len();
    user.registry().download(&amd64, &places, &user.store).await.expect("there already");
    assert_eq!(proxy.seen().len(), asked);
    // Two of three layers are those of the other architecture.
    user.pull(&places, Arch::Arm64).await.expect("pulled");
    assert_eq!(proxy.blobs(), 6);
}

#[tokio::test]
async fn the_same_layer_twice_is_one_blob() {
    let storage = Storage::new();
    let Some(registry) = LocalRegistry::open(&storage) else { return };
    let twice = TestImage::new(OCI_MANIFEST, "amd64", &[b"same", b"other", b"same"]);
    registry.push("library/thing", "1", &twice).await;
    let user = User::new();
    let pulled = user.pull(&places(&[&registry.base()]), Arch::Amd64).await.expect("pulled");
    assert_eq!(pulled.layers.len(), 3);
    assert_eq!(pulled.layers.first(), pulled.layers.last());
}

#[tokio::test]
async fn a_lock_that_was_changed_by_hand_is_noticed() {
    let storage = Storage::new();
    let Some(registry) = LocalRegistry::open(&storage) else { return };
    registry.push("library/thing", "1", &TestImage::new(OCI_MANIFEST, "amd64", &[b"layer"])).await;
    let places = places(&[&registry.base()]);
    let user = User::new();
    let pinned = user.registry().pin(&places, "1", Arch::Amd64, &user.store).await.expect("pinned");
    let mut image = image(pinned, Arch::Amd64);
    for layer in &mut image.layers {
        layer.size += 1;
    }
    let error = user.registry().download(&image, &places, &user.store).await.expect_err("another size");
    assert!(matches!(error, RegistryError::Net(_)), "{error}");
    image.config.size += 1;
    let error = user.registry().download(&image, &places, &user.store).await.expect_err("another size");
    assert!(matches!(error, RegistryError::LockedSize { .. }), "{error}");
}
