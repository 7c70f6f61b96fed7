//! Cluster files: the example loads, and every kind of mistake is told at its line, in words, with its exit code.

use std::path::Path;

use khimg::cluster::{self, Cluster, Disc, EXAMPLE, EndpointMode, Trust};
use khimg::config::Problems;
use khimg::exit::{Exit, Explain};

/// Lines are numbered from 1; the rows below name them.
const GOOD: &str = "\
apiVersion: khimg/v1
name: demo
kubernetes: 1.34.2
target: {os: debian-12, arch: amd64}
runtime: containerd
endpoint: {mode: stacked, vip: 192.168.30.200, port: 8443, interface: ens160, virtualRouterId: 50}
etcd: {mode: stacked}
bootstrap: symmetric
network: {podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/12, dnsDomain: cluster.local, cni: flannel}
mirrors: [aliyun, system, upstream]
joinUntil: 30d
nodes:
  - {name: master-1, role: master, address: 192.168.30.11/24, gateway: 192.168.30.1, mac: \"52:54:00:00:00:11\"}
  - {name: master-2, role: master, address: 192.168.30.12/24, gateway: 192.168.30.1, mac: \"52:54:00:00:00:12\"}
  - {name: master-3, role: master, address: 192.168.30.13/24, gateway: 192.168.30.1, mac: \"52:54:00:00:00:13\"}
  - {name: worker-1, role: worker, address: 192.168.30.21/24, gateway: 192.168.30.1}
";

/// An edit of [`GOOD`] and what must be said about it.
pub struct Row {
    name: &'static str,
    /// Text → its replacement, once.
    edits: &'static [(&'static str, &'static str)],
    line: usize,
    exit: Exit,
    /// Fragments of the message and the hint.
    says: &'static [&'static str],
}

pub const fn bad(
    name: &'static str,
    edits: &'static [(&'static str, &'static str)],
    line: usize,
    says: &'static [&'static str],
) -> Row {
    Row { name, edits, line, exit: Exit::BadInput, says }
}

const fn refused(
    name: &'static str,
    edits: &'static [(&'static str, &'static str)],
    line: usize,
    says: &'static [&'static str],
) -> Row {
    Row { name, edits, line, exit: Exit::Unsupported, says }
}

pub const MORE: &str = "joinUntil: 30d\n";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // YAML
    bad("tab", &[("etcd: {mode: stacked}", "etcd:\n\tmode: stacked")], 8, &["not valid YAML", "tabs"]),
    bad("unclosed", &[("etcd: {mode: stacked}", "etcd: {mode: stacked")], 8, &["not valid YAML"]),
    bad("second document", &[("nodes:", "---\nnodes:")], 13, &["second document"]),
    bad("duplicate key", &[("runtime: containerd", "runtime: containerd\nname: other")], 6, &["\"name\" is there twice", "remove one"]),
    bad("duplicate key within", &[("vip: 192.168.30.200", "vip: 192.168.30.200, vip: 192.168.30.201")], 6, &["\"vip\" is there twice"]),
    bad("merge key", &[("etcd: {mode: stacked}", "etcd: {<<: {mode: stacked}}")], 7, &["merge keys"]),
    bad("unknown tag", &[("name: demo", "name: !env demo")], 2, &["unsupported tag"]),
    bad("unknown alias", &[("name: demo", "name: *demo")], 2, &["unknown anchor"]),
    // Keys and types
    bad("unknown key", &[("runtime:", "runtim:")], 5, &["unknown key `runtim`", "did you mean `runtime`?"]),
    bad("wrong case", &[("podSubnet", "podsubnet")], 9, &["unknown key `podsubnet`", "did you mean `podSubnet`?"]),
    bad("key too high", &[("runtime: containerd", "virtualRouterId: 7")], 5, &["unknown key `virtualRouterId`", "belongs below `endpoint`"]),
    bad("unknown key without likeness", &[("runtime: containerd", "flavour: vanilla")], 5, &["unknown key `flavour`", "known keys: addons, apiVersion,"]),
    bad("unknown key of a node", &[("{name: worker-1,", "{name: worker-1, ip: 1.2.3.4,")], 16, &["unknown key `ip`", "known keys: address"]),
    bad("no nodes", &[("nodes:", "noodles:")], 12, &["unknown key `noodles`", "did you mean `nodes`?"]),
    bad("node without address", &[(", address: 192.168.30.21/24", "")], 16, &["key `address` is missing", "such as 192.168.30.11/24"]),
    bad("node without role", &[("name: worker-1, role: worker", "name: worker-1")], 16, &["key `role` is missing"]),
    bad("node is a text", &[("  - {name: worker-1", "  - worker-2\n  - {name: worker-1")], 16, &["expected a mapping, found the text \"worker-2\""]),
    bad("unknown role", &[("role: worker", "role: wroker")], 16, &["expected one of master, worker, lb or etcd", "did you mean `worker`?"]),
    bad("unknown runtime", &[("runtime: containerd", "runtime: crio")], 5, &["expected one of containerd or docker, found the text \"crio\""]),
    bad("unknown mode", &[("mode: stacked, vip", "mode: staked, vip")], 6, &["stacked, vip-only, dedicated, single-lb or external", "did you mean `stacked`?"]),
    bad("unknown format", &[("khimg/v1", "khimg/v2")], 1, &["expected khimg/v1, found the text \"khimg/v2\""]),
    bad("unknown architecture", &[("arch: amd64", "arch: riscv64")], 4, &["expected one of amd64 or arm64"]),
    bad("name is a boolean", &[("name: demo", "name: true")], 2, &["expected a text, found true", "in quotes: \"true\""]),
    bad("name is empty", &[("name: demo", "name:")], 2, &["expected a text, found nothing", "remove the key"]),
    bad("port is a text", &[("port: 8443", "port: \"8443\"")], 6, &["expected a whole number, found the text \"8443\"", "remove the quotes"]),
    bad("mirrors is a text", &[("[aliyun, system, upstream]", "aliyun")], 10, &["expected a list, found the text \"aliyun\"", "[aliyun]"]),
    bad("endpoint is a text", &[("etcd: {mode: stacked}", "etcd: stacked")], 7, &["expected a mapping, found the text \"stacked\""]),
    bad("port 0", &[("port: 8443", "port: 0")], 6, &["0 is too small", "least is 1"]),
    bad("port 70000", &[("port: 8443", "port: 70000")], 6, &["70000 is too large", "most is 65535"]),
    bad("virtual router 0", &[("virtualRouterId: 50", "virtualRouterId: 0")], 6, &["0 is too small", "least is 1"]),
    bad("virtual router 256", &[("virtualRouterId: 50", "virtualRouterId: 256")], 6, &["256 is too large", "most is 255"]),
    // Names
    bad("name not a label", &[("name: demo", "name: My_Demo")], 2, &["\"My_Demo\" is not a DNS label", "such as `my-demo`"]),
    bad("node name not a label", &[("name: worker-1", "name: worker.1")], 16, &["\"worker.1\" is not a DNS label"]),
    bad("domain", &[("cluster.local", "cluster_local")], 9, &["\"cluster_local\" is not a DNS domain"]),
    bad("interface too long", &[("ens160", "much-too-long-ens160")], 6, &["more than 15 characters", "ip link"]),
    bad("interface of a node", &[("{name: worker-1,", "{name: worker-1, interface: \"eth0:1\",")], 16, &["\"eth0:1\" is not an interface name"]),
    // Versions
    bad("not a version", &[("1.34.2", "latest")], 3, &["\"latest\" is not a Kubernetes version", "1.34.2"]),
    bad("pre-release", &[("1.34.2", "1.34.0-rc.1")], 3, &["is not a Kubernetes version", "write 1.34.0"]),
    refused("unknown minor", &[("1.34.2", "1.99.1")], 3, &["does not know Kubernetes 1.99.1", "from 1.20 to 1.34"]),
    refused("a float that loses its zero", &[("1.34.2", "1.40")], 3, &["does not know Kubernetes 1.40"]),
    bad("unknown system", &[("os: debian-12", "os: debian-21")], 4, &["no operating system \"debian-21\"", "did you mean `debian-12`?"]),
    bad("unknown system of a node", &[("{name: worker-1,", "{name: worker-1, target: {os: plan9},")], 16, &["no operating system \"plan9\"", "debian-12 and debian-13"]),
    bad("no time", &[("30d", "a month")], 11, &["\"a month\" is not a length of time", "such as 30d"]),
    bad("time too short", &[("30d", "5m")], 11, &["5m is too short", "15m"]),
    bad("time too long", &[("30d", "9999d")], 11, &["9999d is too long", "365d"]),
    bad("token life too long", &[("joinUntil: 30d", "joinUntil: 30d\ntokenLife: 30d")], 12, &["30d is too long", "7d"]),
    // Addresses
    bad("no prefix length", &[("192.168.30.21/24", "192.168.30.21")], 16, &["lacks the prefix length", "write 192.168.30.21/24"]),
    bad("not an address", &[("192.168.30.21/24", "worker-1/24")], 16, &["\"worker-1/24\" is not an address with a prefix length"]),
    bad("network address", &[("192.168.30.21/24", "192.168.30.0/24")], 16, &["is the network address of its own subnet 192.168.30.0/24"]),
    bad("broadcast address", &[("192.168.30.21/24", "192.168.30.255/24")], 16, &["is the broadcast address"]),
    bad("loopback", &[("192.168.30.21/24", "127.0.0.1/8")], 16, &["127.0.0.1 is a loopback address"]),
    bad("duplicate name", &[("name: master-2", "name: master-1")], 14, &["two nodes are called \"master-1\""]),
    bad("duplicate address", &[("192.168.30.12/24", "192.168.30.11/24")], 14, &["two nodes have the address 192.168.30.11"]),
    bad("duplicate mac, written otherwise", &[("52:54:00:00:00:12", "52-54-00-00-00-11")], 14, &["two nodes have the MAC address 52:54:00:00:00:11"]),
    bad("bad mac", &[("52:54:00:00:00:12", "52:54:00:00:12")], 14, &["is not a MAC address", "in quotes"]),
    bad("group mac", &[("52:54:00:00:00:12", "33:33:00:00:00:12")], 14, &["is a group address"]),
    bad("gateway outside", &[("192.168.30.21/24, gateway: 192.168.30.1", "192.168.30.21/24, gateway: 192.168.31.1")], 16, &["gateway 192.168.31.1 lies outside the node's subnet 192.168.30.0/24"]),
    bad("gateway is the node", &[("192.168.30.21/24, gateway: 192.168.30.1", "192.168.30.21/24, gateway: 192.168.30.21")], 16, &["is the node itself"]),
    bad("gateway with prefix", &[("192.168.30.21/24, gateway: 192.168.30.1", "192.168.30.21/24, gateway: 192.168.30.1/24")], 16, &["prefix length where only the address belongs", "write 192.168.30.1"]),
    bad("no route", &[("192.168.30.21/24, gateway: 192.168.30.1", "192.168.99.21/24")], 16, &["worker-1 has no gateway, but 192.168.30.11 lies outside its subnet"]),
    bad("bad name server", &[("{name: worker-1,", "{name: worker-1, nameservers: [8.8.8.8, dns],")], 16, &["\"dns\" is not an IP address"]),
    bad("IPv6 among IPv4", &[("192.168.30.21/24, gateway: 192.168.30.1", "'fd00::21/64'")], 16, &["fd00::21 is IPv6, but the first node has IPv4"]),
    // Endpoint
    bad("vip missing", &[(" vip: 192.168.30.200,", "")], 6, &["needs a virtual address", "free address in 192.168.30.0/24"]),
    bad("vip outside", &[("192.168.30.200", "192.168.31.200")], 6, &["192.168.31.200 lies outside the subnet 192.168.30.0/24", "free address"]),
    bad("vip is a node", &[("192.168.30.200", "192.168.30.21")], 6, &["virtual address 192.168.30.21 is worker-1's own"]),
    bad("vip is the gateway", &[("192.168.30.200", "192.168.30.1")], 6, &["virtual address 192.168.30.1 is the gateway"]),
    bad("vip is broadcast", &[("192.168.30.200", "192.168.30.255")], 6, &["is the broadcast address of the nodes' subnet"]),
    bad("vip with prefix", &[("192.168.30.200", "192.168.30.200/24")], 6, &["write 192.168.30.200"]),
    bad("address for vip", &[("vip: 192.168.30.200", "address: 192.168.30.200")], 6, &["`address` means nothing in the mode stacked", "rename it to `vip`"]),
    bad("vip in external", &[("mode: stacked, vip", "mode: external, vip")], 6, &["`vip` means nothing in the mode external", "rename it to `address`"]),
    bad("external without address", &[("mode: stacked, vip: 192.168.30.200, ", "mode: external, ")], 6, &["`address` is missing"]),
    bad("port of the API server", &[("port: 8443", "port: 6443")], 6, &["port 6443 belongs to the API server"]),
    bad("port of etcd", &[("port: 8443", "port: 2379")], 6, &["port 2379 belongs to etcd", "8443"]),
    bad("port of the kubelet", &[("port: 8443", "port: 10250")], 6, &["port 10250 belongs to the kubelet"]),
    bad("node port", &[("port: 8443", "port: 30443")], 6, &["service of type NodePort"]),
    bad("port nobody has", &[("mode: stacked, vip", "mode: vip-only, vip")], 6, &["nothing listens on port 8443", "write `port: 6443`"]),
    // Networks
    bad("not a subnet", &[("10.244.0.0/16", "10.244.0.0")], 9, &["\"10.244.0.0\" is not a subnet"]),
    bad("host bits", &[("10.244.0.0/16", "10.244.1.0/16")], 9, &["has bits set after its prefix", "write 10.244.0.0/16"]),
    bad("pods overlap services", &[("10.244.0.0/16", "10.96.0.0/16")], 9, &["service subnet 10.96.0.0/12 overlaps the pod subnet 10.96.0.0/16"]),
    bad("pods overlap nodes", &[("10.244.0.0/16", "192.168.0.0/16")], 9, &["pod subnet 192.168.0.0/16 overlaps the nodes' subnet 192.168.30.0/24"]),
    bad("services overlap nodes", &[("10.96.0.0/12", "192.168.30.0/24")], 9, &["service subnet 192.168.30.0/24 overlaps the nodes' subnet"]),
    bad("services too large", &[("10.96.0.0/12", "10.0.0.0/8"), ("10.244.0.0/16", "172.16.0.0/16")], 9, &["too large: the API server takes at most /12"]),
    bad("services too small", &[("10.96.0.0/12", "10.96.0.0/29")], 9, &["too small", "/28"]),
    bad("pods too small", &[("10.244.0.0/16", "10.244.0.0/25")], 9, &["too small: every node gets a /24"]),
    bad("pods too few", &[("10.244.0.0/16", "10.244.0.0/23")], 9, &["room for 2 nodes with a /24 each, but there are 4"]),
    bad("pods too many", &[("10.244.0.0/16", "32.0.0.0/6")], 9, &["too large: the controller manager takes at most /8"]),
    bad("pods of the other family", &[("10.244.0.0/16", "'fd00:1::/56'")], 9, &["pod subnet fd00:1::/56 is IPv6, but the nodes have IPv4"]),
    // Roles
    bad("no master", &[("master-1, role: master", "master-1, role: worker"), ("master-2, role: master", "master-2, role: worker"), ("master-3, role: master", "master-3, role: worker")], 12, &["no node has the role master"]),
    refused("two masters", &[("master-3, role: master", "master-3, role: worker")], 14, &["2 masters with stacked etcd survive no loss", "1 or 3"]),
    refused("four masters", &[("role: worker", "role: master")], 16, &["4 masters with stacked etcd survive one loss, as 3 do", "3 or 5"]),
    bad("etcd nodes in stacked", &[("role: worker", "role: etcd")], 16, &["worker-1 has the role etcd, but etcd runs on the masters", "external"]),
    bad("external without etcd", &[("etcd: {mode: stacked}", "etcd: {mode: external}")], 7, &["no node has the role etcd", "role: etcd"]),
    refused("two etcd nodes", &[("etcd: {mode: stacked}", "etcd: {mode: external}"), ("role: worker", "role: etcd"), ("master-3, role: master", "master-3, role: etcd")], 16, &["2 members of etcd survive no loss"]),
    bad("lb in stacked", &[("role: worker", "role: lb")], 16, &["worker-1 has the role lb, but the endpoint's mode stacked has none"]),
    bad("dedicated without lb", &[("mode: stacked, vip", "mode: dedicated, vip")], 6, &["dedicated, but no node has the role lb"]),
    bad("single-lb without lb", &[("mode: stacked, vip: 192.168.30.200,", "mode: single-lb,")], 6, &["single-lb, but no node has the role lb"]),
    bad("single-lb with another address", &[("mode: stacked, vip: 192.168.30.200,", "mode: single-lb, address: 192.168.30.9,"), ("role: worker", "role: lb")], 6, &["192.168.30.9 is not that of worker-1", "192.168.30.21"]),
    refused("bridge over subnets", &[("cni: flannel", "cni: bridge"), ("192.168.30.21/24, gateway: 192.168.30.1", "192.168.31.21/24, gateway: 192.168.31.1")], 9, &["bridge needs all nodes in one subnet, but 192.168.31.21"]),
    // The catalogue
    bad("unknown mirror", &[("aliyun,", "aliyum,")], 10, &["no mirror \"aliyum\"", "did you mean `aliyun`?"]),
    bad("mirror twice", &[("[aliyun, ", "[aliyun, aliyun, ")], 10, &["mirror \"aliyun\" is there twice"]),
    bad("no mirrors", &[("[aliyun, system, upstream]", "[]")], 10, &["no mirror is left"]),
    bad("mirror not used", &[(MORE, "mirrorDefinitions: {lan: {debian: 'http://lan/debian'}}\n")], 11, &["would never be tried", "add `lan`"]),
    bad("mirror of an unknown source", &[(MORE, "mirrorDefinitions: {aliyun: {debain: 'http://lan/debian'}}\n")], 11, &["no source \"debain\"", "did you mean `debian`?"]),
    bad("mirror without scheme", &[(MORE, "mirrorDefinitions: {aliyun: {debian: lan/debian}}\n")], 11, &["is not a URL", "https://, http:// or file://"]),
    bad("mirror with another scheme", &[(MORE, "mirrorDefinitions: {aliyun: {debian: 'ftp://lan/debian'}}\n")], 11, &["has the scheme \"ftp\""]),
    bad("mirror with a password", &[(MORE, "mirrorDefinitions: {aliyun: {debian: 'https://u:p@lan/debian'}}\n")], 11, &["user name or password"]),
    bad("mirror with an unknown variable", &[(MORE, "mirrorDefinitions: {aliyun: {debian: 'https://lan/{suite}'}}\n")], 11, &["unknown variable {suite}", "codename"]),
    bad("registry as URL", &[(MORE, "mirrorDefinitions: {aliyun: {registry: 'ftp://lan:5000'}}\n")], 11, &["not the base of a registry", "registry.lan:5000/google_containers"]),
    bad("trust in an unknown source", &[(MORE, "trust: {debina: unsigned}\n")], 11, &["no source \"debina\"", "did you mean `debian`?"]),
    bad("trust in a registry", &[(MORE, "trust: {registry: unsigned}\n")], 11, &["not a package repository"]),
    bad("trust misspelt", &[(MORE, "trust: {debian: unsinged}\n")], 11, &["unsigned", "\"unsinged\""]),
    bad("trust without fingerprints", &[(MORE, "trust: {debian: {keys: [a.asc]}}\n")], 11, &["key `fingerprints` is missing"]),
    bad("key id", &[(MORE, "trust: {debian: {fingerprints: [0123456789ABCDEF]}}\n")], 11, &["is a key id, not a fingerprint"]),
    bad("fingerprint", &[(MORE, "trust: {debian: {fingerprints: [xyz]}}\n")], 11, &["\"xyz\" is not a fingerprint", "40 hex digits"]),
    bad("key file missing", &[(MORE, "trust: {debian: {keys: [nowhere.asc], fingerprints: [0123456789ABCDEF0123456789ABCDEF01234567]}}\n")], 11, &["cannot read", "nowhere.asc", "relative to the cluster file"]),
    bad("unknown component", &[(MORE, "components: {contained: {version: 1.7.*}}\n")], 11, &["no component \"contained\"", "did you mean `containerd`?"]),
    bad("component's version", &[(MORE, "components: {containerd: {version: newest}}\n")], 11, &["\"newest\" is not a version"]),
    bad("version skew", &[(MORE, "components: {kubernetes: {version: 1.33.1}}\n")], 11, &["follows the key `kubernetes`"]),
    refused("component without files", &[(MORE, "components: {containerd: {source: file}}\n")], 11, &["does not have containerd with `source: file`", "source: package"]),
    bad("nothing to choose", &[(MORE, "components: {chrony: {version: 4.*}}\n")], 11, &["chrony comes in one form and version only"]),
    refused("a limit", &[("runtime: containerd", "runtime: docker")], 5, &["docker is not supported yet", "write `runtime: containerd`"]),
    refused("a limit within", &[("cni: flannel", "cni: calico")], 9, &["calico is not supported yet"]),
    refused("a limit of two values", &[("os: debian-12", "os: debian-13"), ("1.34.2", "1.30.1")], 3, &["Debian 13 is too new for it"]),
    refused("a limit of one node", &[("{name: worker-1,", "{name: worker-1, target: {os: debian-13},"), ("1.34.2", "1.30.1")], 3, &["Debian 13 is too new for it"]),
    bad("component's source", &[(MORE, "components: {containerd: {source: rpm}}\n")], 11, &["expected one of package, vendor, file or image"]),
    bad("platform", &[(MORE, "platform: aws\n")], 11, &["expected one of nocloud, ec2"]),
    bad("seed URL", &[(MORE, "seed: {url: 'tftp://lan/'}\n")], 11, &["has the scheme \"tftp\""]),
    bad("reports' URL", &[(MORE, "seed: {reports: {url: 'tftp://lan/'}}\n")], 11, &["has the scheme \"tftp\""]),
    bad("reports' authority without TLS", &[(MORE, "seed: {reports: {url: 'http://lan/', ca: mod.rs}}\n")], 11, &["an authority for a URL without TLS"]),
    bad("reports' authority is none", &[(MORE, "seed: {reports: {url: 'https://lan/', ca: mod.rs}}\n")], 11, &["mod.rs holds no certificate"]),
    bad("user-data missing", &[(MORE, "seed: {userData: [nowhere.yaml]}\n")], 11, &["cannot read", "nowhere.yaml", "relative to the cluster file"]),
    bad("user-data of no kind", &[(MORE, "seed: {userData: [mod.rs]}\n")], 11, &["first line is none that cloud-init knows", "#cloud-config"]),
    bad("depot with a tag", &[(MORE, "depots: ['oci://registry.lan/khimg/demo:v1']\n")], 11, &["no repository of a registry", "without a tag"]),
    bad("depot without a name", &[(MORE, "depots: ['oci+http://registry.lan:5000/']\n")], 11, &["no repository of a registry"]),
    bad("depot", &[(MORE, "depots: ['tftp://lan/']\n")], 11, &["has the scheme \"tftp\"", "https://, http://"]),
];

fn parse(text: &str) -> Result<Cluster, Problems> {
    cluster::parse("cluster.yaml", text, Path::new("tests/it/config"), &super::catalog())
}

pub fn edited(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(GOOD.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in the good file");
        text.replacen(from, to, 1)
    })
}

#[test]
fn good_files() {
    let cluster = parse(GOOD).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(cluster.endpoint.address.to_string(), "192.168.30.200");
    assert_eq!(cluster.nodes[3].interface, "ens160");
    assert_eq!(cluster.join_until, jiff::SignedDuration::from_hours(720));
    let example = cluster::parse("example", EXAMPLE, Path::new(""), &super::catalog());
    let example = example.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(example.nodes.len(), 4);
    // And with the real catalogue.
    let catalog = khimg::catalog::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let example = cluster::parse("example", EXAMPLE, Path::new(""), &catalog);
    example.unwrap_or_else(|problems| panic!("{problems}"));
}

/// What the example has commented out is right, too, once a key file and mirrors are there.
#[test]
fn the_examples_comments_are_good() {
    let dir = tempfile::tempdir().expect("temporary directory");
    std::fs::write(dir.path().join("lan.asc"), "-----BEGIN PGP PUBLIC KEY BLOCK-----\n…").expect("written");
    std::fs::write(dir.path().join("extra.yaml"), "#cloud-config\ntimezone: Asia/Shanghai\n").expect("written");
    let mut text = String::new();
    let mut inside = false;
    for line in EXAMPLE.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        inside = bare != line
            && (["mirrorDefinitions:", "trust:", "components:", "compat:", "depots: ", "seed:"]
                .iter()
                .any(|key| bare.starts_with(key))
                || (inside && bare.starts_with("  ")));
        text.push_str(if inside { bare } else { line });
        text.push('\n');
    }
    let text = text.replace("[aliyun, tuna", "[lan, aliyun, tuna");
    let catalog = khimg::catalog::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let cluster =
        cluster::parse("example", &text, dir.path(), &catalog).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(
        (cluster.mirror_definitions.len(), cluster.trust.len(), cluster.components.len(), cluster.depots.len()),
        (1, 2, 1, 1)
    );
    assert_eq!((cluster.seeding.disc, cluster.seeding.user_data.len()), (Disc::Seed, 1));
}

/// The comments in the example name the defaults: each key taken out alone changes nothing.
#[test]
fn the_examples_defaults_are_the_defaults() {
    let catalog = super::catalog();
    let whole = cluster::parse("example", EXAMPLE, Path::new(""), &catalog).expect("good");
    let optional = [
        "apiVersion: ",
        "name: ",
        "target: ",
        "runtime: ",
        "etcd: ",
        "bootstrap: ",
        "mirrors: ",
        "platform: ",
        "joinUntil: ",
        "tokenLife: ",
    ];
    let nested = [
        "  mode: ",
        "  port: ",
        "  virtualRouterId: ",
        "  podSubnet: ",
        "  serviceSubnet: ",
        "  dnsDomain: ",
        "  cni: ",
        "  dns: ",
        "  kubeProxy: ",
    ];
    for key in optional.into_iter().chain(nested) {
        let text: Vec<&str> = EXAMPLE.lines().filter(|line| !line.starts_with(key)).collect();
        assert_eq!(text.len() + 1, EXAMPLE.lines().count(), "{key}");
        let without = cluster::parse("example", &text.join("\n"), Path::new(""), &catalog);
        assert_eq!(without.unwrap_or_else(|problems| panic!("{key}: {problems}")), whole, "{key}");
    }
}

#[test]
fn bad_files() {
    assert!(ROWS.len() >= 70);
    let mut failures = Vec::new();
    for row in ROWS.iter().chain(super::compat::ROWS) {
        let Err(problems) = parse(&edited(row.edits)) else {
            failures.push(format!("{}: nothing was said", row.name));
            continue;
        };
        let found = problems.iter().any(|problem| {
            let whole = format!("{} | {}", problem.message(), problem.help().unwrap_or_default());
            let line = problem.position().map(|(line, _)| line);
            line == Some(row.line) && problem.exit() == row.exit && row.says.iter().all(|part| whole.contains(part))
        });
        if !found {
            failures.push(format!(
                "{}: line {}, {:?}, {:?}, but was told:\n{problems}",
                row.name, row.line, row.exit, row.says
            ));
        }
        if problems.iter().count() != 1 || problems.exit() != row.exit {
            failures.push(format!("{}: not this alone, with its exit code:\n{problems}", row.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn no_nodes() {
    let (head, _) = GOOD.split_once("nodes:").expect("has nodes");
    for (tail, fragment) in [("nodes: []", "the list is empty"), ("nodes:", "expected a list, found nothing")] {
        let problems = parse(&format!("{head}{tail}\n")).expect_err(tail);
        assert_eq!(problems.iter().count(), 1, "{problems}");
        assert!(
            problems.to_string().contains(fragment) && problems.to_string().contains("cluster.yaml:12:"),
            "{problems}"
        );
    }
}

#[test]
fn versions_keep_their_spelling() {
    for (written, meant) in
        [("1.30", "1.30"), ("'1.30'", "1.30"), ("1.34", "1.34"), ("v1.34.2", "1.34.2"), ("\"1.20.2\"", "1.20.2")]
    {
        let text = edited(&[("kubernetes: 1.34.2", &format!("kubernetes: {written}"))]);
        let cluster = parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(cluster.kubernetes.to_string(), meant, "{written}");
    }
    let text = edited(&[(MORE, "components: {containerd: {version: 1.10}}\n")]);
    let cluster = parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(cluster.components["containerd"].version.as_deref(), Some("1.10"));
}

#[test]
fn other_endpoints() {
    let text = edited(&[
        ("mode: stacked, vip: 192.168.30.200, port: 8443,", "mode: single-lb,"),
        ("role: worker", "role: lb"),
    ]);
    let cluster = parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((cluster.endpoint.address.to_string().as_str(), cluster.endpoint.port), ("192.168.30.21", 8443));
    let text =
        edited(&[("mode: stacked, vip: 192.168.30.200, port: 8443,", "mode: external, address: 192.168.30.11,")]);
    let cluster = parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((cluster.endpoint.mode, cluster.endpoint.port), (EndpointMode::External, 6443));
}

#[test]
fn trust_is_read_from_files() {
    let dir = tempfile::tempdir().expect("temporary directory");
    std::fs::write(dir.path().join("good.asc"), "-----BEGIN PGP PUBLIC KEY BLOCK-----\n…").expect("written");
    std::fs::write(dir.path().join("private.asc"), "-----BEGIN PGP PRIVATE KEY BLOCK-----\n…").expect("written");
    std::fs::write(dir.path().join("latin1.asc"), b"-----BEGIN\n\xe4").expect("written");
    let load = |key: &str| {
        let trust = format!(
            "trust: {{debian: {{keys: [{key}], fingerprints: ['0123 4567 89ab cdef 0123 4567 89ab cdef 0123 4567']}}}}\n"
        );
        let path = dir.path().join("cluster.yaml");
        std::fs::write(&path, edited(&[(MORE, &trust)])).expect("written");
        cluster::load(&path, &super::catalog())
    };
    let cluster = load("good.asc").unwrap_or_else(|problems| panic!("{problems}"));
    let Some(Trust::Keys { fingerprints, armored }) = cluster.trust.get("debian") else {
        panic!("{:?}", cluster.trust)
    };
    assert_eq!(fingerprints.as_slice(), ["0123456789ABCDEF0123456789ABCDEF01234567"]);
    assert_eq!(armored.len(), 1);
    for (key, fragment) in
        [("private.asc", "private key"), ("latin1.asc", "line 2"), ("cluster.yaml", "no OpenPGP public key")]
    {
        let problems = load(key).expect_err(key).to_string();
        assert!(problems.contains(fragment), "{problems}");
    }
}

#[test]
fn a_file_that_cannot_be_read() {
    let problems = cluster::load(Path::new("/nowhere/cluster.yaml"), &super::catalog()).expect_err("missing");
    assert_eq!(problems.exit(), Exit::LocalIo);
    assert!(problems.to_string().contains("cannot read /nowhere/cluster.yaml"), "{problems}");
}
