//! The ready cluster files: every value of the write-up that a file is after is in what its nodes get, row by row. What is not
//! is in [`DEVIATIONS`], with the reason.

mod centos;

use std::collections::BTreeMap;

use khimg::cluster::Cluster;
use khimg::render::Rendered;
use khimg::render::tree::Tree;
use khimg::secrets::{KeyAlgorithm, Secrets};
use serde_json::Value;

use super::fixture::BuiltIn;
use crate::render::on_node::{accepted, on_files, text};

/// Where khimg does something else than the write-up, on purpose: the example, the row of its table, and why.
const DEVIATIONS: &[(&str, &str, &str)] = &[
    ("keepalived-vip-1.23", "10 no track script", "the address would stay on a machine whose API server is dead"),
    ("keepalived-vip-1.23", "17 kubeadm init by hand", "each machine does it by itself, with the same configuration"),
    ("keepalived-vip-1.23", "18 token and pin shown to everybody", "made for each cluster, and secret"),
    (
        "keepalived-vip-1.23",
        "19 /root/.kube copied from master-1",
        "each master has its own /etc/kubernetes/admin.conf",
    ),
    ("keepalived-vip-1.23", "20 workers join at 192.168.30.99", "none of the machines; they join at the address"),
    (
        "external-etcd",
        "1 cfssl R1.2 is fetched",
        "khimg makes the authorities, and machines issue their own certificates",
    ),
    (
        "external-etcd",
        "2 /etc/kubernetes/pki/etcd on etcd's machines",
        "no kubelet is there; it is /etc/etcd/pki, and on masters as written",
    ),
    (
        "external-etcd",
        "3 certificates of 5 years",
        "authorities have 10 years, certificates one, and are issued again in time",
    ),
    ("external-etcd", "5 the authority has an RSA key", "an ECDSA key, which every version takes and is made at once"),
    (
        "external-etcd",
        "7 the authority's key is copied around",
        "it comes with each machine's own seed, and nowhere else",
    ),
    ("external-etcd", "9 etcd in a static pod", "the write-up's own alternative: a unit, where there is no kubelet"),
    (
        "external-etcd",
        "10 basic_auth.csv, known_tokens.csv",
        "gone since Kubernetes 1.19; kubeadm makes the manifest and its files",
    ),
    ("external-etcd", "11 --etcd-quorum-read", "the default since 1.9, and gone"),
    ("external-etcd", "17 storage of a cloud", "not of this layer"),
    ("dedicated-lb", "6 a password of 11 characters", "keepalived reads eight of them"),
    ("dedicated-lb", "7 no track script", "the address would stay on a machine whose haproxy is dead"),
    ("dedicated-lb", "8 lb0, lb1, lb2", "they are called lb1, lb2 and lb3 everywhere else"),
    (
        "dedicated-lb",
        "10 options for HTTP",
        "a balancer of TCP ignores them and warns: tcplog for httplog, and no forwardfor",
    ),
    (OLD, "1 haproxy has the address of master-2", "everything is configured with 192.168.41.232"),
    (OLD, "3 a kernel of elrepo", "the machine's own is left alone"),
    (OLD, "5 two masters", "an etcd of two members survives no loss: there is a third"),
    (
        OLD,
        "8 repositories on every machine, repomd.xml checked by yum",
        "machines need none: packages come with the bundle, each proven by its own signature, because few clients can check the other",
    ),
    (OLD, "10 packages of no version", "the newest are installed, 1.28.2 today: they are pinned"),
    (OLD, "18 images are pulled, certificates uploaded", "images come with the bundle, authorities with the seeds"),
    (OLD, "19 token, pin and key shown to everybody", "made for each cluster, and secret"),
    (OLD, "20 admin.conf copied to $HOME", "each master has its own /etc/kubernetes/admin.conf"),
    (
        OLD,
        "22 five DaemonSets of extensions/v1beta1",
        "one for the machines' architecture, of apps/v1, which later versions take as well",
    ),
    (OLD, "24 a new token by hand", "masters renew it until the date that the cluster file names"),
    (OLD, "25 the smoke test", "not part of a cluster; as an addon it is in `an_api_server_takes_every_object`"),
    (STREAM, "3 nodes pull from the internet", "images come with the bundle"),
    (
        STREAM,
        "7 swap out of /etc/fstab",
        "the file is the machine's own: swap.target is masked, and a unit empties the rest",
    ),
    (STREAM, "8 /etc/sysctl.d/k8s.conf", "the same values in 90-khimg.conf, with more of them"),
    (STREAM, "9 /etc/modules-load.d/modules.conf", "the same module in khimg.conf"),
    (
        STREAM,
        "11 the hard limit of open files",
        "1048576, up to which a program may raise its own; the other limits as written",
    ),
    (STREAM, "12 one master first", "all at once: none has to be first"),
    (STREAM, "13 Dashboard, Ingress, Federation", "named there without a version; they are addons of the user's"),
];

/// Examples with long names.
const OLD: &str = "haproxy-docker-1.14-centos7";
const STREAM: &str = "centos-stream8-prep";

/// An example's cluster and the files of its nodes.
struct Example {
    name: &'static str,
    cluster: Cluster,
    files: BTreeMap<String, Tree>,
    enabled: BTreeMap<String, Vec<String>>,
    rendered: Rendered,
}

impl Example {
    fn new(name: &'static str) -> Self {
        let built_in = BuiltIn::new();
        let text = khimg::shipped::examples().remove(name).unwrap_or_else(|| panic!("no example {name}"));
        let text = std::str::from_utf8(text).expect("text");
        let cluster = built_in.cluster(text).unwrap_or_else(|problems| panic!("{name}: {problems}"));
        let secrets = Secrets::generate(KeyAlgorithm::EcdsaP256).expect("generates");
        let (rendered, _) = built_in.render(&cluster, &secrets);
        let nodes = rendered.nodes.iter();
        let files = nodes.map(|node| (node.name.clone(), rendered.all_files(&node.name).expect("a node"))).collect();
        let enabled = rendered.roles.iter().map(|role| (role.role.name().to_owned(), role.enable.clone())).collect();
        Self { name, cluster, files, enabled, rendered }
    }

    fn text(&self, node: &str, path: &str) -> String {
        let file = self.files.get(node).unwrap_or_else(|| panic!("{}: no {node}", self.name)).get(path);
        let bytes = file.and_then(|file| file.bytes()).unwrap_or_else(|| panic!("{}: {node} has no {path}", self.name));
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    /// The document of this kind among those of a file.
    fn document(&self, node: &str, path: &str, kind: &str) -> Value {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&self.text(node, path)).expect("YAML");
        let found = documents.into_iter().find(|document| document["kind"] == kind);
        found.unwrap_or_else(|| panic!("{}: {node} has no {kind} in {path}", self.name))
    }

    /// Every one of `lines` stands in the file, as a whole line, whatever its indentation.
    #[track_caller]
    fn has_lines(&self, row: &str, node: &str, path: &str, lines: &[&str]) {
        let text = self.text(node, path);
        for line in lines {
            let there = text.lines().any(|found| found.trim() == *line);
            assert!(there, "{} row {row}: {node} has no {line:?} in {path}:\n{text}", self.name);
        }
    }

    /// None of `words` stands in the file.
    #[track_caller]
    fn lacks(&self, row: &str, node: &str, path: &str, words: &[&str]) {
        let text = self.text(node, path);
        for word in words {
            assert!(!text.contains(word), "{} row {row}: {node} has {word:?} in {path}:\n{text}", self.name);
        }
    }

    #[track_caller]
    fn enables(&self, row: &str, role: &str, units: &[&str]) {
        for unit in units {
            let there = self.enabled[role].iter().any(|found| found == unit);
            assert!(there, "{} row {row}: {role} does not enable {unit}", self.name);
        }
    }

    /// The deviation is listed.
    #[track_caller]
    fn deviates(&self, row: &str) {
        let listed = DEVIATIONS.iter().any(|(example, what, _)| *example == self.name && what.starts_with(row));
        assert!(listed, "{} row {row} is not among the deviations", self.name);
    }
}

const KEEPALIVED: &str = "/etc/keepalived/keepalived.conf";
const HAPROXY: &str = "/etc/haproxy/haproxy.cfg";
const INIT: &str = khimg::render::INIT_PATH;
const JOIN: &str = khimg::render::JOIN_PATH;

#[test]
fn keepalived_vip_1_23() {
    let example = Example::new("keepalived-vip-1.23");
    assert_eq!((example.cluster.nodes_of(khimg::cluster::Role::Master).count(), example.files.len()), (3, 4), "row 1");
    for role in ["master", "worker"] {
        assert!(!example.enabled[role].iter().any(|unit| unit == "haproxy.service"), "row 1: no haproxy");
    }
    for (node, state, priority) in [("master-1", "MASTER", 100), ("master-2", "BACKUP", 90), ("master-3", "BACKUP", 80)]
    {
        let lines = [format!("router_id {node}"), format!("state {state}"), format!("priority {priority}")];
        example.has_lines("4, 6, 7", node, KEEPALIVED, &lines.each_ref().map(String::as_str));
        let lines = ["vrrp_instance VI_1 {", "interface ens160", "virtual_router_id 50", "advert_int 1"];
        example.has_lines("5", node, KEEPALIVED, &lines);
        example.has_lines("8", node, KEEPALIVED, &["auth_type PASS", "auth_pass 1111"]);
        // Without a length, keepalived takes that of a single address.
        example.has_lines("2, 9", node, KEEPALIVED, &["192.168.30.200/32 dev ens160"]);
        example.has_lines("10", node, KEEPALIVED, &["track_script {"]);
        example.lacks("5", node, KEEPALIVED, &["unicast", "nopreempt"]);

        let configuration = example.document(node, INIT, "ClusterConfiguration");
        for (row, pointer, value) in [
            ("12", "/apiVersion", "kubeadm.k8s.io/v1beta2"),
            ("13", "/kubernetesVersion", "v1.23.6"),
            ("14", "/imageRepository", "registry.aliyuncs.com/google_containers"),
            ("15", "/controlPlaneEndpoint", "192.168.30.200:6443"),
            ("16", "/networking/podSubnet", "10.244.0.0/16"),
            ("16", "/networking/serviceSubnet", "10.96.0.0/12"),
        ] {
            assert_eq!(configuration.pointer(pointer), Some(&Value::from(value)), "row {row}: {pointer}");
        }
        assert_eq!(configuration.pointer("/etcd/local/imageTag"), Some(&Value::from("3.5.1-0")), "row 1: stacked etcd");
        assert!(configuration["etcd"]["local"].get("extraArgs").is_none(), "row 17: no first membership");

        let join = example.document(node, JOIN, "JoinConfiguration");
        let endpoint = join.pointer("/discovery/bootstrapToken/apiServerEndpoint");
        assert_eq!(endpoint, Some(&Value::from("192.168.30.200:6443")), "row 18");
        assert!(join["controlPlane"].get("localAPIEndpoint").is_some(), "row 18: --control-plane");
        assert!(join["controlPlane"].get("certificateKey").is_none(), "row 18: no certificate key");
        for file in ["ca.key", "sa.key", "front-proxy-ca.key", "etcd/ca.key"] {
            assert!(example.files[node].get(&format!("/etc/kubernetes/pki/{file}")).is_some(), "row 18: {file}");
        }
    }
    example.enables("11", "master", &["keepalived.service"]);
    let join = example.document("worker-1", JOIN, "JoinConfiguration");
    let discovery = &join["discovery"]["bootstrapToken"];
    assert_eq!(discovery["apiServerEndpoint"], "192.168.30.200:6443", "row 20");
    assert_eq!(discovery["token"].as_str().map(str::len), Some(23), "row 18: six, a dot, sixteen");
    assert!(discovery["caCertHashes"][0].as_str().is_some_and(|pin| pin.starts_with("sha256:")), "row 18");
    assert_ne!(discovery["token"], "g55zwf.wu671xiryl2c0k7z");
    assert_eq!(join["nodeRegistration"]["criSocket"], "/var/run/dockershim.sock", "row 21");
    for row in ["10", "17", "18", "19", "20"] {
        example.deviates(row);
    }
}

#[test]
fn external_etcd() {
    let example = Example::new("external-etcd");
    for node in ["etcd0", "etcd1", "etcd2"] {
        let files = &example.files[node];
        assert!(
            files.get("/etc/etcd/pki/ca.crt").is_some() && files.get("/etc/etcd/pki/ca.key").is_some(),
            "rows 2, 5, 7"
        );
        let name = format!("ETCD_NAME={node}");
        let members = "ETCD_INITIAL_CLUSTER=etcd0=https://10.0.0.10:2380,etcd1=https://10.0.0.11:2380,etcd2=https://10.0.0.12:2380";
        let certificates = [
            "ETCD_CERT_FILE=/etc/etcd/pki/server.crt",
            "ETCD_PEER_CERT_FILE=/etc/etcd/pki/peer.crt",
            "ETCD_CLIENT_CERT_AUTH=true",
            "ETCD_PEER_CLIENT_CERT_AUTH=true",
        ];
        example.has_lines("8", node, "/etc/default/etcd", &certificates);
        example.has_lines("9", node, "/etc/default/etcd", &[&name, members]);
    }
    example.enables("9", "etcd", &["etcd.service"]);
    for node in ["master0", "master1", "master2"] {
        let configuration = example.document(node, INIT, "ClusterConfiguration");
        let external = &configuration["etcd"]["external"];
        let endpoints = ["https://10.0.0.10:2379", "https://10.0.0.11:2379", "https://10.0.0.12:2379"];
        assert_eq!(external["endpoints"], Value::from(endpoints.map(Value::from).to_vec()), "row 9");
        for (row, key, file) in [
            ("5", "caFile", "/etc/kubernetes/pki/etcd/ca.crt"),
            ("6", "certFile", "/etc/kubernetes/pki/apiserver-etcd-client.crt"),
            ("6", "keyFile", "/etc/kubernetes/pki/apiserver-etcd-client.key"),
        ] {
            assert_eq!(external[key], file, "row {row}");
        }
        assert!(example.files[node].get("/etc/kubernetes/pki/etcd/ca.key").is_some(), "row 7");
        assert_eq!(configuration["controlPlaneEndpoint"], "10.0.0.100:6443", "rows 13, 16");
        assert!(!example.enabled["master"].iter().any(|unit| unit.starts_with("haproxy")), "row 13: somebody else's");
        // kubeadm's own manifests say --leader-elect=true; nothing here takes that away.
        for component in ["controllerManager", "scheduler"] {
            let arguments = configuration[component]["extraArgs"].to_string();
            assert!(!arguments.contains("leader-elect"), "row 14");
        }
        let proxy = example.document(node, INIT, "KubeProxyConfiguration");
        assert_eq!(proxy["mode"], "iptables", "row 18");
        let manifest = "/etc/khimg/manifests/20-coredns.yaml";
        let lines = ["success 10000", "denial 10000", "max_concurrent 1000", "limits: {memory: 1Gi}", "replicas: 3"];
        example.has_lines("15", node, manifest, &lines);
    }
    for node in ["master1", "worker0"] {
        let join = example.document(node, JOIN, "JoinConfiguration");
        let endpoint = join.pointer("/discovery/bootstrapToken/apiServerEndpoint");
        assert_eq!(endpoint, Some(&Value::from("10.0.0.100:6443")), "rows 12, 16");
    }
    assert_eq!(example.cluster.bootstrap, khimg::cluster::Bootstrap::InitJoin, "row 12");
    issued_certificates();
    for row in ["1", "2", "3", "5", "7", "9", "10", "11", "17"] {
        example.deviates(row);
    }
}

/// Rows 4, 6 and 8: what certificates are for, whom they name, and with which kind of key.
fn issued_certificates() {
    use khimg::secrets::{Authority, Usage};
    use x509_parser::prelude::{FromDer, X509Certificate};
    let authority = Authority::generate("etcd", KeyAlgorithm::EcdsaP256).expect("generates");
    for (name, usage, serves) in [("etcd0", Usage::Server, true), ("client", Usage::Client, false)] {
        let names = ["10.0.0.10", "etcd0"].map(str::to_owned);
        let issued = authority.issue(name, &names, usage).expect("issues");
        let pem = pem_of(&issued.certificate);
        let (_, certificate) = X509Certificate::from_der(&pem).expect("a certificate");
        let usages = certificate.extended_key_usage().expect("readable").expect("there").value;
        assert_eq!((usages.server_auth, usages.client_auth), (serves, true), "row 4");
        let key_usage = certificate.key_usage().expect("readable").expect("there").value;
        assert!(key_usage.digital_signature() && key_usage.key_encipherment(), "row 4");
        let sans = certificate.subject_alternative_name().expect("readable").expect("there").value;
        assert_eq!(sans.general_names.len(), 2, "row 8");
        assert_eq!(certificate.public_key().algorithm.algorithm.to_id_string(), "1.2.840.10045.2.1", "row 6: ECDSA");
    }
}

fn pem_of(text: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(text.as_bytes()).expect("PEM").1.contents
}

#[test]
fn dedicated_lb() {
    let example = Example::new("dedicated-lb");
    for (node, state, priority) in [("lb1", "MASTER", 100), ("lb2", "BACKUP", 90), ("lb3", "BACKUP", 80)] {
        let lines = [
            "sysadmin@firewall.loc",
            "notification_email_from Alexandre.Cassen@firewall.loc",
            "smtp_server 127.0.0.1",
            "smtp_connect_timeout 30",
            "vrrp_mcast_group4 224.0.100.100",
        ];
        example.has_lines("3", node, KEEPALIVED, &lines);
        example.lacks("3", node, KEEPALIVED, &["vrrp_strict", "unicast"]);
        let lines = [format!("router_id {node}"), format!("state {state}"), format!("priority {priority}")];
        example.has_lines("3, 5", node, KEEPALIVED, &lines.each_ref().map(String::as_str));
        let lines = ["vrrp_instance VI_1 {", "interface ens160", "virtual_router_id 51", "advert_int 1"];
        example.has_lines("4", node, KEEPALIVED, &lines);
        example.has_lines("6", node, KEEPALIVED, &["auth_type PASS", "auth_pass csdc456c"]);
        example.has_lines("2", node, KEEPALIVED, &["192.168.88.201/24 dev ens160"]);
        example.has_lines("7", node, KEEPALIVED, &["track_script {"]);
        let lines = [
            "log 127.0.0.1 local2",
            "chroot /var/lib/haproxy",
            "pidfile /var/run/haproxy.pid",
            "maxconn 4000",
            "user haproxy",
            "group haproxy",
            "daemon",
        ];
        example.has_lines("9", node, HAPROXY, &lines);
        assert!(example.text(node, HAPROXY).contains("stats socket /var/lib/haproxy/stats"), "row 9");
        let lines = [
            "mode tcp",
            "log global",
            "option dontlognull",
            "option redispatch",
            "retries 3",
            "timeout http-request 10s",
            "timeout queue 1m",
            "timeout connect 10s",
            "timeout client 1m",
            "timeout server 1m",
            "timeout http-keep-alive 10s",
            "timeout check 10s",
            "maxconn 3000",
        ];
        example.has_lines("10", node, HAPROXY, &lines);
        let lines = ["frontend kubernetes", "bind *:6443", "default_backend kubernetes-master"];
        example.has_lines("11", node, HAPROXY, &lines);
        let lines = [
            "backend kubernetes-master",
            "balance roundrobin",
            "server master1 192.168.88.97:6443 check maxconn 2000",
            "server master2 192.168.88.98:6443 check maxconn 2000",
            "server master3 192.168.88.99:6443 check maxconn 2000",
        ];
        example.has_lines("12", node, HAPROXY, &lines);
    }
    example.enables("1, 8, 13", "lb", &["keepalived.service", "haproxy.service"]);
    for role in ["lb", "master"] {
        example.enables("14", role, &["chrony.service"]);
    }
    for node in ["lb3", "master2"] {
        example.has_lines("14", node, "/etc/chrony/chrony.conf", &["server 192.168.88.97 iburst"]);
    }
    let configuration = example.document("master2", INIT, "ClusterConfiguration");
    assert_eq!(configuration["controlPlaneEndpoint"], "192.168.88.201:6443", "the endpoint for kubeadm");
    for row in ["6", "7", "8", "10"] {
        example.deviates(row);
    }
}

/// keepalived and haproxy take what the examples have, and do not warn.
#[test]
fn real_programs_take_the_examples() {
    for (name, nodes) in [
        ("keepalived-vip-1.23", &["master-1", "master-3"][..]),
        ("dedicated-lb", &["lb1", "lb2"]),
        (OLD, &["haproxy"]),
        (STREAM, &["k8s-master-02"]),
    ] {
        let example = Example::new(name);
        for node in nodes {
            let script = "trap '' TERM; file=/etc/keepalived/keepalived.conf
                ! [ -e $file ] || keepalived --config-test --use-file $file
                ! [ -e /etc/haproxy/haproxy.cfg ] || haproxy -c -q -f /etc/haproxy/haproxy.cfg";
            let programs = ["keepalived", "haproxy"];
            let Some(output) = on_files("real_programs_take_the_examples", &programs, &example.rendered, node, script)
            else {
                return;
            };
            accepted(&output);
            assert_eq!(text(&output), "", "{name} {node}");
        }
    }
}

/// Each has a test here, builds on its own, and says what it put right.
#[test]
fn every_example_is_tested() {
    let names: Vec<&str> = khimg::shipped::examples().into_keys().collect();
    assert_eq!(names, [STREAM, "dedicated-lb", "external-etcd", OLD, "keepalived-vip-1.23"]);
    for (name, text) in khimg::shipped::examples() {
        assert!(std::str::from_utf8(text).expect("text").contains("# Put right"), "{name}");
        assert!(DEVIATIONS.iter().any(|(example, ..)| *example == name), "{name}");
    }
    for (example, row, why) in DEVIATIONS {
        assert!(names.contains(example) && !row.is_empty() && !why.is_empty());
    }
}

/// What `khimg init` writes, and what it says to a name that it does not know.
#[test]
fn init_writes_an_example() {
    let sandbox = crate::support::sandbox::Sandbox::new();
    sandbox.khimg(["init", "--example", "dedicated-lb"]).assert().success();
    let written = sandbox.read("cluster.yaml");
    assert_eq!(written.as_bytes(), khimg::shipped::examples()["dedicated-lb"]);
    sandbox.khimg(["render", "--out", "files"]).assert().success();
    assert!(sandbox.read("files/lb2/etc/keepalived/keepalived.conf").contains("priority 90"));
    let refused = sandbox.khimg(["init", "--example", "dedicated"]).assert().code(2);
    let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(said.contains("dedicated-lb") && said.contains("keepalived-vip-1.23"), "{said}");
}
