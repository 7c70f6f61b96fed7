//! The write-ups on CentOS.

use khimg::catalog::Source;
use khimg::cluster::Role;
use khimg::kubernetes::quirks;
use khimg::profile;

use super::{Example, HAPROXY, INIT, JOIN, KEEPALIVED};
use crate::matrix::fixture::BuiltIn;
use crate::render::seeds::seed_of;

const KERNEL: &str = "/etc/sysctl.d/90-khimg.conf";
const MODULES: &str = "/etc/modules-load.d/khimg.conf";
const SELINUX: &str = "/usr/lib/systemd/system/khimg-selinux.service";

impl Example {
    #[track_caller]
    fn masks(&self, row: &str, role: &str, units: &[&str]) {
        let files = self.rendered.roles.iter().find(|files| files.role.name() == role).expect("a role");
        for unit in units {
            assert!(files.mask.iter().any(|found| found == unit), "{} row {row}: {role} has {unit}", self.name);
        }
    }

    /// The packages that a role asks for by name, each with the version and the sources that it must have.
    fn asks(&self, role: Role) -> Vec<(String, Option<String>, Vec<String>)> {
        let BuiltIn { catalog, profiles, .. } = BuiltIn::new();
        let required = profile::require(&self.cluster, &profiles, &catalog, None).expect("it renders");
        let role = required.roles.into_iter().find(|required| required.role == role).expect("a role");
        role.packages.into_iter().map(|package| (package.name, package.version, package.sources)).collect()
    }

    /// The repositories of a source on Aliyun's mirror, for this cluster's machines.
    fn aliyun(&self, source: &str) -> Vec<String> {
        let catalog = BuiltIn::new().catalog;
        let Source::Yum(yum) = &catalog.sources[source] else { panic!("{source} has no rpm packages") };
        let vars = catalog.vars(&self.cluster.target, self.cluster.kubernetes);
        let whole = |path: &String| format!("{}/{path}", yum.mirrors["aliyun"]);
        yum.repositories.iter().map(|path| vars.fill(&whole(path)).expect("known variables")).collect()
    }
}

#[test]
fn haproxy_docker_1_14_centos7() {
    let example = Example::new("haproxy-docker-1.14-centos7");
    let addresses: Vec<String> = example.cluster.nodes.iter().map(|node| node.address.to_string()).collect();
    for (row, address) in [
        ("1", "192.168.41.230/24"),
        ("1", "192.168.41.231/24"),
        ("1", "172.16.201.108/24"),
        ("1", "172.16.201.109/24"),
        ("2", "192.168.41.232/24"),
    ] {
        assert!(addresses.iter().any(|found| found == address), "row {row}: {address}");
    }
    assert!(example.rendered.nodes.iter().all(|node| node.target.os == "centos-7"), "row 3");
    assert_eq!(example.cluster.kubernetes.to_string(), "1.14.0", "row 4");
    let count = |role| example.cluster.nodes_of(role).count();
    assert_eq!((count(Role::Lb), count(Role::Master), count(Role::Worker)), (1, 3, 2), "row 5");
    assert!(!example.enabled["lb"].iter().any(|unit| unit == "keepalived.service"), "row 5: no keepalived");
    for (role, node) in [("lb", "haproxy"), ("master", "master-1"), ("worker", "node-1")] {
        example.has_lines("6", node, "/etc/selinux/config", &["SELINUX=permissive"]);
        example.has_lines("6", node, SELINUX, &["ExecStart=/usr/sbin/setenforce 0"]);
        example.enables("6", role, &["khimg-selinux.service"]);
        example.masks("6", role, &["firewalld.service"]);
    }
    for (role, node) in [("master", "master-2"), ("worker", "node-2")] {
        example.enables("6", role, &["khimg-swap-off.service"]);
        example.masks("6", role, &["swap.target"]);
        let bridged = ["-net.bridge.bridge-nf-call-ip6tables = 1", "-net.bridge.bridge-nf-call-iptables = 1"];
        example.has_lines("7", node, KERNEL, &bridged);
        example.enables("10", role, &["docker.service", "kubelet.service"]);
    }
    packages_of_1_14(&example);

    let global = ["log 127.0.0.1 local2", "chroot /var/lib/haproxy", "pidfile /var/run/haproxy.pid", "maxconn 4000"];
    example.has_lines("12", "haproxy", HAPROXY, &global);
    example.has_lines("12", "haproxy", HAPROXY, &["user haproxy", "group haproxy", "daemon"]);
    let defaults =
        ["mode tcp", "log global", "retries 3", "timeout connect 10s", "timeout client 1m", "timeout server 1m"];
    example.has_lines("13", "haproxy", HAPROXY, &defaults);
    example.lacks("13", "haproxy", HAPROXY, &["option ", "timeout check", "timeout queue", "http-check", "ssl"]);
    let frontend = ["frontend kube-apiserver", "bind *:6443", "default_backend master"];
    example.has_lines("14", "haproxy", HAPROXY, &frontend);
    let backend = [
        "backend master",
        "balance roundrobin",
        "server master-1 192.168.41.230:6443 check maxconn 2000",
        "server master-2 192.168.41.231:6443 check maxconn 2000",
    ];
    example.has_lines("15", "haproxy", HAPROXY, &backend);
    example.enables("11, 16", "lb", &["haproxy.service"]);

    let configuration = example.document("master-1", INIT, "ClusterConfiguration");
    for (row, pointer, value) in [
        ("17", "/apiVersion", "kubeadm.k8s.io/v1beta1"),
        ("17, 23", "/kubernetesVersion", "v1.14.0"),
        ("2, 17", "/controlPlaneEndpoint", "192.168.41.232:6443"),
        ("17", "/imageRepository", "registry.cn-hangzhou.aliyuncs.com/google_containers"),
        ("17", "/networking/podSubnet", "10.244.0.0/16"),
        ("17, 25", "/networking/serviceSubnet", "10.96.0.0/12"),
    ] {
        assert_eq!(
            configuration.pointer(pointer).and_then(|found| found.as_str()),
            Some(value),
            "row {row}: {pointer}"
        );
    }
    let init = example.document("master-1", INIT, "InitConfiguration");
    assert!(init.get("certificateKey").is_none(), "row 18: v1beta1 has none");
    assert_eq!(init["bootstrapTokens"][0]["ttl"], "24h0m0s", "row 24");
    let join = example.document("master-2", JOIN, "JoinConfiguration");
    assert_eq!(join["apiVersion"], "kubeadm.k8s.io/v1beta1", "row 19");
    assert_eq!(join["controlPlane"]["localAPIEndpoint"]["advertiseAddress"], "192.168.41.231", "row 19");
    for file in ["ca.key", "sa.key", "front-proxy-ca.key", "etcd/ca.key"] {
        assert!(example.files["master-2"].get(&format!("/etc/kubernetes/pki/{file}")).is_some(), "rows 18, 19: {file}");
    }
    for node in ["master-2", "node-1", "node-2"] {
        let join = example.document(node, JOIN, "JoinConfiguration");
        let discovery = &join["discovery"]["bootstrapToken"];
        assert_eq!(discovery["apiServerEndpoint"], "192.168.41.232:6443", "rows 19, 21");
        assert_eq!(discovery["token"].as_str().map(str::len), Some(23), "rows 19, 21");
        assert_ne!(discovery["token"], "ocb5tz.pv252zn76rl4l3f6", "row 19");
        assert!(discovery["caCertHashes"][0].as_str().is_some_and(|pin| pin.starts_with("sha256:")), "rows 19, 21");
    }
    let flannel = "/etc/khimg/manifests/10-flannel.yaml";
    let version = "image: quay.io/coreos/flannel:v0.11.0-amd64";
    example.has_lines("22", "master-1", flannel, &[version]);
    let network = r#"{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}"#;
    example.has_lines("22", "master-1", flannel, &[network]);
    let version = khimg::kubernetes::KubernetesVersion { minor: 14, patch: 0 };
    assert_eq!(quirks::control_plane_labels(version), ["node-role.kubernetes.io/master"], "row 23");
    assert_eq!(quirks::join_control_plane_flag(version), "--experimental-control-plane", "row 19");
    for row in ["1", "3", "5", "8", "10", "18", "19", "20", "22", "24", "25"] {
        example.deviates(row);
    }
}

/// Rows 4 and 8 to 11.
fn packages_of_1_14(example: &Example) {
    let master = example.asks(Role::Master);
    let version = |name: &str| {
        let found = master.iter().find(|(package, ..)| package == name).unwrap_or_else(|| panic!("row 10: no {name}"));
        (found.1.as_deref().unwrap_or_default(), found.2.as_slice())
    };
    for name in ["kubelet", "kubeadm", "kubectl"] {
        assert_eq!(version(name), ("{kubernetes}-*", &["kubernetes-legacy-rpm".to_owned()][..]), "rows 4, 8, 10");
    }
    for name in ["docker-ce", "docker-ce-cli"] {
        assert_eq!(version(name), ("18.09.4-*", &["docker-ce-rpm".to_owned()][..]), "rows 4, 9, 10");
    }
    // An older dockerd does not start with a setting that it does not know.
    example.lacks("4", "node-1", "/etc/docker/daemon.json", &["ip6tables"]);
    let kubernetes = example.aliyun("kubernetes-legacy-rpm");
    assert_eq!(kubernetes, ["https://mirrors.aliyun.com/kubernetes/yum/repos/kubernetes-el7-x86_64"], "row 8");
    let docker = example.aliyun("docker-ce-rpm");
    assert_eq!(docker, ["https://mirrors.aliyun.com/docker-ce/linux/centos/7/x86_64/stable"], "row 9");
    let lb = example.asks(Role::Lb);
    assert!(lb.iter().any(|(name, ..)| name == "haproxy"), "row 11");
    assert!(lb.iter().all(|(_, _, sources)| sources.is_empty()), "row 8: all but the balancer");
}

#[test]
fn centos_stream8_prep() {
    let example = Example::new("centos-stream8-prep");
    let expected = [
        ("k8s-master-01", "10.208.1.191", Role::Master),
        ("k8s-master-02", "10.208.1.192", Role::Master),
        ("k8s-master-03", "10.208.1.195", Role::Master),
        ("k8s-node-01", "10.208.1.196", Role::Worker),
        ("k8s-node-02", "10.208.1.198", Role::Worker),
    ];
    let nodes: Vec<_> =
        example.cluster.nodes.iter().map(|node| (node.name.as_str(), node.ip().to_string(), node.role)).collect();
    assert_eq!(nodes, expected.map(|(name, address, role)| (name, address.to_owned(), role)), "rows 2, 12");
    for (name, ..) in expected {
        assert!(example.rendered.nodes.iter().all(|node| node.target.os == "centos-stream-8"), "row 3");
        example.has_lines("4", name, "/etc/hosts", &["10.208.1.190 master.k8s.io k8s-vip"]);
        let seed = seed_of(&example.cluster, &example.rendered, name);
        assert!(seed.meta_data.contains(&format!("local-hostname: {name}")), "row 5: {}", seed.meta_data);
        example.has_lines("6", name, "/etc/selinux/config", &["SELINUX=disabled"]);
        example.has_lines("6", name, SELINUX, &["ExecStart=/usr/sbin/setenforce 0"]);
        let kernel = [
            "net.ipv4.ip_forward = 1",
            "-net.bridge.bridge-nf-call-ip6tables = 1",
            "-net.bridge.bridge-nf-call-iptables = 1",
        ];
        example.has_lines("8", name, KERNEL, &kernel);
        example.has_lines("9, 13", name, MODULES, &["br_netfilter", "ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_sh"]);
        let limits = [
            "*    soft nofile  65536",
            "*    soft nproc   65536",
            "*    hard nproc   65536",
            "*    soft memlock unlimited",
            "*    hard memlock unlimited",
        ];
        example.has_lines("11", name, "/etc/security/limits.d/90-khimg.conf", &limits);
        let services = ["DefaultLimitNOFILE=65536:1048576", "DefaultLimitMEMLOCK=infinity"];
        example.has_lines("11", name, "/etc/systemd/system.conf.d/10-khimg.conf", &services);
    }
    for role in ["master", "worker"] {
        example.enables("6, 7", role, &["khimg-selinux.service", "khimg-swap-off.service"]);
        example.masks("6, 7", role, &["firewalld.service", "swap.target"]);
    }
    for node in ["k8s-master-01", "k8s-master-03"] {
        example.has_lines("1", node, KEEPALIVED, &["10.208.1.190/32 dev ens160"]);
        let proxy = example.document(node, INIT, "KubeProxyConfiguration");
        assert_eq!(proxy["mode"], "ipvs", "row 13");
        let configuration = example.document(node, INIT, "ClusterConfiguration");
        assert_eq!(configuration["dns"]["imageTag"], "v1.10.1", "row 13: CoreDNS");
        let names = configuration["apiServer"]["certSANs"].as_array().expect("names");
        assert!(names.iter().any(|name| name == "master.k8s.io"), "row 4");
    }
    for row in ["3", "7", "8", "9", "11", "12", "13"] {
        example.deviates(row);
    }
}
