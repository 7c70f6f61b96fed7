//! What roles need.

use std::fmt::Write as _;

use khimg::catalog::Catalog;
use khimg::catalog::Packaging;
use khimg::cluster::{Cluster, Role};
use khimg::exit::{Exit, Explain};
use khimg::profile::{self, RequireError, RoleRequirements};

use super::{built_in, example};
use crate::support::golden::assert_golden;

fn require(
    cluster: &Cluster,
    catalog: &Catalog,
    roles: Option<&[Role]>,
) -> Result<Vec<RoleRequirements>, RequireError> {
    let profiles = profile::load(None, catalog).unwrap_or_else(|problems| panic!("{problems}"));
    Ok(profile::require(cluster, &profiles, catalog, roles)?.roles)
}

/// One line for each thing that is needed.
fn told(roles: &[RoleRequirements]) -> String {
    let mut text = String::new();
    for role in roles {
        writeln!(text, "{}", role.key()).expect("in memory");
        for package in &role.packages {
            let version = package.version.as_deref().unwrap_or("*");
            let sources = if package.sources.is_empty() { "the system's" } else { &package.sources.join(", ") };
            writeln!(text, "  package {} {version} from {sources} for {}", package.name, package.component)
                .expect("in memory");
        }
        for file in &role.files {
            let (name, version, source, path) = (&file.name, &file.version, &file.source, &file.path);
            writeln!(text, "  file {name} {version} from {source}: {path} for {}", file.component).expect("in memory");
            writeln!(text, "    checksums {:?}, to {:?}", file.checksums, file.install).expect("in memory");
        }
        for image in &role.images {
            let (name, tag, source, repository) = (&image.name, &image.tag, &image.source, &image.repository);
            writeln!(text, "  image {name}:{tag} from {source}: {repository} for {}", image.component)
                .expect("in memory");
        }
    }
    text
}

fn golden(name: &str, changes: &[(&str, &str)]) {
    let catalog = built_in();
    let cluster = example(&catalog, changes);
    let roles = require(&cluster, &catalog, Some(&Role::ALL)).expect("supported");
    assert_golden(&format!("tests/golden/require/{name}.txt"), &told(&roles));
}

#[test]
fn kubernetes_1_20() {
    golden("1.20.2", &[("kubernetes: 1.34.2", "kubernetes: 1.20.2")]);
}

#[test]
fn kubernetes_1_34() {
    golden("1.34.2", &[]);
}

#[test]
fn kubernetes_1_34_as_plain_files() {
    golden(
        "1.34.2-files",
        &[("# components:\n#   kubernetes: {source: file}", "components: {kubernetes: {source: file}}")],
    );
}

/// No network plugin that comes as an image, no DNS, a mode of kube-proxy with tools, etcd and the endpoint elsewhere.
#[test]
fn kubernetes_1_20_bare() {
    golden(
        "1.20.2-bare",
        &[
            ("kubernetes: 1.34.2", "kubernetes: '1.20'"),
            ("cni: flannel ", "cni: bridge "),
            ("dns: coredns ", "dns: none "),
            ("kubeProxy: iptables ", "kubeProxy: ipvs "),
            ("mode: stacked                 # default", "mode: single-lb                 # default"),
            ("etcd: {mode: stacked}", "etcd: {mode: external}"),
            ("  vip: 192.168.30.200", "  # vip: 192.168.30.200"),
            (
                "nodes:\n",
                "nodes:\n  - {name: lb-1, role: lb, address: 192.168.30.9/24}\n  - {name: etcd-1, role: etcd, address: 192.168.30.8/24}\n",
            ),
        ],
    );
}

/// Whoever asks for nothing in particular gets the roles that the cluster has nodes of.
#[test]
fn only_roles_with_nodes() {
    let catalog = built_in();
    let cluster = example(&catalog, &[]);
    let keys = |roles: Option<&[Role]>| -> Vec<String> {
        require(&cluster, &catalog, roles).expect("supported").iter().map(RoleRequirements::key).collect()
    };
    assert_eq!(keys(None), ["master-debian-12-amd64", "worker-debian-12-amd64"]);
    assert_eq!(keys(Some(&[Role::Lb])), ["lb-debian-12-amd64"]);
    assert_eq!(keys(Some(&[])), [""; 0]);
}

/// A node with a target of its own gives its role a second entry.
#[test]
fn one_entry_for_each_target() {
    let catalog = built_in();
    let mut cluster = example(&catalog, &[]);
    let worker = cluster.nodes.iter_mut().find(|node| node.role == Role::Worker).expect("has one");
    worker.target = Some(khimg::target::Target { os: "debian-12".to_owned(), arch: khimg::arch::Arch::Arm64 });
    let roles = require(&cluster, &catalog, None).expect("supported");
    let keys: Vec<_> = roles.iter().map(RoleRequirements::key).collect();
    assert_eq!(keys, ["master-debian-12-amd64", "worker-debian-12-arm64"]);
}

/// What `lb` needs does not depend on the Kubernetes version.
#[test]
fn lb_needs_no_kubernetes() {
    let catalog = built_in();
    let roles = |version: &str| {
        let cluster = example(&catalog, &[("kubernetes: 1.34.2", version)]);
        told(&require(&cluster, &catalog, Some(&[Role::Lb])).expect("supported"))
    };
    assert_eq!(roles("kubernetes: 1.20.2"), roles("kubernetes: 1.36.4"));
}

/// Every minor, both architectures, all roles and both forms: something is needed, and no variable but those of the release stays.
#[test]
fn every_minor_is_served() {
    let catalog = built_in();
    let mut cluster = example(&catalog, &[]);
    for minor in 14..=36 {
        for arch in khimg::arch::Arch::ALL {
            for source in [Packaging::Package, Packaging::File] {
                cluster.kubernetes.minor = minor;
                cluster.target.arch = arch;
                let choice = khimg::cluster::ComponentChoice { source: Some(source), version: None };
                cluster.components.insert("kubernetes".to_owned(), choice);
                let roles = require(&cluster, &catalog, Some(&Role::ALL));
                let text = told(&roles.unwrap_or_else(|error| panic!("1.{minor}: {error}")));
                let open = ["kubernetes", "etcd", "coredns", "pause"].map(|name| format!("{{{name}}}"));
                let filled = open.iter().fold(text.clone(), |text, name| text.replace(name, "x"));
                // Debug output of `Install::Archive` has braces of its own, with a space inside.
                let left = filled.match_indices('{').any(|(at, _)| !filled[at..].starts_with("{ "));
                assert!(!left, "1.{minor} {arch}:\n{text}");
                let wanted = if source == Packaging::File { "  file kubelet " } else { "  package kubelet " };
                assert_eq!(text.matches(wanted).count(), 2, "1.{minor} {arch}:\n{text}");
            }
        }
    }
}

#[test]
fn refusals() {
    let catalog = built_in();
    let good = example(&catalog, &[]);
    let choose = |component: &str, source, version: Option<&str>| {
        let mut cluster = good.clone();
        let choice = khimg::cluster::ComponentChoice { source, version: version.map(str::to_owned) };
        cluster.components.insert(component.to_owned(), choice);
        cluster
    };
    let mut foreign = good.clone();
    foreign.target.os = "plan-9".to_owned();
    let mut flat = catalog.clone();
    flat.components.get_mut("base").expect("a component").packages.clear();
    let table = [
        (
            require(&choose("containerd", Some(Packaging::Package), None), &catalog, None),
            Exit::Unsupported,
            "the catalogue has no package of containerd for Kubernetes 1.34.2 on debian-12-amd64",
            "write `source: file` or `source: vendor` below `components: containerd`",
        ),
        (
            require(&choose("etcd", Some(Packaging::Package), None), &catalog, Some(&[Role::Etcd])),
            Exit::Unsupported,
            "the catalogue has no package of etcd for Kubernetes 1.34.2 on debian-12-amd64",
            "write `source: file` below `components: etcd`",
        ),
        (
            require(&choose("haproxy", Some(Packaging::File), None), &catalog, None),
            Exit::Unsupported,
            "the catalogue has nothing to choose for haproxy",
            "remove `haproxy` from `components` in the cluster file",
        ),
        (
            require(&choose("haproxxy", None, Some("2.6.*")), &catalog, None),
            Exit::BadInput,
            "the cluster file chooses for the component \"haproxxy\", which the catalogue does not have",
            "`khimg catalog list` shows the components",
        ),
        (
            require(&choose("etcd", Some(Packaging::File), Some("3.6.*")), &catalog, Some(&[Role::Etcd])),
            Exit::BadInput,
            "the version \"3.6.*\" of etcd is a pattern, but a plain file or an image needs an exact one",
            "write the whole version, without `*`",
        ),
        (
            require(&foreign, &catalog, None),
            Exit::Unsupported,
            "the catalogue does not have the operating system \"plan-9\"",
            "choose one of centos-7, centos-stream-8, debian-12, debian-13, openeuler-22.03, rocky-9, ubuntu-22.04, ubuntu-24.04 at `target`",
        ),
        (
            require(&good, &flat, None),
            Exit::Unsupported,
            "the catalogue has nothing of base for the role master with Kubernetes 1.34.2 on debian-12-amd64",
            "add base for this target to a catalogue of your own (`khimg catalog export`)",
        ),
    ];
    for (result, exit, message, hint) in table {
        let error = result.expect_err(message);
        assert_eq!((error.to_string().as_str(), error.exit()), (message, exit));
        assert_eq!(error.hint().as_deref(), Some(hint));
    }
}

/// A version that the cluster file names replaces the offer's, in packages and in paths.
#[test]
fn versions_can_be_chosen() {
    let catalog = built_in();
    let mut cluster = example(&catalog, &[]);
    let choice = |version: &str| khimg::cluster::ComponentChoice { source: None, version: Some(version.to_owned()) };
    cluster.components.insert("containerd".to_owned(), choice("2.1.*"));
    cluster.components.insert("etcd".to_owned(), choice("3.6.5"));
    let text = told(&require(&cluster, &catalog, Some(&[Role::Worker, Role::Etcd])).expect("supported"));
    assert!(text.contains("package containerd.io 2.1.* from docker-ce for containerd"), "{text}");
    assert!(
        text.contains(
            "file etcd 3.6.5 from github: etcd-io/etcd/releases/download/v3.6.5/etcd-v3.6.5-linux-amd64.tar.gz"
        ),
        "{text}"
    );
}

/// The distribution's Docker while Kubernetes spoke to it, Docker's own with cri-dockerd afterwards; either on request.
#[test]
fn docker_is_what_kubernetes_wants() {
    let catalog = built_in();
    let needed = |kubernetes: &str, source: Option<Packaging>| {
        let kubernetes = format!("kubernetes: {kubernetes}");
        let changes = [("kubernetes: 1.34.2", kubernetes.as_str()), ("runtime: containerd", "runtime: docker")];
        let mut cluster = example(&catalog, &changes);
        let choice = khimg::cluster::ComponentChoice { source, version: None };
        cluster.components.insert("docker".to_owned(), choice);
        let text = told(&require(&cluster, &catalog, Some(&[Role::Worker])).expect("supported"));
        let lines = text
            .lines()
            .filter(|line| line.contains("docker") && !line.contains("checksums") && !line.contains("ca-certificates"));
        lines.map(|line| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let vendor = |version: &str| ["docker-ce", "docker-ce-cli"].map(|name| format!("package {name} 5:{version}"));
    let shim = "file cri-dockerd 0.3.26".to_owned();
    assert_eq!(needed("1.20.2", None), ["package docker.io *"]);
    assert_eq!(needed("1.23", Some(Packaging::Vendor)), vendor("24.*"));
    assert_eq!(needed("1.24", None), [&vendor("28.*")[..], std::slice::from_ref(&shim)].concat());
    assert_eq!(needed("1.34.2", Some(Packaging::Package)), ["package docker.io *".to_owned(), shim]);
}

/// Kubernetes' own images can begin with another name on nodes; nobody else's are renamed.
#[test]
fn images_can_be_renamed() {
    let catalog = built_in();
    let mut cluster = example(&catalog, &[]);
    cluster.compat.image_repository = Some("registry.aliyuncs.com/google_containers".to_owned());
    let roles = require(&cluster, &catalog, Some(&[Role::Master])).expect("supported");
    let names: Vec<&str> = roles[0].images.iter().map(|image| image.name.as_str()).collect();
    for name in ["pause", "etcd", "kube-apiserver", "coredns/coredns"] {
        assert!(names.contains(&format!("registry.aliyuncs.com/google_containers/{name}").as_str()), "{names:?}");
    }
    assert!(
        names.contains(&"ghcr.io/flannel-io/flannel") && !names.iter().any(|name| name.starts_with("registry.k8s"))
    );
}
