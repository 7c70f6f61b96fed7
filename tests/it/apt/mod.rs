//! Debian repositories: signatures, indices, closures compared with apt.

pub mod archive;
mod closure;
mod repository;
mod signature;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use khimg::arch::Arch;
use khimg::catalog::system::Base;
use khimg::catalog::{AptLayout, AptSource, Catalog, Family, Source, System};
use khimg::cluster::{
    Bootstrap, Cluster, Cni, Dns, Endpoint, EndpointMode, EtcdMode, ImageChoice, KubeProxy, Network, Role, Seeding,
    Trust,
};
use khimg::kubernetes::Runtime;
use khimg::kubernetes::releases::Releases;
use khimg::lock::Lock;
use khimg::mirrors::{Mirrors, SystemEntry};
use khimg::net::{Net, NetOptions};
use khimg::profile::{PackageRequirement, Requirements, RoleRequirements};
use khimg::registry::Credentials;
use khimg::report::{Event, Reporter};
use khimg::resolve::{Resolution, ResolveError, Upgrade, resolve};
use khimg::store::Store;
use khimg::target::Target;

/// A directory that lives as long as the test binary. Statics are never dropped, so each run clears what earlier ones left.
pub fn scratch(name: &str) -> PathBuf {
    const PREFIX: &str = "khimg-it-";
    let temporary = std::env::temp_dir();
    for entry in fs::read_dir(&temporary).into_iter().flatten().flatten() {
        let file_name = entry.file_name();
        let process = file_name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // Where it was a gpg home, an agent may still be at work in it.
            let _ = Command::new("gpgconf").arg("--homedir").arg(entry.path()).args(["--kill", "all"]).output();
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let path = temporary.join(format!("{PREFIX}{}-{name}", std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&path).expect("a directory of our own");
    path
}

/// Keeps what it is told.
#[derive(Default)]
pub struct Told(Mutex<Vec<Event>>);

impl Reporter for Told {
    fn report(&self, event: Event) {
        self.0.lock().expect("lock").push(event);
    }
}

impl Told {
    /// All notes and warnings, one per line.
    pub fn text(&self) -> String {
        let events = self.0.lock().expect("lock");
        let lines = events.iter().filter_map(|event| match event {
            Event::Note { text } => Some(format!("note: {text}\n")),
            Event::Warning { text } => Some(format!("warning: {text}\n")),
            _ => None,
        });
        lines.collect()
    }
}

/// Everything that a resolution needs, on a store of its own.
pub struct Bench {
    pub catalog: Catalog,
    pub order: Vec<String>,
    pub trust: BTreeMap<String, Trust>,
    pub system: Vec<SystemEntry>,
    pub previous: Option<Lock>,
    pub upgrade: Upgrade,
    pub told: Arc<Told>,
    pub store: Store,
    _directory: tempfile::TempDir,
}

impl Bench {
    /// With one operating system, `debian-12`, which draws from `sources`, in order.
    pub fn new(sources: &[(&str, AptSource)], base: Base) -> Self {
        let system = System {
            family: Family::Debian,
            codename: "bookworm".to_owned(),
            distribution: "debian".to_owned(),
            el: String::new(),
            sources: sources.iter().map(|(name, _)| (*name).to_owned()).collect(),
            sources_on: BTreeMap::new(),
            base,
            rehearsal: Vec::new(),
            image: None,
        };
        let sources = sources.iter().map(|(name, apt)| ((*name).to_owned(), Source::Apt(apt.clone())));
        Self::of("debian-12", system, sources.collect())
    }

    /// With one operating system.
    pub fn of(os: &str, system: System, sources: BTreeMap<String, Source>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let catalog = Catalog {
            sources,
            keys: BTreeMap::new(),
            components: BTreeMap::new(),
            systems: [(os.to_owned(), system)].into(),
            digests: BTreeMap::new(),
            kubernetes: Releases::default(),
            limits: Vec::new(),
        };
        Self {
            catalog,
            order: vec!["first".to_owned(), "second".to_owned(), "third".to_owned(), "system".to_owned()],
            trust: BTreeMap::new(),
            system: Vec::new(),
            previous: None,
            upgrade: Upgrade::Nothing,
            told: Arc::default(),
            store: Store::open(&directory.path().join("store")).expect("a store"),
            _directory: directory,
        }
    }

    pub fn net(&self) -> Net {
        Net::new(NetOptions::default(), self.told.clone()).expect("a client")
    }

    pub fn mirrors(&self) -> Mirrors {
        Mirrors::new(&cluster(&self.order, &self.trust), self.system.clone())
    }

    /// Resolves the packages that role `lb` asks for.
    pub fn resolve(&self, packages: &[(&str, Option<&str>)]) -> Result<Resolution, ResolveError> {
        self.resolve_all(&requirements("1.20.2", packages))
    }

    pub fn resolve_all(&self, requirements: &Requirements) -> Result<Resolution, ResolveError> {
        let (mirrors, net) = (self.mirrors(), self.net());
        let nobody = Credentials::default();
        let previous = self.previous.as_ref();
        let work = resolve(requirements, &self.catalog, &mirrors, &net, &self.store, &nobody, previous, &self.upgrade);
        tokio::runtime::Runtime::new().expect("a runtime").block_on(work)
    }
}

pub fn target() -> Target {
    Target { os: "debian-12".to_owned(), arch: Arch::Amd64 }
}

/// Role `lb` asks for packages, each on behalf of a component of the same name.
pub fn requirements(kubernetes: &str, packages: &[(&str, Option<&str>)]) -> Requirements {
    requirements_on(target(), kubernetes, packages)
}

/// The same on another operating system.
pub fn requirements_on(target: Target, kubernetes: &str, packages: &[(&str, Option<&str>)]) -> Requirements {
    let packages = packages.iter().map(|(name, version)| PackageRequirement {
        component: (*name).to_owned(),
        name: (*name).to_owned(),
        version: version.map(str::to_owned),
        sources: Vec::new(),
    });
    let role = RoleRequirements {
        role: Role::Lb,
        target,
        packages: packages.collect(),
        files: Vec::new(),
        images: Vec::new(),
        addons: Vec::new(),
    };
    Requirements { kubernetes: kubernetes.parse().expect("a version"), roles: vec![role] }
}

/// A source of one suite, `bookworm`, with one component, `main`.
pub fn source(fingerprints: &[&str], mirrors: &[(&str, &str)]) -> AptSource {
    AptSource {
        layout: AptLayout::Suite { suites: vec!["{codename}".to_owned()], components: vec!["main".to_owned()] },
        fingerprints: fingerprints.iter().map(|text| (*text).to_owned()).collect(),
        keys: vec!["key".to_owned()],
        key_path: None,
        frozen: false,
        mirrors: mirrors.iter().map(|(name, base)| ((*name).to_owned(), (*base).to_owned())).collect(),
    }
}

fn cluster(order: &[String], trust: &BTreeMap<String, Trust>) -> Cluster {
    let net = |text: &str| text.parse().expect("a network");
    Cluster {
        name: "test".to_owned(),
        kubernetes: "1.20.2".parse().expect("a version"),
        target: target(),
        runtime: Runtime::Containerd,
        endpoint: Endpoint {
            mode: EndpointMode::Stacked,
            address: "192.168.30.200".parse().expect("an address"),
            port: 8443,
            interface: "ens160".to_owned(),
            virtual_router_id: 50,
            names: Vec::new(),
        },
        etcd: EtcdMode::Stacked,
        bootstrap: Bootstrap::Symmetric,
        network: Network {
            pod_subnet: net("10.244.0.0/16"),
            service_subnet: net("10.96.0.0/12"),
            dns_domain: "cluster.local".to_owned(),
            cni: Cni::Flannel,
            dns: Dns::Coredns,
            kube_proxy: KubeProxy::Iptables,
            coredns: khimg::cluster::Coredns::default(),
        },
        mirrors: order.to_vec(),
        mirror_definitions: BTreeMap::new(),
        depots: Vec::new(),
        seeding: Seeding::default(),
        image: ImageChoice::default(),
        trust: trust.clone(),
        components: BTreeMap::new(),
        compat: khimg::cluster::Compat::default(),
        addons: Vec::new(),
        join_until: jiff::SignedDuration::from_hours(720),
        token_life: jiff::SignedDuration::from_hours(24),
        nodes: Vec::new(),
    }
}
