//! CentOS 7 and CentOS Stream 8, from the vaults.

use std::fs;

use khimg::cluster::Role;

use super::super::packages::unpack;
use super::{dnf, khimg, kubernetes_images, locked, mirrors, nodes, packages, project, publish, registry, versions};
use crate::apt::archive::Key;
use crate::support::mirror::Mirror;
use crate::support::registry::Storage;
use crate::yum::tree::{Rpm, Rpms, Tree};

/// The base of CentOS 7 and what the cluster asks for, as far as dependencies among them go.
const CENTOS_OS: &[Rpm<'_>] = &[
    ("glibc", "2.17-317.el7", "Provides: libc.so.6()(64bit)"),
    ("bash", "4.2.46-34.el7", "Provides: /bin/sh\nRequires: libc.so.6()(64bit)\nfile: /usr/bin/bash"),
    ("coreutils", "8.22-24.el7", "Requires: libc.so.6()(64bit)"),
    ("systemd", "219-78.el7", "Requires: libc.so.6()(64bit)\nRequires: util-linux"),
    ("util-linux", "2.23.2-65.el7", "Requires: libc.so.6()(64bit)"),
    ("rpm", "4.11.3-45.el7", "Requires: /bin/sh"),
    ("yum", "3.4.3-168.el7.centos", "arch: noarch\nRequires: rpm >= 4.11.3-22"),
    ("centos-release", "7-9.2009.0.el7.centos", ""),
    ("kmod", "20-28.el7", "Requires: libc.so.6()(64bit)"),
    ("iproute", "4.11.0-30.el7", "Requires: libc.so.6()(64bit)"),
    ("chrony", "3.4-1.el7", "Requires: /bin/sh\nRequires: libseccomp.so.2()(64bit)"),
    ("libseccomp", "2.3.1-4.el7", "Provides: libseccomp.so.2()(64bit)"),
    ("ca-certificates", "2020.2.41-70.0.el7_8", "arch: noarch"),
    (
        "conntrack-tools",
        "1.4.4-7.el7",
        "Provides: conntrack = 1.0-1\nObsoletes: conntrack < 1.0-1\nRequires: libnetfilter_conntrack",
    ),
    ("libnetfilter_conntrack", "1.0.6-1.el7_3", ""),
    ("ebtables", "2.0.10-16.el7", ""),
    ("ethtool", "2:4.8-10.el7", ""),
    ("iptables", "1.4.21-35.el7", ""),
    ("socat", "1.7.3.2-2.el7", ""),
    ("haproxy", "1.5.18-9.el7", "Requires: /usr/sbin/useradd"),
    ("shadow-utils", "2:4.6-5.el7", "file: /usr/sbin/useradd"),
    ("keepalived", "1.3.5-19.el7", ""),
    ("libcgroup", "0.41-21.el7", ""),
    ("policycoreutils", "2.5-34.el7", ""),
];
const CENTOS_UPDATES: &[Rpm<'_>] = &[("haproxy", "1.5.18-9.el7_9.1", "Requires: /usr/sbin/useradd")];
const CENTOS_EXTRAS: &[Rpm<'_>] =
    &[("container-selinux", "2:2.119.2-1.911c772.el7_8", "arch: noarch\nRequires: policycoreutils >= 2.5-11")];
const DOCKER: &[Rpm<'_>] = &[
    ("docker-ce", "3:18.09.0-3.el7", "Requires: docker-ce-cli"),
    (
        "docker-ce",
        "3:18.09.9-3.el7",
        "Requires: container-selinux >= 2.9\nRequires: libcgroup\nRequires: docker-ce-cli\nRequires: containerd.io >= 1.2.2-3",
    ),
    ("docker-ce", "3:26.1.4-1.el7", "Requires: docker-ce-cli\nRequires: containerd.io >= 1.6.24"),
    ("docker-ce-cli", "1:18.09.9-3.el7", ""),
    ("docker-ce-cli", "1:26.1.4-1.el7", ""),
    ("containerd.io", "1.2.13-3.2.el7", "Requires: container-selinux >= 2:2.74"),
    ("containerd.io", "1.6.33-3.1.el7", "Requires: container-selinux >= 2:2.74"),
];
const KUBERNETES: &[Rpm<'_>] = &[
    (
        "kubelet",
        "1.14.0-0",
        "Requires: iptables >= 1.4.21\nRequires: kubernetes-cni = 0.7.5\nRequires: iproute\nRequires: socat\nRequires: util-linux\nRequires: ethtool\nRequires: ebtables\nRequires: conntrack",
    ),
    ("kubelet", "1.28.2-0", "Requires: kubernetes-cni >= 0.8.7\nRequires: conntrack"),
    (
        "kubeadm",
        "1.14.0-0",
        "Requires: kubelet >= 1.13.0\nRequires: kubectl >= 1.13.0\nRequires: kubernetes-cni >= 0.7.5\nRequires: cri-tools >= 1.11.0",
    ),
    ("kubeadm", "1.28.2-0", "Requires: kubelet >= 1.19.0"),
    ("kubectl", "1.14.0-0", ""),
    ("kubectl", "1.28.2-0", ""),
    ("kubernetes-cni", "0.7.5-0", ""),
    ("kubernetes-cni", "1.2.0-0", ""),
    ("cri-tools", "1.26.0-0", ""),
];

/// What a machine has before khimg comes.
const BASE: &[&str] = &["glibc", "bash", "coreutils", "systemd", "util-linux", "rpm", "yum", "centos-release"];

#[test]
fn centos_7_with_docker_18_09_and_kubernetes_1_14_from_stand_in_packages_and_images() {
    let key = Key::shared();
    let tree = Tree::new();
    let vault = "centos-vault/7.9.2009";
    let os = publish(&tree, &format!("{vault}/os/x86_64"), "x86_64", CENTOS_OS);
    publish(&tree, &format!("{vault}/updates/x86_64"), "x86_64", CENTOS_UPDATES);
    publish(&tree, &format!("{vault}/extras/x86_64"), "x86_64", CENTOS_EXTRAS);
    let docker = "docker-ce/linux/centos/7/x86_64/stable";
    publish(&tree, docker, "x86_64", DOCKER);
    tree.sign(docker, key);
    // Kubernetes' first tree keeps its packages beside the repository.
    let kubernetes = "kubernetes/yum/repos/kubernetes-el7-x86_64";
    let rpms = Rpms::build(KUBERNETES);
    key.sign_rpms(&rpms.files(), true);
    tree.pooled(kubernetes, "kubernetes/yum/pool", &rpms.files());
    let mirror = Mirror::serving(tree.root());
    let storage = Storage::new();
    let Some(registry) = registry(&storage, &kubernetes_images("v1.14.0", "3.3.10", "3.1")) else { return };

    let sandbox = project();
    let sources =
        [("centos-7", vault), ("docker-ce-rpm", "docker-ce/linux/centos"), ("kubernetes-legacy-rpm", "kubernetes/yum")];
    let cluster = format!(
        "name: old\nkubernetes: 1.14.0\ntarget: {{os: centos-7, arch: amd64}}\nruntime: docker\n\
         endpoint: {{mode: single-lb, port: 6443, interface: ens160}}\nnetwork: {{cni: bridge, dns: none}}\n{}{}",
        mirrors(mirror.url(), &sources, &registry.base()),
        nodes(true)
    );
    sandbox.write("cluster.yaml", cluster);
    khimg(&sandbox, &["build"]);

    let bundle = |role: &str| format!("dist/public/bundles/{role}-centos-7-amd64.tar.zst");
    let master = packages(&sandbox, &bundle("master"));
    for (name, version) in [
        ("kubelet", "1.14.0-0"),
        ("kubernetes-cni", "0.7.5-0"),
        ("docker-ce", "3:18.09.9-3.el7"),
        ("docker-ce-cli", "1:18.09.9-3.el7"),
        ("containerd.io", "1.6.33-3.1.el7"),
        ("container-selinux", "2:2.119.2-1.911c772.el7_8"),
    ] {
        assert_eq!(master.get(name).map(|(version, _)| version.as_str()), Some(version), "{name}");
    }
    assert!(!master.contains_key("bash") && !master.contains_key("glibc"), "the base is not carried");
    assert_eq!(master["docker-ce"].1["signature"], key.fingerprint.as_str());
    assert_eq!(master["kubelet"].1["package"][0], key.fingerprint.as_str());
    let lb = versions(&packages(&sandbox, &bundle("lb")));
    assert_eq!(lb["haproxy"], "1.5.18-9.el7_9.1", "the update");
    assert!(lb.contains_key("shadow-utils"), "for a file that haproxy needs");

    // dnf would install the same beside the same base.
    let below = ["os", "updates", "extras"].map(|part| format!("{vault}/{part}/x86_64"));
    let below = [below[0].as_str(), &below[1], &below[2], docker, kubernetes];
    let dnf = dnf(mirror.url(), &below, &os, BASE);
    let mut asked = vec!["kubelet-1.14.0", "kubeadm-1.14.0", "kubectl-1.14.0", "docker-ce-3:18.09.9"];
    asked.extend(["docker-ce-cli-1:18.09.9", "kmod", "iproute", "chrony", "ca-certificates", "conntrack-tools"]);
    asked.extend(["ebtables", "ethtool", "iptables", "socat"]);
    let theirs = dnf.would_install(&[asked, vec!["haproxy", "chrony", "kmod", "iproute"]]);
    assert_eq!(versions(&master), *theirs[0].as_ref().expect("resolved"));
    assert_eq!(lb, *theirs[1].as_ref().expect("resolved"));

    // rpm takes the whole set on that base, from the bundle's files alone.
    let unpacked = unpack(&sandbox.path(bundle("master")));
    assert!(dnf.accepts(&unpacked.path().join("packages")), "rpm would not install the bundle's packages");
    assert!(unpacked.path().join("images").read_dir().expect("images").count() >= 6);

    let again: Vec<u8> = fs::read(sandbox.path(bundle("master"))).expect("a bundle");
    khimg(&sandbox, &["build", "--locked", "--offline", "--check"]);
    assert_eq!(fs::read(sandbox.path(bundle("master"))).expect("a bundle"), again, "not the same bytes");
}

const STREAM_BASE: &[Rpm<'_>] = &[
    ("glibc", "2.28-251.el8", "Provides: libc.so.6()(64bit)"),
    ("bash", "4.4.20-5.el8", "Provides: /bin/sh\nRequires: libc.so.6()(64bit)"),
    ("coreutils", "8.30-15.el8", ""),
    ("systemd", "239-82.el8", "Requires: util-linux"),
    ("util-linux", "2.32.1-46.el8", ""),
    ("rpm", "4.14.3-31.el8", ""),
    ("dnf", "4.7.0-20.el8", "arch: noarch\nRequires: rpm"),
    ("centos-stream-release", "8.6-1.el8", "arch: noarch"),
    ("kmod", "25-20.el8", ""),
    ("iproute", "6.2.0-6.el8", "Recommends: iproute-tc"),
    ("iproute-tc", "6.2.0-6.el8", ""),
    ("chrony", "4.5-1.el8", "Requires: /bin/sh"),
    ("ca-certificates", "2023.2.60_v7.0.306-80.0.el8", "arch: noarch"),
    ("ethtool", "2:5.13-2.el8", ""),
    ("iptables", "1.8.5-11.el8", "Requires: iptables-libs = 1.8.5-11.el8"),
    ("iptables-libs", "1.8.5-11.el8", ""),
    ("iptables-ebtables", "1.8.5-11.el8", "Provides: ebtables\nRequires: iptables"),
    ("ipset", "7.1-1.el8", "Requires: ipset-libs = 7.1-1.el8"),
    ("ipset-libs", "7.1-1.el8", ""),
    ("policycoreutils", "2.9-26.el8", ""),
];
const STREAM_APPS: &[Rpm<'_>] = &[
    ("conntrack-tools", "1.4.4-11.el8", "Provides: conntrack = 1.4.4-11.el8"),
    ("socat", "1.7.4.1-1.el8", ""),
    ("ipvsadm", "1.31-1.el8", ""),
    ("haproxy", "1.8.27-5.el8", "Requires: /bin/sh"),
    ("keepalived", "2.1.5-10.el8", "Requires: ipset-libs"),
    // Two streams of a module; dnf sees only the default one.
    (
        "container-selinux",
        "2:2.229.0-2.module",
        "arch: noarch\nRequires: policycoreutils >= 2.5\nModularityLabel: container-tools:rhel8:1:a",
    ),
    ("container-selinux", "2:2.300.0-1.module", "arch: noarch\nModularityLabel: container-tools:next:1:a"),
];

/// The lock, compared with dnf on the same base: three repositories of the vault, one of them with modules.
#[test]
fn centos_stream_8_vault_is_resolved_as_dnf_does_with_stand_in_packages() {
    let key = Key::shared();
    let tree = Tree::new();
    let vault = "centos-vault/8-stream";
    let base = publish(&tree, &format!("{vault}/BaseOS/x86_64/os"), "x86_64", STREAM_BASE);
    let apps = format!("{vault}/AppStream/x86_64/os");
    publish(&tree, &apps, "x86_64", STREAM_APPS);
    let selinux = |stream: &'static str, evr: &str| (stream, vec![format!("container-selinux-2:{evr}.noarch")]);
    let streams = [selinux("rhel8", "2.229.0-2.module"), selinux("next", "2.300.0-1.module")];
    tree.modules(&apps, "container-tools", "rhel8", &streams);
    publish(&tree, &format!("{vault}/extras/x86_64/os"), "x86_64", &[]);
    let docker = "docker-ce/linux/centos/8/x86_64/stable";
    let container = [("containerd.io", "1.6.32-3.1.el8", "Requires: container-selinux >= 2:2.74")];
    publish(&tree, docker, "x86_64", &container);
    let kubernetes = "kubernetes-new/core/stable/v1.28/rpm";
    let needs = "Requires: iptables >= 1.4.21\nRequires: kubernetes-cni >= 1.2.0\nRequires: socat\nRequires: conntrack\nRequires: ebtables";
    let programs = [
        ("kubelet", "1.28.15-150500.1.1", needs),
        ("kubeadm", "1.28.15-150500.1.1", "Requires: cri-tools >= 1.28.0"),
        ("kubectl", "1.28.15-150500.1.1", ""),
        ("kubernetes-cni", "1.2.0-150500.2.1", ""),
        ("cri-tools", "1.28.0-150500.1.1", ""),
    ];
    publish(&tree, kubernetes, "x86_64", &programs);
    tree.sign(docker, key);
    tree.sign(kubernetes, key);
    let mirror = Mirror::serving(tree.root());
    let storage = Storage::new();
    let Some(registry) = registry(&storage, &kubernetes_images("v1.28.15", "3.5.15-0", "3.9")) else { return };
    let sandbox = project();
    let sources = [
        ("centos-stream-8", vault),
        ("docker-ce-rpm", "docker-ce/linux/centos"),
        ("kubernetes-rpm", "kubernetes-new/core/stable"),
    ];
    let cluster = format!(
        "name: stream\nkubernetes: 1.28.15\ntarget: {{os: centos-stream-8}}\n\
         endpoint: {{mode: stacked, vip: 10.77.0.100, interface: ens160}}\n\
         network: {{cni: bridge, dns: none, kubeProxy: ipvs}}\n{}{}",
        mirrors(mirror.url(), &sources, &registry.base()),
        nodes(false)
    );
    sandbox.write("cluster.yaml", cluster);
    khimg(&sandbox, &["lock"]);

    let below = ["BaseOS", "AppStream", "extras"].map(|part| format!("{vault}/{part}/x86_64/os"));
    let below = [below[0].as_str(), &below[1], &below[2], docker, kubernetes];
    let has = ["glibc", "bash", "coreutils", "systemd", "util-linux", "rpm", "dnf", "centos-stream-release"];
    let mut asked = vec!["kubelet-1.28.15", "kubeadm-1.28.15", "kubectl-1.28.15", "containerd.io-1.6.32", "kmod"];
    asked.extend(["iproute", "chrony", "ca-certificates", "conntrack-tools", "ebtables", "ethtool", "iptables"]);
    asked.extend(["socat", "ipset", "ipvsadm"]);
    let master = [asked.clone(), vec!["haproxy", "keepalived"]].concat();
    let theirs = dnf(mirror.url(), &below, &base, &has).would_install(&[asked, master]);
    let ours = [Role::Worker, Role::Master].map(|role| locked(&sandbox, role, "centos-stream-8-amd64"));
    assert_eq!(ours[0], *theirs[0].as_ref().expect("resolved"));
    assert_eq!(ours[1], *theirs[1].as_ref().expect("resolved"));
    assert_eq!(ours[0]["container-selinux"], "2:2.229.0-2.module", "of the default stream");
    assert!(!ours[0].contains_key("iproute-tc"), "what is only recommended");
}
