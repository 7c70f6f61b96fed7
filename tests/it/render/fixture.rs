//! Clusters, profiles and a lock, built by hand from their types: 1.20.2 on Debian 12, as the rehearsal runs it.

use std::collections::BTreeMap;

use crate::support::empty;
use khimg::arch::Arch;
use khimg::catalog::Catalog;
use khimg::cluster::{
    Bootstrap, Cluster, Cni, Compat, Dns, Endpoint, EndpointMode, EtcdMode, ImageChoice, KubeProxy, Network, Node,
    Role, Seeding,
};
use khimg::digest::Digest;
use khimg::inventory::Inventory;
use khimg::kubernetes::{Runtime, VersionRequest};
use khimg::lock::{Blob, Image, Lock, Package, Proof, Why};
use khimg::profile::Profiles;
use khimg::render::{Inputs, Overlays, Rendered, render};
use khimg::secrets::Secrets;
use khimg::target::Target;

pub fn target() -> Target {
    Target { os: "debian-12".to_owned(), arch: Arch::Amd64 }
}

pub fn node(name: &str, role: Role, host: u8) -> Node {
    Node {
        name: name.to_owned(),
        role,
        address: format!("192.168.30.{host}/24").parse().expect("an address"),
        gateway: Some([192, 168, 30, 1].into()),
        nameservers: vec![[192, 168, 30, 2].into()],
        mac: Some(format!("52:54:00:00:00:{host:02}").parse().expect("a MAC address")),
        serial: None,
        uuid: None,
        interface: "ens160".to_owned(),
        target: None,
    }
}

/// Three masters and a worker; an lb node where the endpoint's mode has one.
pub fn cluster(mode: EndpointMode, cni: Cni) -> Cluster {
    let mut nodes = vec![
        node("master-1", Role::Master, 11),
        node("master-2", Role::Master, 12),
        node("master-3", Role::Master, 13),
        node("worker-1", Role::Worker, 21),
    ];
    if matches!(mode, EndpointMode::Dedicated | EndpointMode::SingleLb) {
        nodes.push(node("lb-1", Role::Lb, 31));
    }
    Cluster {
        name: "lab".to_owned(),
        kubernetes: VersionRequest { minor: 20, patch: Some(2) },
        target: target(),
        runtime: Runtime::Containerd,
        endpoint: Endpoint {
            mode,
            address: [192, 168, 30, 200].into(),
            port: 8443,
            interface: "ens160".to_owned(),
            virtual_router_id: 50,
            names: Vec::new(),
        },
        etcd: EtcdMode::Stacked,
        bootstrap: Bootstrap::Symmetric,
        network: Network {
            pod_subnet: "10.244.0.0/16".parse().expect("a subnet"),
            service_subnet: "10.96.0.0/12".parse().expect("a subnet"),
            dns_domain: "cluster.local".to_owned(),
            cni,
            dns: Dns::Coredns,
            kube_proxy: KubeProxy::Iptables,
            coredns: khimg::cluster::Coredns::default(),
        },
        mirrors: Vec::new(),
        mirror_definitions: BTreeMap::new(),
        trust: BTreeMap::new(),
        components: BTreeMap::new(),
        compat: Compat::default(),
        addons: Vec::new(),
        depots: vec!["http://192.168.30.2:8080/public".to_owned()],
        seeding: Seeding::default(),
        image: ImageChoice::default(),
        join_until: jiff::SignedDuration::from_hours(24 * 30),
        token_life: jiff::SignedDuration::from_hours(24),
        nodes,
    }
}

/// The same with Docker and another version of Kubernetes.
pub fn with_docker(cluster: Cluster, minor: u16) -> Cluster {
    Cluster { runtime: Runtime::Docker, kubernetes: VersionRequest { minor, patch: Some(2) }, ..cluster }
}

fn image(name: &str, roles: &[Role]) -> Image {
    let blob = Blob { media_type: "test".to_owned(), size: 1, sha256: Digest::of(name.as_bytes()) };
    Image {
        arch: Arch::Amd64,
        name: name.to_owned(),
        source: "kubernetes-images".to_owned(),
        repository: "x".to_owned(),
        tag: "x".to_owned(),
        index: None,
        manifest: blob.clone(),
        config: blob.clone(),
        layers: vec![blob],
        proof: Proof::Tag,
        why: roles.iter().map(|role| Why { role: *role, component: "x".to_owned(), chain: Vec::new() }).collect(),
    }
}

/// A package of the lock.
pub fn package(name: &str, version: &str) -> Package {
    Package {
        target: target(),
        name: name.to_owned(),
        version: version.to_owned(),
        arch: "amd64".to_owned(),
        size: 1,
        sha256: Digest::of(name.as_bytes()),
        source: "debian".to_owned(),
        path: "x".to_owned(),
        proof: Proof::Catalogue,
        why: Vec::new(),
    }
}

pub fn lock() -> Lock {
    let (master, both) = ([Role::Master], [Role::Master, Role::Worker]);
    let images = [
        ("registry.k8s.io/kube-apiserver:v1.20.2", &master[..]),
        ("registry.k8s.io/kube-controller-manager:v1.20.2", &master),
        ("registry.k8s.io/kube-scheduler:v1.20.2", &master),
        ("registry.k8s.io/kube-proxy:v1.20.2", &both),
        ("registry.k8s.io/etcd:3.4.13-0", &master),
        ("registry.k8s.io/coredns:1.7.0", &both),
        ("registry.k8s.io/pause:3.2", &both),
        ("ghcr.io/flannel-io/flannel:v0.28.9", &both),
        ("ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel3", &both),
    ];
    Lock {
        kubernetes: Some("1.20.2".parse().expect("a version")),
        packages: vec![
            package("containerd", "1.6.20~ds1-1+deb12u3"),
            package("docker.io", "20.10.24+dfsg1-1+deb12u1"),
            package("etcd-server", "3.4.23-4+b4"),
            package("haproxy", "2.6.12-1+deb12u4"),
            package("kubelet", "1.20.2-00"),
            package("kubernetes-cni", "0.8.7-00"),
        ],
        images: images.iter().map(|(name, roles)| image(name, roles)).collect(),
        ..empty::lock()
    }
}

/// The built-in catalogue.
pub fn catalog() -> Catalog {
    khimg::catalog::load(None).expect("the built-in catalogue")
}

/// The built-in profiles.
pub fn profiles() -> Profiles {
    khimg::profile::load(None, &catalog()).expect("the built-in profiles")
}

pub fn overlays() -> Overlays {
    Overlays::load(None).expect("the built-in overlays")
}

/// The whole cluster with stand-ins for its secrets.
pub fn dry_run(cluster: &Cluster) -> Rendered {
    rendered(cluster, &Secrets::stand_in())
}

pub fn rendered(cluster: &Cluster, secrets: &Secrets) -> Rendered {
    try_render(cluster, &overlays(), &profiles(), secrets).unwrap_or_else(|error| panic!("{error}"))
}

/// The same with another lock.
pub fn locked(cluster: &Cluster, lock: &Lock) -> Rendered {
    let inputs = (&overlays(), &profiles(), &Secrets::stand_in());
    from_lock(cluster, inputs, lock).unwrap_or_else(|error| panic!("{error}"))
}

pub fn try_render(
    cluster: &Cluster,
    overlays: &Overlays,
    profiles: &Profiles,
    secrets: &Secrets,
) -> Result<Rendered, khimg::render::RenderError> {
    from_lock(cluster, (overlays, profiles, secrets), &lock())
}

fn from_lock(
    cluster: &Cluster,
    (overlays, profiles, secrets): (&Overlays, &Profiles, &Secrets),
    lock: &Lock,
) -> Result<Rendered, khimg::render::RenderError> {
    let inventory = &Inventory::of_lock(lock);
    let inputs =
        Inputs { cluster, profiles, catalog: &catalog(), inventory, overlays, secrets, addons: &BTreeMap::new() };
    render(&inputs, None, None)
}

/// Writes a node's files under a new directory, as they would lie on the node.
pub fn unpack(rendered: &Rendered, node: &str) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().expect("a directory");
    for (path, entry) in rendered.all_files(node).expect("a node").iter() {
        let place = root.path().join(path.relative());
        std::fs::create_dir_all(place.parent().expect("a parent")).expect("directories");
        std::fs::write(&place, entry.bytes().expect("a regular file")).expect("a file");
        let mode = std::fs::Permissions::from_mode(entry.mode.bits());
        std::fs::set_permissions(&place, mode).expect("its mode");
    }
    root
}
