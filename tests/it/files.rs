//! Plain files and images, from what roles require to what the lock says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use khimg::arch::Arch;
use khimg::catalog::component::Install;
use khimg::catalog::{self, Catalog};
use khimg::cluster::{self, Role};
use khimg::digest::Digest;
use khimg::exit::{Exit, Explain};
use khimg::lock::{Lock, Proof};
use khimg::mirrors::Mirrors;
use khimg::net::{Net, NetOptions};
use khimg::profile::{FileRequirement, ImageRequirement, Requirements, RoleRequirements};
use khimg::registry::Credentials;
use khimg::report::Silent;
use khimg::resolve::{Resolution, ResolveError, Upgrade, resolve};
use khimg::store::Store;
use khimg::target::Target;
use tokio::runtime::Runtime;

use crate::support::images::{OCI_MANIFEST, TestImage};
use crate::support::mirror::{Fault, Mirror};
use crate::support::registry::{LocalRegistry, Storage};

/// The path below the GitHub source where [`runc`] looks for checksums.
const SUMS: &str = "opencontainers/runc/releases/download/v9.9.9/runc.sha256sum";

/// Two mirrors of the user's, `one` before `two`.
struct Bench {
    catalog: Catalog,
    mirrors: Mirrors,
    net: Net,
    store: Store,
    runtime: Runtime,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn new(definitions: &str) -> Self {
        let catalog = catalog::load(None).unwrap_or_else(|problems| panic!("{problems}"));
        let order = "mirrors: [aliyun, tuna, ustc, system, upstream]";
        assert!(cluster::EXAMPLE.contains(order));
        let text = cluster::EXAMPLE.replace(order, &format!("mirrors: [one, two]\nmirrorDefinitions: {definitions}"));
        let cluster = cluster::parse("cluster.yaml", &text, Path::new(""), &catalog);
        let cluster = cluster.unwrap_or_else(|problems| panic!("{problems}"));
        let directory = tempfile::tempdir().expect("a temporary directory");
        let pause = (Duration::from_millis(1), Duration::from_millis(5));
        let net = Net::new(NetOptions { pause, ..NetOptions::default() }, Arc::new(Silent)).expect("a network");
        Self {
            mirrors: Mirrors::new(&cluster, Vec::new()),
            catalog,
            net,
            store: Store::open(directory.path()).expect("a store"),
            runtime: Runtime::new().expect("a runtime"),
            _directory: directory,
        }
    }

    fn files(definitions: [&Mirror; 2]) -> Self {
        let [one, two] = definitions.map(Mirror::url);
        Self::new(&format!("{{one: {{github: '{one}'}}, two: {{github: '{two}'}}}}"))
    }

    fn resolve(
        &self,
        requirements: &Requirements,
        previous: Option<&Lock>,
        upgrade: &Upgrade,
    ) -> Result<Resolution, ResolveError> {
        let nobody = Credentials::default();
        self.runtime.block_on(resolve(
            requirements,
            &self.catalog,
            &self.mirrors,
            &self.net,
            &self.store,
            &nobody,
            previous,
            upgrade,
        ))
    }
}

fn requirements(files: &[FileRequirement], images: &[ImageRequirement]) -> Requirements {
    let role = |role| RoleRequirements {
        role,
        target: Target { os: "debian-12".to_owned(), arch: Arch::Amd64 },
        packages: Vec::new(),
        files: files.to_vec(),
        images: images.to_vec(),
        addons: Vec::new(),
    };
    Requirements {
        kubernetes: "1.20.2".parse().expect("a version"),
        roles: vec![role(Role::Master), role(Role::Worker)],
    }
}

fn runc(version: &str) -> FileRequirement {
    FileRequirement {
        component: "runc".to_owned(),
        name: "runc".to_owned(),
        version: version.to_owned(),
        source: "github".to_owned(),
        path: "opencontainers/runc/releases/download/v{version}/runc.{arch}".to_owned(),
        checksums: Some("opencontainers/runc/releases/download/v{version}/runc.sha256sum".to_owned()),
        install: Install::Program("/usr/local/sbin/runc".to_owned()),
    }
}

fn sums(content: &str) -> String {
    format!("{}  runc.arm64\n{}  runc.amd64\n", Digest::of(b"other").hex(), Digest::of(content.as_bytes()).hex())
}

#[test]
fn the_catalogue_needs_no_mirror() {
    let (one, two) = (Mirror::start(), Mirror::start());
    let bench = Bench::files([&one, &two]);
    let version = bench.catalog.digests["runc"][&Arch::Amd64].keys().next().expect("one").clone();
    let resolved = bench.resolve(&requirements(&[runc(&version)], &[]), None, &Upgrade::Nothing).expect("resolved");
    let [file] = resolved.files.as_slice() else { panic!("{:?}", resolved.files) };
    assert_eq!(file.sha256, bench.catalog.digests["runc"][&Arch::Amd64][&version]);
    assert_eq!(
        (&file.proof, file.path.as_str()),
        (&Proof::Catalogue, &*format!("opencontainers/runc/releases/download/v{version}/runc.amd64"))
    );
    assert_eq!(file.why.iter().map(|why| why.role).collect::<Vec<_>>(), [Role::Master, Role::Worker]);
    assert!(one.log().is_empty() && two.log().is_empty());
}

#[test]
fn the_publisher_is_asked_for_what_the_catalogue_does_not_know() {
    let (one, two) = (Mirror::start(), Mirror::start());
    two.put(SUMS, sums("ours"));
    let bench = Bench::files([&one, &two]);
    let resolved = bench.resolve(&requirements(&[runc("9.9.9")], &[]), None, &Upgrade::Nothing).expect("resolved");
    let [file] = resolved.files.as_slice() else { panic!("{:?}", resolved.files) };
    assert_eq!((file.sha256, &file.proof), (Digest::of(b"ours"), &Proof::Publisher(SUMS.to_owned())));
    assert_eq!(two.hits(SUMS).len(), 1);
}

#[test]
fn checksums_that_do_not_help_lead_to_the_next_mirror() {
    let long = [sums("ours").as_str(), &"#".repeat(2 << 20)].concat();
    let faults = [
        (Fault::not_found(), Exit::Network, "404"),
        (Fault::unavailable(), Exit::Network, "503"),
        (Fault::instead("<html>log in</html>"), Exit::Verification, "holds no sha256"),
        (Fault::instead(Digest::of(b"x").hex() + "  runc.arm64"), Exit::Verification, "not runc.amd64"),
        (Fault::instead(sums("a") + &sums("b")), Exit::Verification, "different digests"),
        (Fault::instead(long), Exit::Verification, "1048576"),
        (Fault::endless_redirect(), Exit::Network, "redirects"),
    ];
    for (fault, exit, text) in faults {
        let (one, two) = (Mirror::start(), Mirror::start());
        one.put(SUMS, sums("ours")).fault(SUMS, fault);
        let bench = Bench::files([&one, &two]);
        let wanted = requirements(&[runc("9.9.9")], &[]);
        let error = bench.resolve(&wanted, None, &Upgrade::Nothing).expect_err("no mirror");
        let told = error.to_string();
        assert!(told.contains(text) && told.contains("two:"), "{told}");
        assert_eq!(error.exit(), exit, "{told}");
        assert!(
            error.hint().is_some_and(|hint| hint.contains("runc 9.9.9 amd64 SHA256") && hint.contains("digests.txt"))
        );
        two.put(SUMS, sums("ours"));
        let resolved = bench.resolve(&wanted, None, &Upgrade::Nothing).expect("resolved");
        assert_eq!(resolved.files.first().map(|file| file.sha256), Some(Digest::of(b"ours")));
    }
}

#[test]
fn without_any_digest_nothing_is_pinned() {
    let (one, two) = (Mirror::start(), Mirror::start());
    let bench = Bench::files([&one, &two]);
    let resolve = |file: FileRequirement| bench.resolve(&requirements(&[file], &[]), None, &Upgrade::Nothing);
    let error = resolve(FileRequirement { checksums: None, ..runc("9.9.9") }).expect_err("nobody knows");
    assert_eq!(error.exit(), Exit::Unsupported, "{error}");
    for path in ["../{version}", "/etc/passwd", "a//b", "a?b", ""] {
        let error = resolve(FileRequirement { path: path.to_owned(), ..runc("9.9.9") }).expect_err("no path");
        assert_eq!(error.exit(), Exit::BadInput, "{error}");
    }
    let error = resolve(FileRequirement { version: "{nothing}".to_owned(), ..runc("") }).expect_err("no variable");
    assert_eq!(error.exit(), Exit::BadInput, "{error}");
    let error =
        resolve(FileRequirement { source: "kubernetes-release".to_owned(), ..runc("9.9.9") }).expect_err("no mirror");
    assert!(error.to_string().contains("no mirror of this cluster serves kubernetes-release"), "{error}");
    assert!(one.log().is_empty() && two.log().is_empty());
}

#[test]
fn a_lock_keeps_what_was_pinned() {
    let (one, two) = (Mirror::start(), Mirror::start());
    one.put(SUMS, sums("first"));
    let bench = Bench::files([&one, &two]);
    let wanted = requirements(&[runc("9.9.9")], &[]);
    let first = bench.resolve(&wanted, None, &Upgrade::Nothing).expect("resolved");
    let lock = first.clone().into_lock(&wanted, None);
    one.put(SUMS, sums("second"));
    assert_eq!(bench.resolve(&wanted, Some(&lock), &Upgrade::Nothing).expect("resolved"), first);
    assert_eq!(bench.resolve(&wanted, Some(&lock), &Upgrade::Component("etcd".to_owned())).expect("resolved"), first);
    assert_eq!(one.hits(SUMS).len(), 1);
    for upgrade in [Upgrade::Everything, Upgrade::Component("runc".to_owned())] {
        let resolved = bench.resolve(&wanted, Some(&lock), &upgrade).expect("resolved");
        assert_eq!(resolved.files.first().map(|file| file.sha256), Some(Digest::of(b"second")));
    }
}

#[test]
fn images_are_found_under_the_names_that_mirrors_give_them() {
    let storage = Storage::new();
    let Some(registry) = LocalRegistry::open(&storage) else { return };
    let (first, second) =
        (TestImage::new(OCI_MANIFEST, "amd64", &[b"1"]), TestImage::new(OCI_MANIFEST, "amd64", &[b"2"]));
    let address = registry.base();
    let bench = Bench::new(&format!(
        "{{one: {{kubernetes-images: '{address}/nowhere'}}, two: {{kubernetes-images: '{address}/google_containers'}}}}"
    ));
    // As of Kubernetes 1.21, flat where the mirror copied it for kubeadm.
    let coredns = ImageRequirement {
        component: "kubernetes-images".to_owned(),
        source: "kubernetes-images".to_owned(),
        repository: "coredns/coredns".to_owned(),
        tag: "{coredns}".to_owned(),
        name: "registry.k8s.io/coredns/coredns".to_owned(),
    };
    let wanted = requirements(&[], &[coredns]);
    let push = |image| bench.runtime.block_on(registry.push("google_containers/coredns", "1.7.0", image));
    push(&first);
    let resolved = bench.resolve(&wanted, None, &Upgrade::Nothing).expect("resolved");
    let [image] = resolved.images.as_slice() else { panic!("{:?}", resolved.images) };
    assert_eq!(image.name, "registry.k8s.io/coredns/coredns:1.7.0");
    assert_eq!((image.repository.as_str(), image.tag.as_str()), ("coredns/coredns", "1.7.0"));
    assert_eq!((image.manifest.sha256, &image.proof), (first.digest(), &Proof::Tag));
    assert_eq!(image.why.iter().map(|why| why.role).collect::<Vec<_>>(), [Role::Master, Role::Worker]);

    let lock = resolved.into_lock(&wanted, None);
    push(&second);
    let pinned = |upgrade| {
        let resolved = bench.resolve(&wanted, Some(&lock), &upgrade).expect("resolved");
        resolved.images.first().map(|image| image.manifest.sha256)
    };
    assert_eq!(pinned(Upgrade::Nothing), Some(first.digest()));
    assert_eq!(pinned(Upgrade::Everything), Some(second.digest()));
}
