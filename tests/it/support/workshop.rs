//! Everything that packing needs, without a network: artifacts in a store, a lock that names them, and rendered files.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::empty;
use khimg::arch::Arch;
use khimg::catalog::component::Install;
use khimg::catalog::source::{FileSource, RegistrySource};
use khimg::catalog::{Catalog, Source};
use khimg::cluster::{
    Bootstrap, Cluster, Cni, Dns, Endpoint, EndpointMode, EtcdMode, ImageChoice, KubeProxy, Network, Role, Seeding,
};
use khimg::digest::Digest;
use khimg::fetch::{Fetched, fetch};
use khimg::kubernetes::Releases;
use khimg::kubernetes::Runtime;
use khimg::lock::{Blob, File, Image, Lock, Package, Proof, Why};
use khimg::mirrors::Mirrors;
use khimg::net::{Net, NetOptions};
use khimg::pack::{Bundle, Format, PackError, PackOptions, pack};
use khimg::registry::Credentials;
use khimg::render::RoleFiles;
use khimg::render::tree::{Content, Entry, Mode, Tree};
use khimg::report::Silent;
use khimg::store::Store;
use khimg::target::Target;
use tempfile::TempDir;

pub const OS: &str = "debian-12";

/// A store, a lock, and the files of a few roles.
pub struct Workshop {
    dir: TempDir,
    pub store: Store,
    pub lock: Lock,
    pub roles: Vec<RoleFiles>,
    program: PathBuf,
}

pub fn target() -> Target {
    Target { os: OS.to_owned(), arch: Arch::Amd64 }
}

fn why(roles: &[Role], component: &str) -> Vec<Why> {
    let chain = vec![component.to_owned()];
    roles.iter().map(|role| Why { role: *role, component: component.to_owned(), chain: chain.clone() }).collect()
}

/// The smallest that passes for a static program: the file header of one for x86-64, and nothing to load.
fn elf() -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(64, 0);
    header[18] = 62;
    header
}

impl Workshop {
    /// An empty one, somewhere new each time.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("khimg-pack-").tempdir().expect("a temporary directory");
        let store = Store::open(&dir.path().join("store")).expect("a store");
        let program = dir.path().join("khimg");
        std::fs::write(&program, elf()).expect("a file");
        let lock = Lock { kubernetes: Some("1.20.2".parse().expect("a version")), ..empty::lock() };
        Self { dir, store, lock, roles: Vec::new(), program }
    }

    /// A path of its own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn keep(&self, bytes: &[u8]) -> Digest {
        self.store.insert_bytes(bytes).expect("a blob").digest()
    }

    /// Adds a package.
    pub fn package(&mut self, name: &str, version: &str, component: &str, roles: &[Role], bytes: &[u8]) {
        self.package_at(&format!("pool/{name}_{version}_amd64.deb"), name, version, component, roles, bytes);
    }

    /// Adds a package whose file has this path in its source.
    pub fn package_at(&mut self, path: &str, name: &str, version: &str, component: &str, roles: &[Role], bytes: &[u8]) {
        let sha256 = self.keep(bytes);
        self.lock.packages.push(Package {
            target: target(),
            name: name.to_owned(),
            version: version.to_owned(),
            arch: "amd64".to_owned(),
            size: bytes.len() as u64,
            sha256,
            source: "pool".to_owned(),
            path: path.to_owned(),
            proof: Proof::Signature("A".repeat(40)),
            why: why(roles, component),
        });
    }

    /// Adds a plain file.
    pub fn file(&mut self, name: &str, component: &str, roles: &[Role], install: Install, bytes: &[u8]) {
        let sha256 = self.keep(bytes);
        self.lock.files.push(File {
            arch: Arch::Amd64,
            name: name.to_owned(),
            version: "1.0".to_owned(),
            size: Some(bytes.len() as u64),
            sha256,
            source: "pool".to_owned(),
            path: name.to_owned(),
            install,
            proof: Proof::Catalogue,
            why: why(roles, component),
        });
    }

    /// Adds an image with one layer.
    pub fn image(&mut self, name: &str, roles: &[Role], layer: &[u8]) {
        let diff = Digest::of(layer);
        let blob = |this: &Self, media_type: &str, bytes: &[u8]| Blob {
            media_type: format!("application/vnd.oci.image.{media_type}"),
            size: bytes.len() as u64,
            sha256: this.keep(bytes),
        };
        let config =
            format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff}"]}}}}"#);
        let config = blob(self, "config.v1+json", config.as_bytes());
        let layer = blob(self, "layer.v1.tar", layer);
        let descriptor = |blob: &Blob| {
            format!(r#"{{"mediaType":"{}","size":{},"digest":"{}"}}"#, blob.media_type, blob.size, blob.sha256)
        };
        let manifest =
            format!(r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#, descriptor(&config), descriptor(&layer));
        let manifest = blob(self, "manifest.v1+json", manifest.as_bytes());
        self.lock.images.push(Image {
            arch: Arch::Amd64,
            name: name.to_owned(),
            source: "registry".to_owned(),
            repository: "it".to_owned(),
            tag: "1".to_owned(),
            index: None,
            manifest,
            config,
            layers: vec![layer],
            proof: Proof::Tag,
            why: why(roles, "images"),
        });
    }

    /// Adds a role with these files in one layer.
    pub fn role(&mut self, role: Role, files: &[(&str, Mode, &str)]) {
        let tree = files.iter().map(|(path, mode, text)| {
            let content = text
                .strip_prefix("-> ")
                .map_or_else(|| Content::Bytes(text.as_bytes().to_vec()), |to| Content::Link(to.to_owned()));
            let entry = Entry { mode: *mode, content, origin: format!("test{path}") };
            (path.parse().expect("an absolute path"), entry)
        });
        self.roles.push(RoleFiles {
            role,
            target: target(),
            layers: vec![("base".to_owned(), Tree(tree.collect()))],
            enable: vec![format!("{role}.service")],
            mask: vec!["swap.target".to_owned()],
        });
    }

    /// Replaces khimg's own program.
    pub fn program(&mut self, path: &Path) {
        self.program = path.to_path_buf();
    }

    /// What the lock names, through the real fetch, offline.
    pub fn fetched(&self) -> Fetched {
        let options = NetOptions { offline: true, ..NetOptions::default() };
        let net = Net::new(options, Arc::new(Silent)).expect("no socket");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mirrors = Mirrors::new(&cluster(), Vec::new());
        runtime
            .block_on(fetch(&self.lock, &catalog(), &mirrors, &net, &self.store, &Credentials::default(), None))
            .expect("everything is in the store")
    }

    pub fn options(&self, format: Format, jobs: usize) -> PackOptions {
        let programs = BTreeMap::from([(Arch::Amd64, self.program.clone())]);
        PackOptions { format, jobs: NonZeroUsize::new(jobs), programs }
    }

    /// Packs every role.
    pub fn pack(&self, format: Format, jobs: usize) -> Result<Vec<Bundle>, PackError> {
        pack(&self.roles, &self.fetched(), &self.lock, &self.store, &self.options(format, jobs), &Silent)
    }
}

/// A catalogue whose sources nobody can reach.
fn catalog() -> Catalog {
    let mirrors = |base: &str| BTreeMap::from([("here".to_owned(), base.to_owned())]);
    let pool = Source::File(FileSource { mirrors: mirrors("https://pool.invalid/") });
    let registry =
        Source::Registry(RegistrySource { mirrors: mirrors("registry.invalid"), renames: BTreeMap::new(), host: None });
    Catalog {
        sources: BTreeMap::from([("pool".to_owned(), pool), ("registry".to_owned(), registry)]),
        keys: BTreeMap::new(),
        components: BTreeMap::new(),
        systems: BTreeMap::new(),
        digests: BTreeMap::new(),
        kubernetes: Releases::default(),
        limits: Vec::new(),
    }
}

fn cluster() -> Cluster {
    let address = |text: &str| text.parse().expect("an address");
    Cluster {
        name: "test".to_owned(),
        kubernetes: "1.20.2".parse().expect("a version"),
        target: target(),
        runtime: Runtime::Containerd,
        endpoint: Endpoint {
            mode: EndpointMode::Stacked,
            address: address("10.0.0.9"),
            port: 8443,
            interface: "eth0".to_owned(),
            virtual_router_id: 50,
            names: Vec::new(),
        },
        etcd: EtcdMode::Stacked,
        bootstrap: Bootstrap::Symmetric,
        network: Network {
            pod_subnet: "10.244.0.0/16".parse().expect("a network"),
            service_subnet: "10.96.0.0/12".parse().expect("a network"),
            dns_domain: "cluster.local".to_owned(),
            cni: Cni::None,
            dns: Dns::None,
            kube_proxy: KubeProxy::Iptables,
            coredns: khimg::cluster::Coredns::default(),
        },
        mirrors: vec!["here".to_owned()],
        mirror_definitions: BTreeMap::new(),
        trust: BTreeMap::new(),
        components: BTreeMap::new(),
        compat: khimg::cluster::Compat::default(),
        addons: Vec::new(),
        depots: Vec::new(),
        seeding: Seeding::default(),
        image: ImageChoice::default(),
        join_until: "720h".parse().expect("a duration"),
        token_life: "24h".parse().expect("a duration"),
        nodes: Vec::new(),
    }
}
