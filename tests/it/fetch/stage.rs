//! The stage as a whole: a lock, a catalogue, mirrors, a store.

use std::collections::BTreeMap;
use std::path::Path;

use khimg::arch::Arch;
use khimg::catalog::component::Install;
use khimg::catalog::system::Base;
use khimg::catalog::{AptLayout, AptSource, Catalog, Family, FileSource, RegistrySource, Source, System};
use khimg::cluster::{self, Role};
use khimg::digest::Digest;
use khimg::exit::Explain;
use khimg::fetch::{FetchError, Fetched, fetch};
use khimg::kubernetes::{Releases, releases::Release};
use khimg::lock::{self, Lock, Proof, Why};
use khimg::mirrors::Mirrors;
use khimg::net::NetOptions;
use khimg::registry::Credentials;
use khimg::target::Target;

use super::{Bench, bytes, impatient, read};
use crate::support::empty;
use crate::support::images::{OCI_MANIFEST, TestImage};
use crate::support::mirror::{Fault, Mirror};

/// A catalogue whose two sources lie on two mirrors each.
fn catalog(first: &Mirror, second: &Mirror) -> Catalog {
    let mirrors = |path: &str| -> BTreeMap<String, String> {
        [("first", first), ("second", second)]
            .map(|(name, mirror)| (name.to_owned(), format!("{}/{path}", mirror.url())))
            .into()
    };
    let packages = Source::Apt(AptSource {
        layout: AptLayout::Suite { suites: vec!["{codename}".to_owned()], components: vec!["main".to_owned()] },
        fingerprints: vec!["0".repeat(40)],
        keys: Vec::new(),
        key_path: None,
        frozen: false,
        mirrors: mirrors("{codename}/"),
    });
    let files = Source::File(FileSource { mirrors: mirrors("release") });
    let system = System {
        family: Family::Debian,
        distribution: String::new(),
        el: String::new(),
        sources_on: BTreeMap::new(),
        codename: "bookworm".to_owned(),
        sources: vec!["packages".to_owned()],
        base: Base { priorities: Vec::new(), packages: Vec::new() },
        rehearsal: Vec::new(),
        image: None,
    };
    let images = Source::Registry(RegistrySource {
        mirrors: mirrors("google_containers"),
        renames: BTreeMap::new(),
        host: None,
    });
    Catalog {
        sources: [("packages", packages), ("files", files), ("images", images)]
            .map(|(name, source)| (name.to_owned(), source))
            .into(),
        components: BTreeMap::new(),
        systems: [("debian-12".to_owned(), system)].into(),
        digests: BTreeMap::new(),
        keys: BTreeMap::new(),
        kubernetes: Releases(vec![Release {
            from: "1.34.0".to_owned(),
            etcd: "3.6.4-0".to_owned(),
            coredns: "v1.12.1".to_owned(),
            pause: "3.10.1".to_owned(),
        }]),
        limits: Vec::new(),
    }
}

fn why(role: Role) -> Vec<Why> {
    vec![Why { role, component: "some".to_owned(), chain: vec!["some".to_owned()] }]
}

fn package(name: &str, content: &[u8], role: Role) -> lock::Package {
    lock::Package {
        target: Target { os: "debian-12".to_owned(), arch: Arch::Amd64 },
        name: name.to_owned(),
        version: "1.0+b1".to_owned(),
        arch: "amd64".to_owned(),
        size: content.len() as u64,
        sha256: Digest::of(content),
        source: "packages".to_owned(),
        path: format!("./pool/{name}_1.0+b1_amd64.deb"),
        proof: Proof::Unsigned,
        why: why(role),
    }
}

fn file(name: &str, content: &[u8], role: Role) -> lock::File {
    lock::File {
        arch: Arch::Amd64,
        name: name.to_owned(),
        version: "1.34.2".to_owned(),
        size: None,
        sha256: Digest::of(content),
        source: "files".to_owned(),
        path: format!("v1.34.2/{name}"),
        install: Install::Program(format!("/usr/bin/{name}")),
        proof: Proof::Catalogue,
        why: why(role),
    }
}

/// Ten packages for load balancers and one file for masters, all on the second mirror; the first has only some.
struct World {
    first: Mirror,
    second: Mirror,
    lock: Lock,
    contents: Vec<Vec<u8>>,
}

impl World {
    fn new() -> Self {
        let (first, second) = (Mirror::start(), Mirror::start());
        let contents: Vec<Vec<u8>> = (0..10).map(|seed| bytes(5000 + seed as usize, seed)).collect();
        let mut packages = Vec::new();
        for (index, content) in contents.iter().enumerate() {
            let name = format!("p{index}");
            let path = format!("bookworm/pool/{name}_1.0+b1_amd64.deb");
            second.put(&path, &content[..]);
            if index % 2 == 0 {
                first.put(&path, &content[..]);
            }
            packages.push(package(&name, content, Role::Lb));
        }
        // The same bytes under another name are fetched once.
        packages.push(package("twin", &contents[0], Role::Lb));
        second.put("release/v1.34.2/kubeadm", "kubeadm");
        let lock = Lock { packages, files: vec![file("kubeadm", b"kubeadm", Role::Master)], ..empty::lock() };
        Self { first, second, lock, contents }
    }

    fn fetch(&self, bench: &Bench, roles: Option<&[Role]>) -> Result<Fetched, FetchError> {
        let catalog = catalog(&self.first, &self.second);
        let text = "apiVersion: khimg/v1\nmirrors: [first, second]\nendpoint: {mode: external, address: 10.0.0.1}\nnodes:\n  \
                    - {name: m1, role: master, address: 192.168.30.11/24, gateway: 192.168.30.1}\n";
        let cluster = cluster::parse("cluster.yaml", text, Path::new("."), &catalog).unwrap_or_else(|e| panic!("{e}"));
        let mirrors = Mirrors::new(&cluster, Vec::new());
        let fetched = bench.runtime.block_on(fetch(
            &self.lock,
            &catalog,
            &mirrors,
            &bench.net,
            &bench.store,
            &Credentials::default(),
            roles,
        ));
        bench.assert_sound();
        fetched
    }

    fn requests(&self) -> usize {
        self.first.log().len() + self.second.log().len()
    }
}

#[test]
fn everything_arrives_once_and_is_not_asked_for_again() {
    let world = World::new();
    let bench = Bench::new();
    let fetched = world.fetch(&bench, None).expect("served");
    for content in &world.contents {
        assert_eq!(&read(fetched.blob(&Digest::of(content)).expect("fetched")), content);
    }
    assert_eq!(read(fetched.blob(&Digest::of(b"kubeadm")).expect("fetched")), b"kubeadm");
    assert_eq!(fetched.new_blobs(), (11, (5000..5010).sum::<u64>() + 7));
    let requests = world.requests();
    assert_eq!(world.second.log().len(), 6, "the first mirror has the other five");
    assert_eq!(world.fetch(&bench, None).expect("in the store").new_blobs(), (0, 0));
    assert_eq!(world.requests(), requests);
}

#[test]
fn only_what_a_role_needs_is_fetched() {
    let world = World::new();
    let bench = Bench::new();
    let fetched = world.fetch(&bench, Some(&[Role::Master])).expect("served");
    assert_eq!(fetched.blobs().count(), 1);
    let error = fetched.blob(&Digest::of(&world.contents[0])).expect_err("not for masters");
    assert!(matches!(error, FetchError::NotFetched { .. }));
}

#[test]
fn one_error_names_all_that_is_missing_and_the_rest_is_kept() {
    let world = World::new();
    for path in ["bookworm/pool/p1_1.0+b1_amd64.deb", "release/v1.34.2/kubeadm"] {
        world.second.fault(path, Fault::not_found());
    }
    world.second.fault("bookworm/pool/p3_1.0+b1_amd64.deb", Fault::wrong_bytes());
    let bench = Bench::new();
    let error = world.fetch(&bench, None).expect_err("three are missing");
    let text = error.to_string();
    assert!(text.starts_with("3 artifacts could not be fetched\n"), "{text}");
    let at = |name: &str| text.find(name).unwrap_or_else(|| panic!("{name}: {text}"));
    assert!(at("p1 1.0+b1 amd64") < at("p3 1.0+b1 amd64") && at("p3 1.0+b1") < at("kubeadm 1.34.2 amd64"), "{text}");
    assert_eq!(error.exit() as u8, 5);
    let requests = world.requests();
    world.second.repair();
    assert_eq!(world.fetch(&bench, None).expect("served").new_blobs().0, 3);
    assert!(world.requests() <= requests + 6, "only the missing ones");
}

#[test]
fn offline_names_all_that_is_missing() {
    let world = World::new();
    let bench = Bench::with(NetOptions { offline: true, ..impatient() });
    bench.store.insert_bytes(b"kubeadm").expect("stored");
    let error = world.fetch(&bench, None).expect_err("offline");
    let text = error.to_string();
    assert!(text.contains("p0 1.0+b1 amd64, p1 1.0+b1 amd64") && !text.contains("kubeadm"), "{text}");
    assert!(error.hint().expect("a remedy").contains("`khimg fetch`"));
    assert_eq!((error.exit() as u8, world.requests()), (5, 0));
    for content in &world.contents {
        bench.store.insert_bytes(content).expect("stored");
    }
    world.fetch(&bench, None).expect("all in the store");
    assert_eq!(world.requests(), 0);
}

#[test]
fn a_blob_of_the_wrong_size_in_the_store_is_fetched_again() {
    let world = World::new();
    let bench = Bench::new();
    let fetched = world.fetch(&bench, None).expect("served");
    let blob = fetched.blob(&Digest::of(&world.contents[1])).expect("fetched");
    std::fs::write(blob.path(), "damaged").expect("written");
    assert_eq!(world.fetch(&bench, None).expect("served").new_blobs(), (1, 5001));
}

#[test]
fn a_path_that_leaves_its_base_is_refused() {
    let mut world = World::new();
    world.lock.files[0].path = "../../etc/shadow".to_owned();
    let error = world.fetch(&Bench::new(), None).expect_err("refused");
    assert!(error.to_string().contains("it leaves the base"), "{error}");
    assert_eq!((error.exit() as u8, world.requests()), (2, 0));
}

/// Puts an image where a registry without authentication has it; the first mirror lacks its largest layer.
fn serve(world: &World, image: &TestImage) -> lock::Image {
    let blob = |media_type: &str, bytes: &[u8]| lock::Blob {
        media_type: media_type.to_owned(),
        size: bytes.len() as u64,
        sha256: Digest::of(bytes),
    };
    let repository = "v2/google_containers/pause";
    for mirror in [&world.first, &world.second] {
        mirror.put(&format!("{repository}/manifests/{}", image.digest()), &image.manifest[..]);
        for bytes in image.layers.iter().chain([&image.config]) {
            mirror.put(&format!("{repository}/blobs/{}", Digest::of(bytes)), &bytes[..]);
        }
    }
    let largest = image.layers.iter().max_by_key(|layer| layer.len()).expect("layers");
    world.first.fault(&format!("{repository}/blobs/{}", Digest::of(largest)), Fault::not_found());
    lock::Image {
        arch: Arch::Amd64,
        name: "registry.k8s.io/pause:3.9".to_owned(),
        source: "images".to_owned(),
        repository: "pause".to_owned(),
        tag: "3.9".to_owned(),
        index: None,
        manifest: blob(OCI_MANIFEST, &image.manifest),
        config: blob("application/vnd.oci.image.config.v1+json", &image.config),
        layers: image.layers.iter().map(|layer| blob("application/vnd.oci.image.layer.v1.tar+gzip", layer)).collect(),
        proof: Proof::Tag,
        why: why(Role::Master),
    }
}

#[test]
fn images_arrive_with_all_that_a_node_needs() {
    let mut world = World::new();
    let image = TestImage::new(OCI_MANIFEST, "amd64", &[&bytes(30_000, 1), b"small"]);
    world.lock.images.push(serve(&world, &image));
    let bench = Bench::with(NetOptions { offline: true, ..impatient() });
    let error = world.fetch(&bench, Some(&[Role::Master])).expect_err("offline");
    assert!(error.to_string().contains("kubeadm 1.34.2 amd64, registry.k8s.io/pause:3.9 amd64"), "{error}");
    let bench = Bench::new();
    let fetched = world.fetch(&bench, Some(&[Role::Master])).expect("served");
    assert_eq!((fetched.blobs().count(), fetched.new_blobs().0), (5, 5));
    for bytes in image.layers.iter().chain([&image.config, &image.manifest]) {
        assert_eq!(&read(fetched.blob(&Digest::of(bytes)).expect("fetched")), bytes);
    }
    let requests = world.requests();
    world.fetch(&bench, Some(&[Role::Master])).expect("in the store");
    assert_eq!(world.requests(), requests);
}

#[test]
fn an_image_that_nobody_has_is_told_with_the_rest() {
    let mut world = World::new();
    let image = TestImage::new(OCI_MANIFEST, "amd64", &[&bytes(30_000, 1)]);
    world.lock.images.push(serve(&world, &image));
    let blob = format!("v2/google_containers/pause/blobs/{}", Digest::of(&image.layers[0]));
    world.first.fault(&blob, Fault::wrong_bytes());
    world.second.fault(&blob, Fault::wrong_bytes()).fault("release/v1.34.2/kubeadm", Fault::not_found());
    let error = world.fetch(&Bench::new(), Some(&[Role::Master])).expect_err("nobody has it");
    let text = error.to_string();
    assert!(text.starts_with("2 artifacts could not be fetched\n"), "{text}");
    assert!(text.contains("kubeadm 1.34.2") && text.contains("registry.k8s.io/pause:3.9"), "{text}");
}
