//! Seeds: what cloud-init, a reader of YAML 1.1 and its own network renderers make of them.

use std::path::Path;
use std::process::{Command, Stdio};

use khimg::cluster::{Cluster, Cni, EndpointMode, Node, Reports};
use khimg::digest::Digest;
use khimg::exit::{Exit, Explain};
use khimg::render::Rendered;
use khimg::render::tree::Mode;
use khimg::secrets::{KeyAlgorithm, Secrets};
use khimg::seed::{BundleRef, DepotFile, Seed, seed};

use super::fixture::{cluster, dry_run, rendered};

pub fn bundle() -> BundleRef {
    let file = |path: &str| DepotFile { path: path.to_owned(), sha256: Digest::of(path.as_bytes()), size: 1234 };
    let pieces = vec![(Digest::of(b"one"), 1), (Digest::of(b"two"), 2)];
    BundleRef { bundle: file("bundles/master-debian-12-amd64.tar.zst"), pieces, program: file("khimg-amd64") }
}

pub fn seed_of(cluster: &Cluster, rendered: &Rendered, name: &str) -> Seed {
    let files = rendered.nodes.iter().find(|node| node.name == name).expect("a node");
    seed(cluster, files, &bundle()).expect("a seed")
}

/// Python with PyYAML, which is what cloud-init reads with: YAML 1.1. `None`, and a reason printed, without it.
pub fn python(test: &str, script: &str, input: &str) -> Option<serde_json::Value> {
    let known = Command::new("/usr/bin/python3").args(["-c", "import yaml"]).output();
    if !known.is_ok_and(|output| output.status.success()) {
        println!("skipped: {test}: no /usr/bin/python3 with PyYAML on this machine");
        return None;
    }
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), input.as_bytes()).expect("input");
    let output = child.wait_with_output().expect("python");
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

#[test]
fn a_reader_of_yaml_1_1_gets_every_file_back() {
    let script = "
import base64, gzip, hashlib, json, sys, yaml
data = yaml.safe_load(sys.stdin)
files = {}
for file in data.pop('write_files'):
    body = gzip.decompress(base64.b64decode(file['content']))
    assert set(file) == {'path', 'owner', 'permissions', 'encoding', 'content'} and file['encoding'] == 'gz+b64'
    files[file['path']] = [file['permissions'], file['owner'], hashlib.sha256(body).hexdigest()]
json.dump({'rest': data, 'files': files}, sys.stdout)";
    let cluster = cluster(EndpointMode::Stacked, Cni::Flannel);
    let secrets = Secrets::generate(KeyAlgorithm::EcdsaP256).expect("generates");
    let rendered = rendered(&cluster, &secrets);
    for node in &rendered.nodes {
        let user_data = seed_of(&cluster, &rendered, &node.name).user_data;
        assert!(user_data.expose().starts_with("#cloud-config\n"));
        let Some(read) = python("a_reader_of_yaml_1_1", script, user_data.expose()) else { return };
        for (path, entry) in node.public.iter().chain(node.secret.iter()) {
            let digest = Digest::of(entry.bytes().expect("a file")).hex();
            let expected = serde_json::json!([format!("{:04o}", entry.mode.bits()), "root:root", digest]);
            assert_eq!(read["files"][path.as_str()], expected, "{path}");
        }
        let count = node.public.iter().count() + node.secret.iter().count() + 1;
        assert_eq!(read["files"].as_object().expect("a map").len(), count, "and stage 0's configuration");
        assert_eq!(read["rest"]["hostname"], node.name.as_str());
        assert!(read["rest"].get("packages").is_none());
        assert_eq!(read["rest"]["package_upgrade"], false);
    }
}

/// The same for the documents that Kubernetes reads: 1.1 and 1.2 must see the same values.
#[test]
fn kubeadm_documents_mean_the_same_in_yaml_1_1() {
    let script = "import json, sys, yaml\njson.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)";
    let rendered = dry_run(&cluster(EndpointMode::Stacked, Cni::Bridge));
    let files = rendered.all_files("master-1").expect("a node");
    for path in [khimg::render::INIT_PATH, khimg::render::JOIN_PATH, khimg::render::STORED_PATH, "/etc/khimg/node.yaml"]
    {
        let text = std::str::from_utf8(files.get(path).and_then(|entry| entry.bytes()).expect("a file")).expect("text");
        let Some(old) = python("kubeadm_documents", script, text) else { return };
        let new: Vec<serde_json::Value> = serde_saphyr::from_multiple(text).expect("YAML");
        assert_eq!(old, serde_json::Value::Array(new), "{path}");
    }
}

pub fn has_cloud_init(test: &str) -> bool {
    let there = Path::new("/usr/bin/cloud-init").exists();
    if !there {
        println!("skipped: {test}: no cloud-init on this machine");
    }
    there
}

#[test]
fn cloud_init_accepts_user_data() {
    if !has_cloud_init("cloud_init_accepts_user_data") {
        return;
    }
    let folder = tempfile::tempdir().expect("a directory");
    for (mode, cni) in [(EndpointMode::Stacked, Cni::Flannel), (EndpointMode::Dedicated, Cni::Bridge)] {
        let cluster = cluster(mode, cni);
        let rendered = dry_run(&cluster);
        for node in &rendered.nodes {
            let path = folder.path().join("user-data");
            std::fs::write(&path, seed_of(&cluster, &rendered, &node.name).user_data.expose()).expect("a file");
            let output = Command::new("cloud-init").args(["schema", "-c"]).arg(&path).output().expect("cloud-init");
            let said =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success() && said.contains("Valid cloud-config"), "{}: {said}", node.name);
            assert!(!said.to_lowercase().contains("deprecat"), "{said}");
        }
    }
}

/// cloud-init's own renderers for ifupdown and for netplan take the network configuration.
#[test]
fn cloud_init_renders_the_network() {
    if !has_cloud_init("cloud_init_renders_the_network") {
        return;
    }
    let cluster = cluster(EndpointMode::Stacked, Cni::Bridge);
    let network = seed_of(&cluster, &dry_run(&cluster), "master-1").network_config;
    let folder = tempfile::tempdir().expect("a directory");
    let input = folder.path().join("network-config");
    std::fs::write(&input, &network).expect("a file");
    for (kind, result) in
        [("eni", "etc/network/interfaces.d/50-cloud-init"), ("netplan", "etc/netplan/50-cloud-init.yaml")]
    {
        let out = folder.path().join(kind);
        let output = Command::new("cloud-init")
            .args(["devel", "net-convert", "--kind", "yaml", "--distro", "debian", "--output-kind", kind])
            .args(["--mac", "ens160,52:54:00:00:00:11"])
            .arg("--network-data")
            .arg(&input)
            .arg("--directory")
            .arg(&out)
            .output()
            .expect("cloud-init");
        assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
        let text = ["", "root"]
            .iter()
            .find_map(|prefix| std::fs::read_to_string(out.join(prefix).join(result)).ok())
            .unwrap_or_else(|| panic!("{kind}: {} has no {result}", out.display()));
        for expected in ["ens160", "192.168.30.11/24", "192.168.30.1", "192.168.30.2"] {
            assert!(text.contains(expected), "{kind} lacks {expected}:\n{text}");
        }
    }
}

/// Where the cluster file wants to hear of nodes, each seed says where and with what; elsewhere there is nothing of it.
#[test]
fn only_who_is_told_to_reports() {
    let mut cluster = cluster(EndpointMode::Stacked, Cni::Bridge);
    let secrets = Secrets::generate(KeyAlgorithm::EcdsaP256).expect("generates");
    let silent = rendered(&cluster, &secrets);
    let seed = seed_of(&cluster, &silent, "worker-1");
    assert!(seed.report.is_none() && !seed.user_data.expose().contains("khimg-report"));
    assert!(!silent.all_files("worker-1").expect("a node").iter().any(|(path, _)| path.as_str().contains("report")));
    cluster.seeding.reports =
        Some(Reports { url: "https://192.168.30.2:8443".to_owned(), ca: Some(secrets.etcd_ca.certificate.clone()) });
    let telling = rendered(&cluster, &secrets);
    assert_eq!(telling.roles, silent.roles, "no bundle knows of it");
    let mut proofs = std::collections::BTreeSet::new();
    for node in &telling.nodes {
        let seed = seed_of(&cluster, &telling, &node.name);
        let text = |path| std::str::from_utf8(node.secret.get(path).or(node.public.get(path))?.bytes()?).ok();
        let url = text("/etc/khimg/report/url").expect("a URL");
        assert_eq!(url, format!("https://192.168.30.2:8443/report/{}\n", node.name));
        assert_eq!(text("/etc/khimg/report/ca.crt"), Some(secrets.etcd_ca.certificate.as_str()));
        let token = text("/etc/khimg/report/token").expect("a token");
        assert_eq!(node.secret.get("/etc/khimg/report/token").expect("secret").mode, Mode::Private);
        assert_eq!(seed.report, Some(format!("{}\n", Digest::of(token.trim().as_bytes()).hex())));
        assert!(seed.user_data.expose().contains("khimg-report.service"));
        assert!(token.trim().len() == 64 && proofs.insert(seed.report), "each node has its own");
    }
}

/// Only who may have to put a bundle together has to know its parts.
#[test]
fn a_seed_lists_the_blobs_of_a_registry() {
    let mut cluster = cluster(EndpointMode::Stacked, Cni::Bridge);
    let conf = |cluster: &Cluster| {
        let seed = seed_of(cluster, &dry_run(cluster), "worker-1");
        let script = "import base64, gzip, json, sys, yaml\nfiles = yaml.safe_load(sys.stdin)['write_files']\n\
            text = [f['content'] for f in files if f['path'] == '/etc/khimg/stage0.conf'][0]\n\
            json.dump(gzip.decompress(base64.b64decode(text)).decode(), sys.stdout)";
        python("a_seed_lists", script, seed.user_data.expose())
    };
    let Some(plain) = conf(&cluster) else { return };
    assert!(!plain.to_string().contains("BUNDLE_PIECES"));
    cluster.depots.push("oci://registry.lan/khimg/demo".to_owned());
    let listed = conf(&cluster).expect("as before");
    let (one, two) = (Digest::of(b"one").hex(), Digest::of(b"two").hex());
    let text = listed.as_str().expect("text");
    assert!(text.contains(&format!("BUNDLE_PIECES='{one}:1 {two}:2'\n")), "{text}");
    assert!(text.contains("DEPOTS='http://192.168.30.2:8080/public oci://registry.lan/khimg/demo'"), "{text}");
}

#[test]
fn the_instance_follows_the_content() {
    let cluster = cluster(EndpointMode::Stacked, Cni::Bridge);
    let rendered = dry_run(&cluster);
    let one = seed_of(&cluster, &rendered, "worker-1");
    assert_eq!(one.meta_data, seed_of(&cluster, &rendered, "worker-1").meta_data);
    assert!(one.meta_data.starts_with("instance-id: lab-worker-1-"), "{}", one.meta_data);
    let files = rendered.nodes.iter().find(|node| node.name == "worker-1").expect("a node");
    let mut newer = bundle();
    newer.bundle.sha256 = Digest::of(b"a newer bundle");
    let other = seed(&cluster, files, &newer).expect("a seed");
    assert_ne!(one.meta_data, other.meta_data);
    assert_eq!(one.network_config, other.network_config);
}

#[test]
fn a_seed_fits_where_seeds_go() {
    // In bytes: Amazon and Alibaba take 16,384, OpenStack 65,535 of base64.
    for (algorithm, limit) in [(KeyAlgorithm::EcdsaP256, 16_384), (KeyAlgorithm::Rsa2048, 65_535 / 4 * 3)] {
        let cluster = cluster(EndpointMode::Stacked, Cni::Flannel);
        let rendered = rendered(&cluster, &Secrets::generate(algorithm).expect("generates"));
        for node in &rendered.nodes {
            let size = seed_of(&cluster, &rendered, &node.name).user_data.expose().len();
            assert!(size <= limit, "{}: {size}", node.name);
            println!("{} with {algorithm:?}: {size} bytes", node.name);
        }
    }
}

#[test]
fn depots_that_a_shell_would_take_apart_are_refused() {
    for depot in ["http://x/$(id)", "http://x/'", "http://x/ y", "http://x/*", "http://x/`id`", "http://x/\n", ""] {
        let cluster = Cluster { depots: vec![depot.to_owned()], ..cluster(EndpointMode::Stacked, Cni::Bridge) };
        let rendered = dry_run(&cluster);
        let error = seed(&cluster, &rendered.nodes[0], &bundle()).expect_err(depot);
        assert_eq!(error.exit(), Exit::BadInput, "{depot}");
    }
}

#[test]
fn no_route_and_no_name_server_and_no_mac() {
    let mut cluster = cluster(EndpointMode::Stacked, Cni::Bridge);
    let node = &mut cluster.nodes[0];
    (node.gateway, node.mac, node.nameservers) = (None, None, Vec::new());
    let network = seed_of(&cluster, &dry_run(&cluster), "master-1").network_config;
    let expected = "version: 2\nethernets:\n  ens160:\n    dhcp4: false\n    dhcp6: false\n    addresses:\n    - 192.168.30.11/24\n";
    assert_eq!(network, expected);
}

/// Each seed of a large cluster is as large as one of a small cluster; otherwise all of them grow with the square of the nodes.
#[test]
fn a_seed_does_not_grow_with_the_workers() {
    let sizes = |workers: u16| {
        let mut cluster = cluster(EndpointMode::Stacked, Cni::Flannel);
        for at in 0..workers {
            let name = format!("more-{at}");
            let address = format!("192.168.{}.{}/16", 40 + at / 250, at % 250 + 1).parse().expect("an address");
            cluster.nodes.push(Node { name, address, ..cluster.nodes[3].clone() });
        }
        let rendered = dry_run(&cluster);
        ["master-1", "worker-1"].map(|name| seed_of(&cluster, &rendered, name).user_data.expose().len())
    };
    // How often kubelets look is one digit longer.
    for (few, many) in sizes(0).into_iter().zip(sizes(300)) {
        assert!(few.abs_diff(many) <= 8, "{few} and {many}");
    }
}
