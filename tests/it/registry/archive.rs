//! One archive for containerd and for docker, the same on every machine.

use std::io::Read;

use khimg::arch::Arch;
use khimg::digest::Digest;
use khimg::exit::{Exit, Explain};
use khimg::lock::Image;
use khimg::registry::{ArchiveError, ImageArchive};
use khimg::store::Verified;

use super::{Family, User, places};
use crate::support::containerd::Containerd;
use crate::support::dockerd::Dockerd;
use crate::support::images::{DOCKER_MANIFEST, OCI_MANIFEST, TestImage};
use crate::support::registry::{LocalRegistry, Storage};

/// An image that was pulled, and its blobs.
struct Pulled {
    user: User,
    image: Image,
    blobs: Vec<Verified>,
}

impl Pulled {
    async fn new(registry: &LocalRegistry) -> Self {
        let user = User::new();
        let image = user.pull(&places(&[&registry.base()]), Arch::Amd64).await.expect("pulled");
        let all = image.layers.iter().chain([&image.config, &image.manifest]);
        let blobs = all.map(|blob| user.store.get(&blob.sha256).expect("readable").expect("there")).collect();
        Self { user, image, blobs }
    }

    fn archive(&self) -> Result<ImageArchive<'_>, ArchiveError> {
        ImageArchive::new(&self.image, |digest| {
            Ok::<_, ArchiveError>(self.blobs.iter().find(|blob| blob.digest() == *digest).expect("pulled"))
        })
    }

    fn bytes(&self) -> Vec<u8> {
        let archive = self.archive().expect("complete");
        let mut bytes = Vec::new();
        archive.write(&mut bytes).expect("written");
        assert_eq!(archive.size(), bytes.len() as u64);
        bytes
    }
}

#[tokio::test]
async fn containerd_and_docker_take_every_format() {
    let (Some(containerd), Some(dockerd)) = (Containerd::start(), Dockerd::start()) else { return };
    let large = vec![3; 2_000_000];
    for (manifest_type, contents) in [
        (DOCKER_MANIFEST, vec![&b"one"[..], &large]),
        (OCI_MANIFEST, vec![&b"one"[..], &large]),
        (DOCKER_MANIFEST, vec![&b"same"[..], b"other", b"same"]),
    ] {
        let storage = Storage::new();
        let Some(registry) = LocalRegistry::open(&storage) else { return };
        let image = TestImage::new(manifest_type, "amd64", &contents);
        registry.push("library/thing", "1", &image).await;
        let pulled = Pulled::new(&registry).await;
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), pulled.bytes()).expect("written");
        let path = file.path().to_str().expect("text");

        containerd.ctr(&["images", "import", path]);
        let listed = containerd.ctr(&["images", "list"]);
        let ours: Vec<_> = listed.lines().filter(|line| line.contains("thing")).collect();
        assert_eq!(ours.len(), 1, "{listed}");
        assert!(ours[0].starts_with("registry.k8s.io/thing:1 "), "{listed}");
        // containerd's name for it is the manifest that the registry has, so the bytes are the registry's.
        assert!(ours[0].contains(&image.digest().to_string()), "{listed}");
        let checked = containerd.ctr(&["images", "check"]);
        assert!(checked.contains("complete"), "{checked}");
        containerd.ctr(&["images", "remove", "--sync", "registry.k8s.io/thing:1"]);

        let loaded = dockerd.docker(&["load", "--input", path]);
        assert!(loaded.contains("registry.k8s.io/thing:1"), "{loaded}");
        let inspected = dockerd.docker(&[
            "image",
            "inspect",
            "--format",
            "{{.Id}} {{.Architecture}} {{len .RootFS.Layers}}",
            "registry.k8s.io/thing:1",
        ]);
        assert_eq!(inspected.trim(), format!("{} amd64 {}", image.id(), contents.len()));
        dockerd.docker(&["image", "remove", "registry.k8s.io/thing:1"]);
    }
}

#[tokio::test]
async fn the_same_bytes_whoever_pulls() {
    let storage = Storage::new();
    let Some(registry) = LocalRegistry::open(&storage) else { return };
    Family::new(true).push(&registry).await;
    let (one, two) = (Pulled::new(&registry).await.bytes(), Pulled::new(&registry).await.bytes());
    assert_eq!(Digest::of(&one), Digest::of(&two));
    let mut tar = tar::Archive::new(one.as_slice());
    let mut names = Vec::new();
    for entry in tar.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").to_str().expect("text").to_owned();
        let header = entry.header();
        assert_eq!((header.mode().ok(), header.uid().ok(), header.gid().ok()), (Some(0o644), Some(0), Some(0)));
        assert_eq!(header.mtime().ok(), Some(khimg::clock::ARCHIVE_EPOCH));
        assert_eq!((header.username(), header.groupname()), (Ok(Some("")), Ok(Some(""))));
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("readable");
        if let Some(hex) = name.strip_prefix("blobs/sha256/") {
            assert_eq!(Digest::of(&bytes).hex(), hex);
        }
        names.push(name);
    }
    assert_eq!(
        names.get(..3),
        Some(&["oci-layout".to_owned(), "index.json".to_owned(), "manifest.json".to_owned()][..])
    );
    assert_eq!(names.len(), 3 + 5);
    assert!(names.is_sorted_by_key(|name| name.starts_with("blobs/").then_some(name)));
}

#[tokio::test]
async fn a_blob_that_changed_never_gets_out() {
    let storage = Storage::new();
    let Some(registry) = LocalRegistry::open(&storage) else { return };
    Family::new(false).push(&registry).await;
    let mut pulled = Pulled::new(&registry).await;
    let layer = pulled.image.layers.get(1).expect("a layer").sha256;
    let path = pulled.user.store.get(&layer).expect("readable").expect("there").path().to_owned();
    let good = std::fs::read(&path).expect("readable");
    let mut flipped = good.clone();
    flipped[100] ^= 1;
    let longer = [good.as_slice(), b"x"].concat();
    for (bad, silent) in [(flipped, false), (good[..good.len() - 1].to_vec(), false), (longer, true)] {
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, bad).expect("written");
        let archive = pulled.archive().expect("its size is that of the time when it was proven");
        let written = archive.write(&mut std::io::sink());
        // Bytes after the end are not part of the blob, and do not get into the archive.
        assert_eq!(written.is_ok(), silent, "{written:?}");
        if let Err(error) = written {
            assert_eq!(error.exit(), Exit::Verification, "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("khimg store verify")));
        }
    }
    std::fs::write(&path, good).expect("written");
    // A lock that somebody changed: layers in another order are as many and as good, and yet another image.
    pulled.image.layers.reverse();
    let error = pulled.archive().err().expect("other layers than the manifest's");
    assert!(error.to_string().contains("its manifest"), "{error}");
    pulled.image.layers.pop();
    let error = pulled.archive().err().expect("a layer is missing");
    assert_eq!(error.exit(), Exit::Verification, "{error}");
}
