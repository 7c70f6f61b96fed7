//! Rocky Linux 9.

use std::fs;
use std::process::Command;

use khimg::arch::Arch;
use khimg::cluster::Role;

use super::super::packages::unpack;
use super::{dnf, khimg, kubernetes_images, locked, mirrors, nodes, packages, project, publish, registry, versions};
use crate::apt::archive::{Key, run};
use crate::support::lab::lab;
use crate::support::mirror::Mirror;
use crate::support::registry::Storage;
use crate::yum::tree::{Rpm, Rpms, Tree};

const BASE_OS: &[Rpm<'_>] = &[
    ("glibc", "2.34-100.el9", "Provides: libc.so.6()(64bit)\nProvides: libc.so.6(GLIBC_2.34)(64bit)"),
    ("bash", "5.1.8-9.el9", "Provides: /bin/sh\nRequires: libc.so.6(GLIBC_2.34)(64bit)"),
    ("coreutils", "8.32-36.el9", ""),
    ("systemd", "252-46.el9", "Requires: (util-linux if bash)"),
    ("util-linux", "2.37.4-20.el9", ""),
    ("rpm", "4.16.1.3-34.el9", ""),
    ("dnf", "4.14.0-17.el9", "arch: noarch\nRequires: rpm"),
    ("rocky-release", "9.5-1.2.el9", "arch: noarch"),
    ("kmod", "28-10.el9", ""),
    ("iproute", "6.2.0-6.el9_4", ""),
    ("chrony", "4.5-3.el9", ""),
    ("ca-certificates", "2024.2.69_v8.0.303-91.4.el9_4", "arch: noarch"),
    ("ethtool", "2:6.2-1.el9", ""),
    ("iptables-libs", "1.8.10-4.el9_4", ""),
];
const APP_STREAM: &[Rpm<'_>] = &[
    ("conntrack-tools", "1.4.7-4.el9", "Provides: conntrack = 1.4.7-4.el9"),
    // A provide without a version satisfies a need of any, which is how it stands in for iptables.
    (
        "iptables-nft",
        "1.8.10-4.el9_4",
        "Provides: iptables\nProvides: ebtables\nRequires: iptables-libs = 1.8.10-4.el9_4",
    ),
    ("socat", "1.7.4.1-6.el9", ""),
    ("container-selinux", "3:2.232.1-1.el9", "arch: noarch"),
];
const DOCKER: &[Rpm<'_>] = &[("containerd.io", "1.6.33-3.1.el9", "Requires: container-selinux >= 2:2.74")];
const KUBELET: &str =
    "Requires: kubernetes-cni >= 0.8.7\nRequires: conntrack\nRequires: socat\nRequires: iptables >= 1.4.21\n";
const KUBEADM: &str = "Requires: kubelet >= 1.13.0\nRequires: kubectl >= 1.13.0\n";

/// What a machine has before khimg comes.
const BASE: &[&str] = &["glibc", "bash", "coreutils", "systemd", "util-linux", "rpm", "dnf", "rocky-release"];

/// What a worker asks for.
const ASKED: &[&str] = &[
    "kubelet-1.20.2",
    "kubeadm-1.20.2",
    "kubectl-1.20.2",
    "containerd.io-1.6.33",
    "kmod",
    "iproute",
    "chrony",
    "ca-certificates",
    "conntrack-tools",
    "ebtables",
    "ethtool",
    "iptables",
    "socat",
];

/// The sources of the catalogue, and where the trees of these tests have them.
const SOURCES: [(&str, &str); 3] =
    [("rocky-9", "rocky"), ("docker-ce-rpm", "docker-ce/linux/centos"), ("kubernetes-legacy-rpm", "kubernetes/yum")];

/// Where each repository is.
fn repositories(machine: &str) -> [String; 5] {
    [
        format!("rocky/9/BaseOS/{machine}/os"),
        format!("rocky/9/AppStream/{machine}/os"),
        format!("rocky/9/extras/{machine}/os"),
        format!("docker-ce/linux/centos/9/{machine}/stable"),
        format!("kubernetes/yum/repos/kubernetes-el7-{machine}"),
    ]
}

/// Everything but Kubernetes, for one machine. Gives the files of the base system.
fn system(tree: &Tree, machine: &str) -> Vec<std::path::PathBuf> {
    let [base, apps, extras, docker, _] = repositories(machine);
    let files = publish(tree, &base, machine, BASE_OS);
    for (path, packages) in [(&apps, APP_STREAM), (&extras, &[]), (&docker, DOCKER)] {
        publish(tree, path, machine, packages);
    }
    for path in [&base, &apps, &extras, &docker] {
        tree.sign(path, Key::shared());
    }
    files
}

/// Kubernetes' first tree keeps its packages beside the repository.
fn kubernetes(tree: &Tree, machine: &str, packages: &[Rpm<'_>]) {
    let rpms = Rpms::build_for(machine, packages);
    Key::shared().sign_rpms(&rpms.files(), false);
    tree.pooled(&repositories(machine)[4], &format!("kubernetes/yum/pool-{machine}"), &rpms.files());
}

/// The programs and images of Kubernetes are real here: those of the tests' own mirror, the programs packed as rpm.
#[test]
fn rocky_9_with_the_real_kubernetes_1_20_2_as_rpm_and_stand_ins_for_the_rest() {
    let lab = lab();
    let programs = tempfile::tempdir().expect("a directory");
    for name in ["kubelet", "kubeadm", "kubectl"] {
        let url = format!("{}/dl/release/v1.20.2/bin/linux/amd64/{name}", lab.http);
        let mut curl = Command::new("curl");
        run(curl.args(["--fail", "--silent", "--show-error", "-o"]).arg(programs.path().join(name)).arg(url));
    }
    let from =
        |name: &str, more: &str| format!("{more}from: {} to /usr/bin/{name}", programs.path().join(name).display());
    let texts = [from("kubelet", KUBELET), from("kubeadm", KUBEADM), from("kubectl", "")];
    let real = [
        ("kubelet", "1.20.2-0", texts[0].as_str()),
        ("kubeadm", "1.20.2-0", &texts[1]),
        ("kubectl", "1.20.2-0", &texts[2]),
        ("kubernetes-cni", "0.8.7-0", ""),
    ];
    let tree = Tree::new();
    let base = system(&tree, "x86_64");
    kubernetes(&tree, "x86_64", &real);
    let mirror = Mirror::serving(tree.root());
    let sandbox = project();
    let cluster = format!(
        "name: rocky\nkubernetes: 1.20.2\ntarget: {{os: rocky-9, arch: amd64}}\nruntime: containerd\n\
         endpoint: {{mode: external, address: 10.77.0.100, port: 6443, interface: ens160}}\n\
         network: {{cni: bridge, dns: none}}\n{}{}",
        mirrors(mirror.url(), &SOURCES, &format!("http://{}", lab.registry)),
        nodes(false)
    );
    sandbox.write("cluster.yaml", cluster);
    khimg(&sandbox, &["build", "--profile", "worker"]);
    let bundle = "dist/public/bundles/worker-rocky-9-amd64.tar.zst";
    let worker = versions(&packages(&sandbox, bundle));
    assert_eq!(worker["kubelet"], "1.20.2-0");
    assert!(worker.contains_key("iptables-nft") && worker.contains_key("container-selinux"), "{worker:?}");

    let below = repositories("x86_64");
    let dnf = dnf(mirror.url(), &below.each_ref().map(String::as_str), &base, BASE);
    let theirs = dnf.would_install(&[ASKED.to_vec()]);
    assert_eq!(worker, *theirs[0].as_ref().expect("resolved"));

    let unpacked = unpack(&sandbox.path(bundle));
    assert!(dnf.accepts(&unpacked.path().join("packages")), "rpm would not install the bundle's packages");
    let root = tempfile::tempdir().expect("a directory");
    let packages = fs::read_dir(unpacked.path().join("packages")).expect("packages");
    let kubeadm = packages.map(|entry| entry.expect("entry").path());
    let kubeadm = kubeadm.into_iter().find(|path| path.to_string_lossy().contains("kubeadm")).expect("kubeadm");
    let mut install = Command::new("rpm");
    run(install.arg("--root").arg(root.path()).args(["-i", "--nodeps", "--nosignature"]).arg(kubeadm));
    let said = run(Command::new(root.path().join("usr/bin/kubeadm")).args(["version", "-o", "short"]));
    assert_eq!(String::from_utf8_lossy(&said).trim(), "v1.20.2");
}

/// Masters on amd64 and a worker on arm64: each has packages and images of its own architecture, and files that name them alike.
#[test]
fn one_cluster_of_two_architectures_from_stand_in_packages_and_images() {
    let tree = Tree::new();
    let programs = [
        ("kubelet", "1.20.2-0", KUBELET),
        ("kubeadm", "1.20.2-0", KUBEADM),
        ("kubectl", "1.20.2-0", ""),
        ("kubernetes-cni", "0.8.7-0", ""),
    ];
    for machine in ["x86_64", "aarch64"] {
        system(&tree, machine);
        kubernetes(&tree, machine, &programs);
    }
    let mirror = Mirror::serving(tree.root());
    let storage = Storage::new();
    let Some(registry) = registry(&storage, &kubernetes_images("v1.20.2", "3.4.13-0", "3.2")) else { return };
    let sandbox = project();
    let cluster = format!(
        "name: two\nkubernetes: 1.20.2\ntarget: {{os: rocky-9, arch: amd64}}\n\
         endpoint: {{mode: external, address: 10.77.0.100, port: 6443, interface: ens160}}\n\
         network: {{cni: bridge, dns: none}}\n{}{} - {{name: worker-2, role: worker, address: 10.77.0.22/24, target: {{arch: arm64}}}}\n",
        mirrors(mirror.url(), &SOURCES, &registry.base()),
        nodes(false)
    );
    sandbox.write("cluster.yaml", cluster);
    khimg(&sandbox, &["lock"]);
    khimg(&sandbox, &["fetch"]);
    let ours = ["amd64", "arm64"].map(|arch| locked(&sandbox, Role::Worker, &format!("rocky-9-{arch}")));
    assert_eq!(ours[0], ours[1], "the same versions");
    assert!(ours[0].contains_key("kubelet") && !ours[0].contains_key("glibc"));
    let lock = khimg::lock::read(&sandbox.path("khimg.lock")).expect("a lock");
    for package in &lock.packages {
        let machine = if package.target.arch == Arch::Arm64 { "aarch64" } else { "x86_64" };
        let own = package.path.ends_with(&format!(".{machine}.rpm"));
        assert!(own || package.path.ends_with(".noarch.rpm"), "{} for {machine}", package.path);
    }
    let digests = |arch| {
        let images = lock.images.iter().filter(move |image| image.arch == arch && image.name.contains("/kube-proxy:"));
        images.map(|image| image.manifest.sha256).collect::<Vec<_>>()
    };
    assert_eq!((digests(Arch::Amd64).len(), digests(Arch::Arm64).len()), (1, 1));
    assert_ne!(digests(Arch::Amd64), digests(Arch::Arm64));
    khimg(&sandbox, &["render", "--out", "files"]);
    let proxy = |node: &str| sandbox.read(format!("files/{node}/etc/containerd/config.toml"));
    assert_eq!(proxy("worker-1"), proxy("worker-2"));
}
