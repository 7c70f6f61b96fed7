//! Combinations that cannot work, each with what is said and the exit code: the cluster file, the built-in catalogue and, where one
//! is named, a change of the user's to them.

use std::collections::BTreeMap;

use khimg::cluster::{Cluster, EXAMPLE};
use khimg::exit::{Exit, Explain};
use khimg::inventory::Inventory;
use khimg::profile;
use khimg::render::{Inputs, render};
use khimg::secrets::Secrets;

use super::fixture::BuiltIn;

/// Changes of [`EXAMPLE`] by the line that begins with a key, the exit code, and fragments of what is said and advised.
type Row = (&'static [(&'static str, &'static str)], Exit, &'static [&'static str]);

const BAD: Exit = Exit::BadInput;
const NO: Exit = Exit::Unsupported;
const OLD: (&str, &str) = ("kubernetes:", "kubernetes: 1.20.2");
const MODE: &str = "  mode:";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // Kubernetes and the machines
    (&[("kubernetes:", "kubernetes: 1.13.12")], NO, &["does not know Kubernetes 1.13.12", "from 1.14 to 1.36"]),
    (&[("kubernetes:", "kubernetes: '1.37'")], NO, &["does not know Kubernetes 1.37"]),
    (&[("kubernetes:", "kubernetes: 1.18.20")], NO, &["before 1.19 does not understand cgroup v2", "1.19"]),
    (&[("kubernetes:", "kubernetes: 1.34.0-rc.1")], BAD, &["is not a Kubernetes version", "write 1.34.0"]),
    (&[("target:", "target: {os: debian-99}")], BAD, &["no operating system \"debian-99\""]),
    (&[("target:", "target: {os: centos-7}"), ("kubernetes:", "kubernetes: 1.35.0")], NO, &["from 1.35 on does not start on cgroup v1", "choose `kubernetes: 1.34` or earlier"]),
    (&[("target:", "target: {os: openeuler-22.03}"), ("kubernetes:", "kubernetes: 1.36.0")], NO, &["from 1.35 on does not start on cgroup v1"]),
    (&[("  - {name: worker-1", "  - {name: worker-1, role: worker, address: 192.168.30.21/24, target: {os: centos-stream-8}}"), ("kubernetes:", "kubernetes: 1.35.0")], NO, &["from 1.35 on does not start on cgroup v1"]),
    (&[("target:", "target: {os: rocky-9}"), ("kubernetes:", "kubernetes: 1.18.20")], NO, &["before 1.19 does not understand cgroup v2"]),
    (&[("target:", "target: {os: centos-7}"), ("  cni:", "  cni: cilium")], NO, &["Cilium needs a newer kernel than CentOS 7 has"]),
    (&[("target:", "target: {os: rocky-9}"), ("runtime:", "runtime: docker"), ("# components:", "components: {docker: {source: package}}")], NO, &["no package of docker for Kubernetes 1.34.2 on rocky-9-amd64"]),
    // kubeadm's configuration
    (&[("# compat:", "compat: {kubeadmApi: v1beta4}"), ("kubernetes:", "kubernetes: 1.22.17")], NO, &["v1beta4 from 1.31 on", "remove `kubeadmApi`"]),
    (&[("# compat:", "compat: {kubeadmApi: v1beta3}"), OLD], NO, &["v1beta3 from 1.22 to 1.36"]),
    (&[("# compat:", "compat: {kubeadmApi: v1beta2}")], NO, &["v1beta2 from 1.15 to 1.26"]),
    (&[("# compat:", "compat: {kubeadmApi: v1beta1}"), ("kubernetes:", "kubernetes: 1.22.17")], NO, &["v1beta1 from 1.13 to 1.21"]),
    (&[("# compat:", "compat: {imageRepository: 'https://registry.aliyuncs.com/x'}")], BAD, &["cannot be the beginning of images' names"]),
    // Networks
    (&[("  cni:", "  cni: calico"), ("kubernetes:", "kubernetes: 1.15.12")], NO, &["before 1.16 does not have", "1.16"]),
    (&[("  cni:", "  cni: cilium"), OLD], NO, &["Cilium's agent does not start with Kubernetes before 1.21"]),
    (&[("  podSubnet:", "  podSubnet: 10.96.0.0/16")], BAD, &["overlaps the pod subnet"]),
    (&[("  podSubnet:", "  podSubnet: 192.168.0.0/16")], BAD, &["overlaps the nodes' subnet"]),
    (&[("  serviceSubnet:", "  serviceSubnet: 10.0.0.0/8"), ("  podSubnet:", "  podSubnet: 172.16.0.0/16")], BAD, &["too large: the API server takes at most /12"]),
    (&[("  podSubnet:", "  podSubnet: 'fd00:1::/56'")], BAD, &["is IPv6, but the nodes have IPv4"]),
    (&[("  podSubnet:", "  podSubnet: 10.244.0.0/23")], BAD, &["room for 2 nodes", "but there are 4"]),
    (&[("  # coredns:", "  coredns: {maxConcurrent: 2000}"), ("kubernetes:", "kubernetes: 1.18.20")], NO, &["cannot limit what it has open before Kubernetes 1.19"]),
    (&[("  # coredns:", "  coredns: {replicas: 3}"), ("  dns:", "  dns: none")], BAD, &["there is no CoreDNS with `dns: none`"]),
    (&[("  # coredns:", "  coredns: {memory: lots}")], BAD, &["not an amount of memory", "512Mi"]),
    (&[("  # coredns:", "  coredns: {replicas: 0}")], BAD, &["0 is too small"]),
    // Endpoint
    (&[(MODE, "  mode: dedicated")], BAD, &["no node has the role lb", "role: lb"]),
    (&[(MODE, "  mode: single-lb"), ("  vip:", "  # ")], BAD, &["no node has the role lb"]),
    (&[(MODE, "  mode: single-lb"), ("  vip:", "  # "), ("  - {name: worker-1", "  - {name: a, role: lb, address: 192.168.30.8/24}\n  - {name: b, role: lb, address: 192.168.30.9/24}")], BAD, &["a second node has the role lb", "dedicated"]),
    (&[(MODE, "  mode: vip-only")], BAD, &["nothing listens on port 8443", "port: 6443"]),
    (&[(MODE, "  mode: external")], BAD, &["`vip` means nothing in the mode external", "rename it to `address`"]),
    (&[("  vip:", "  # ")], BAD, &["vip", "192.168.30.0/24"]),
    (&[("  vip:", "  vip: 192.168.30.11")], BAD, &["is master-1's own"]),
    (&[("  vip:", "  vip: 10.0.0.1")], BAD, &["10.0.0.1"]),
    (&[("  port:", "  port: 6443")], BAD, &["belongs to the API server on every master"]),
    (&[("  port:", "  port: 30443")], BAD, &["NodePort"]),
    (&[("  # names:", "  names: [master-1]")], BAD, &["is the name of a node"]),
    // keepalived and haproxy as somebody else has them
    (&[("# compat:", "compat: {keepalived: {password: '1111'}}")], BAD, &["VRRP version 3 has no passwords", "vrrpVersion: 2"]),
    (&[("# compat:", "compat: {keepalived: {vrrpVersion: 2, password: csdc456csdc}}")], BAD, &["the password has 11 characters", "first 8"]),
    (&[("# compat:", "compat: {keepalived: {priorities: [100, 90]}}")], BAD, &["3 nodes can carry the address"]),
    (&[("# compat:", "compat: {keepalived: {check: {weight: -2}}}")], BAD, &["a weight moves no address", "preempt: true"]),
    (&[("# compat:", "compat: {keepalived: {vrrpVersion: 2, advert: 100ms}}")], BAD, &["no adverts every 100ms"]),
    (&[("# compat:", "compat: {keepalived: {instance: VI_1}}"), (MODE, "  mode: external"), ("  vip:", "  address: 192.168.30.200")], BAD, &["mode external has no keepalived"]),
    (&[("# compat:", "compat: {haproxy: {daemon: true}}"), (MODE, "  mode: vip-only"), ("  port:", "  port: 6443")], BAD, &["mode vip-only has no haproxy"]),
    // How many of what
    (&[("  - {name: master-3", "  # ")], NO, &["2 masters with stacked etcd survive no loss", "1 or 3"]),
    (&[("  - {name: worker-1", "  - {name: master-4, role: master, address: 192.168.30.14/24}")], NO, &["4 masters with stacked etcd survive one loss, as 3 do"]),
    (&[("etcd:", "etcd: {mode: external}")], BAD, &["no node has the role etcd", "three nodes"]),
    (&[("etcd:", "etcd: {mode: external}"), ("  - {name: worker-1", "  - {name: e1, role: etcd, address: 192.168.30.41/24}\n  - {name: e2, role: etcd, address: 192.168.30.42/24}")], NO, &["2 members of etcd survive no loss"]),
    (&[("  - {name: worker-1", "  - {name: e1, role: etcd, address: 192.168.30.41/24}")], BAD, &["has the role etcd, but etcd runs on the masters"]),
    (&[("  - {name: worker-1", "  - {name: worker-1, role: worker, address: 10.9.0.21/24, gateway: 10.9.0.1}"), ("  cni:", "  cni: bridge")], NO, &["bridge needs all nodes in one subnet"]),
    // Manifests of the user's
    (&[("# addons:", "addons: [{name: goweb}]")], BAD, &["needs a `file` or a `url`"]),
    (&[("# addons:", "addons: [{name: goweb, file: nowhere/goweb.yaml}]")], BAD, &["cannot read", "relative to the cluster file"]),
    (&[("# addons:", "addons: [{name: goweb, url: 'ftp://lan/goweb.yaml'}]")], BAD, &["has the scheme \"ftp\""]),
    (&[("# addons:", "addons: [{name: a, url: 'https://lan/a'}, {name: a, url: 'https://lan/b'}]")], BAD, &["two addons are called \"a\""]),
    (&[("# addons:", "addons: [{name: a, url: 'https://lan/a', images: [Quay.io/X]}]")], BAD, &["is not the name of an image"]),
    // Forms and versions of components
    (&[("# components:", "components: {containerd: {source: package}}")], NO, &["no package of containerd for Kubernetes 1.34.2"]),
    (&[("# components:", "components: {etcd: {source: package}}"), ("etcd:", "etcd: {mode: external}"), ("  - {name: worker-1", "  - {name: e1, role: etcd, address: 192.168.30.41/24}")], NO, &["no package of etcd for Kubernetes 1.34.2"]),
    (&[("# components:", "components: {flannel: {version: 0.27.*}}")], BAD, &["is a pattern, but a plain file or an image needs an exact one"]),
    (&[("# components:", "components: {kubernetes: {version: 1.33.1}}")], BAD, &["follows the key `kubernetes`"]),
];

/// The example with each line that begins with a key replaced; what belongs to a comment's key goes with it.
fn edited(edits: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let mut used = 0;
    for line in EXAMPLE.lines() {
        let edit = edits.iter().find(|(key, _)| line.starts_with(key));
        used += usize::from(edit.is_some());
        text.push_str(edit.map_or(line, |(_, instead)| instead));
        text.push('\n');
    }
    assert_eq!(used, edits.len(), "{edits:?}");
    text
}

/// What is said of a cluster on its way to its files, with the exit code.
fn outcome(built_in: &BuiltIn, text: &str) -> Result<(), (Exit, String)> {
    let told = |error: &dyn Explain| (error.exit(), format!("{error}\n{}", error.hint().unwrap_or_default()));
    let cluster: Cluster = built_in.cluster(text).map_err(|problems| (problems.exit(), problems.to_string()))?;
    let BuiltIn { catalog, profiles, overlays } = built_in;
    let required = profile::require(&cluster, profiles, catalog, None).map_err(|error| told(&error))?;
    let inventory = Inventory::of_requirements(&required, catalog).expect("known variables");
    let secrets = Secrets::stand_in();
    let inputs = Inputs {
        cluster: &cluster,
        profiles,
        catalog,
        inventory: &inventory,
        overlays,
        secrets: &secrets,
        addons: &BTreeMap::new(),
    };
    render(&inputs, None, None).map(drop).map_err(|error| told(&error))
}

#[test]
fn bad_combinations_are_refused() {
    assert!(ROWS.len() >= 40, "{}", ROWS.len());
    let built_in = BuiltIn::new();
    outcome(&built_in, EXAMPLE).unwrap_or_else(|(_, said)| panic!("the example itself: {said}"));
    let mut failures = Vec::new();
    for (edits, exit, says) in ROWS {
        match outcome(&built_in, &edited(edits)) {
            Ok(()) => failures.push(format!("{edits:?}: renders")),
            Err((found, said)) => {
                if found != *exit || !says.iter().all(|part| said.contains(part)) {
                    failures.push(format!("{edits:?}: not {exit:?} {says:?}, but {found:?}: {said}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// A catalogue of the user's whose Docker comes without cri-dockerd.
#[test]
fn docker_needs_cri_dockerd_from_1_24_on() {
    let mut built_in = BuiltIn::new();
    built_in.catalog.components.get_mut("docker").expect("a component").files.clear();
    let text = |version: &str| edited(&[("runtime:", "runtime: docker"), ("kubernetes:", version)]);
    assert_eq!(outcome(&built_in, &text("kubernetes: 1.23.17")), Ok(()));
    let (exit, said) = outcome(&built_in, &text("kubernetes: 1.24.17")).expect_err("no shim");
    assert_eq!(exit, Exit::Unsupported);
    assert!(
        said.contains("1.24.17 talks to Docker only through cri-dockerd") && said.contains("runtime: containerd"),
        "{said}"
    );
}

/// An overlay of the user's that forgets the modules of the kernel's virtual server.
#[test]
fn ipvs_needs_its_modules() {
    let own = tempfile::tempdir().expect("a directory");
    let place = own.path().join("base/etc/modules-load.d");
    std::fs::create_dir_all(&place).expect("directories");
    std::fs::write(place.join("khimg.conf"), "br_netfilter\nip_vs\nip_vs_rr\n").expect("a file");
    let mut built_in = BuiltIn::new();
    built_in.overlays = khimg::render::Overlays::load(Some(own.path())).expect("overlays");
    let text = |mode: &str| edited(&[("  kubeProxy:", mode)]);
    assert_eq!(outcome(&built_in, &text("  kubeProxy: iptables")), Ok(()));
    let (exit, said) = outcome(&built_in, &text("  kubeProxy: ipvs")).expect_err("no modules");
    assert_eq!(exit, Exit::Unsupported);
    assert!(
        said.contains("needs the kernel modules ip_vs_wrr, ip_vs_sh") && said.contains("kubeProxy: iptables"),
        "{said}"
    );
}
