//! Seeds within the limits of platforms, with further parts, and on discs: what cloud-init makes of them.

use std::collections::BTreeMap;
use std::process::Command;

use khimg::cloud_init::Part;
use khimg::cluster::{Cluster, Cni, EndpointMode, Platform, Role, Seeding};
use khimg::deliver::{DISC, NodeDisc, NodeSeed, deliver};
use khimg::digest::Digest;
use khimg::render::Rendered;
use khimg::report::Silent;
use khimg::secrets::{KeyAlgorithm, Secrets};
use khimg::seed::{Form, Handed};
use khimg::store::Store;

use super::fixture::{cluster, rendered};
use super::seeds::{has_cloud_init, python, seed_of};
use crate::support::machine;
use crate::support::workshop::target;

fn platforms() -> [Platform; 7] {
    use Platform::{Alibaba, Azure, Cloudstack, Ec2, Gcp, Nocloud, Openstack};
    [Nocloud, Ec2, Alibaba, Openstack, Azure, Cloudstack, Gcp]
}

fn on(platform: Platform, user_data: Vec<Part>) -> Cluster {
    let seeding = Seeding { platform, user_data, ..Seeding::default() };
    Cluster { seeding, ..cluster(EndpointMode::Stacked, Cni::Flannel) }
}

/// A part of user-data of about so many bytes that no compressor makes much smaller.
fn noise(bytes: usize) -> Part {
    let mut text = "#!/bin/sh\n".to_owned();
    let mut at = 0_usize;
    while text.len() < bytes {
        text += &format!("# {}\n", Digest::of(&at.to_le_bytes()).hex());
        at += 1;
    }
    Part::parse("noise", text).expect("a script")
}

fn large(algorithm: KeyAlgorithm, cluster: &Cluster) -> Rendered {
    rendered(cluster, &Secrets::generate(algorithm).expect("generates"))
}

/// The user-data that cloud-init sees behind whatever the platform was given.
fn opened(handed: &Handed) -> String {
    let script = "
import base64, gzip, json, sys
raw = base64.b64decode(sys.stdin.read())
if sys.argv[1:] == ['twice']:
    raw = base64.b64decode(raw)
json.dump((gzip.decompress(raw) if raw[:2] == b'\\x1f\\x8b' else raw).decode(), sys.stdout)";
    let bytes = handed.bytes.as_ref().expect("something to hand over").expose();
    let script = match handed.form {
        Form::GzipBase64 => script.replace("sys.argv[1:] == ['twice']", "True"),
        _ => script.to_owned(),
    };
    let input = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let read = python("opened", &script, &input).expect("Python was there a moment ago");
    read.as_str().expect("text").to_owned()
}

const FILES: &str = "
import base64, gzip, hashlib, json, sys, yaml
files = {}
for file in yaml.safe_load(sys.stdin)['write_files']:
    body = file['content']
    if file['encoding'] == 'gz+b64':
        body = gzip.decompress(base64.b64decode(body))
    elif file['encoding'] == 'b64':
        body = base64.b64decode(body)
    else:
        body = body.encode()
    files[file['path']] = [file['permissions'], hashlib.sha256(body).hexdigest()]
json.dump(files, sys.stdout)";

#[test]
fn every_platform_gets_the_same_files_within_its_limit() {
    let rendered = large(KeyAlgorithm::Rsa2048, &on(Platform::Nocloud, Vec::new()));
    for platform in platforms() {
        let cluster = on(platform, Vec::new());
        for node in rendered.nodes.iter().filter(|node| ["master-1", "worker-1"].contains(&node.name.as_str())) {
            let seed = seed_of(&cluster, &rendered, &node.name);
            let Some(handed) = &seed.handed else {
                assert_eq!(platform, Platform::Nocloud);
                continue;
            };
            let size = handed.bytes.as_ref().map_or(0, |bytes| bytes.expose().len());
            println!("{} {}: {:?}, {size} bytes", platform.name(), node.name, handed.form);
            assert!(size > 0 && size <= platform.limit().expect("a limit"), "{}: {size}", platform.name());
            let Some(plain) = python("every_platform", FILES, seed.user_data.expose()) else { return };
            assert_eq!(python("every_platform", FILES, &opened(handed)), Some(plain), "{}", platform.name());
        }
    }
}

/// At each size: as it is, compressed, elsewhere.
#[test]
fn what_does_not_fit_is_compressed_and_then_moved() {
    let form = |platform, bytes, url: Option<&str>| {
        let mut cluster = on(platform, vec![noise(bytes)]);
        cluster.seeding.url = url.map(str::to_owned);
        let rendered = large(KeyAlgorithm::EcdsaP256, &cluster);
        let seed = seed_of(&cluster, &rendered, "worker-1");
        assert_eq!(seed.needs_disc(), seed.handed.as_ref().is_some_and(|handed| handed.form == Form::Disc));
        (seed.handed.clone().expect("a platform"), seed)
    };
    assert_eq!(form(Platform::Ec2, 100, None).0.form, Form::Plain);
    assert_eq!(form(Platform::Ec2, 16_000, None).0.form, Form::Gzip);
    assert_eq!(form(Platform::Gcp, 260_000, None).0.form, Form::GzipBase64);
    assert_eq!(form(Platform::Openstack, 16_000, None).0.form, Form::Plain);
    let (disc, seed) = form(Platform::Ec2, 60_000, None);
    assert!(disc.form == Form::Disc && disc.bytes.is_none() && seed.needs_disc());
    let (url, _) = form(Platform::Ec2, 60_000, Some("https://depot.lan/secret"));
    assert_eq!(opened(&url), "#include\nhttps://depot.lan/secret/worker-1/user-data\n");
    let told = Form::Url.told(Platform::Ec2, 3).expect("told");
    assert!(told.contains("3 seeds over the 16384 bytes that ec2 takes") && told.contains("seed.url"), "{told}");
    assert_eq!(Form::Plain.told(Platform::Ec2, 3), None);
}

/// cloud-init's own merging: lists grow, and nothing of ours is lost.
#[test]
fn cloud_init_merges_further_parts() {
    if !has_cloud_init("cloud_init_merges_further_parts") {
        return;
    }
    let extra = "#cloud-config\npackage_upgrade: true\ntimezone: Asia/Shanghai\nruncmd: [[touch, /mine]]\n\
                 write_files:\n- {path: /etc/mine, content: größer}\n";
    let parts = vec![
        Part::parse("extra ü.yaml", extra.to_owned()).expect("a cloud-config"),
        Part::parse("late.sh", "#!/bin/sh\necho late\n".to_owned()).expect("a script"),
    ];
    let script = "
import base64, gzip, json, sys, tempfile, yaml
from cloudinit import helpers, user_data
from cloudinit.handlers.cloud_config import CloudConfigPartHandler
directory = tempfile.mkdtemp()
paths = helpers.Paths({'cloud_dir': directory, 'run_dir': directory})
message = user_data.UserDataProcessor(paths).process(base64.b64decode(sys.stdin.read()))
handler = CloudConfigPartHandler(paths)
handler.cloud_fn = directory + '/merged'
handler.handle_part(None, '__begin__', None, None, None, None)
kinds = []
for part in message.walk():
    if part.is_multipart():
        continue
    kinds.append([part.get_content_type(), part.get_filename()])
    if part.get_content_type() == 'text/cloud-config':
        text = part.get_payload(decode=True).decode()
        handler.handle_part(None, 'text/cloud-config', part.get_filename(), text, None, part)
handler.handle_part(None, '__end__', None, None, None, None)
json.dump({'kinds': kinds, 'merged': yaml.safe_load(open(handler.cloud_fn))}, sys.stdout)";
    for platform in [Platform::Nocloud, Platform::Ec2] {
        let mut parts = parts.clone();
        if platform == Platform::Ec2 {
            parts.push(noise(16_000));
        }
        let (cluster, alone) = (on(platform, parts), on(platform, Vec::new()));
        let rendered = large(KeyAlgorithm::EcdsaP256, &cluster);
        let seed = seed_of(&cluster, &rendered, "worker-1");
        let bytes = match &seed.handed {
            Some(handed) => {
                assert_eq!(handed.form, Form::Gzip);
                handed.bytes.as_ref().expect("compressed").expose().clone()
            }
            None => seed.user_data.expose().clone().into_bytes(),
        };
        let input = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
        let Some(read) = python("cloud_init_merges", script, &input) else { return };
        let kinds = &read["kinds"];
        assert_eq!(kinds[0], serde_json::json!(["text/cloud-config", "khimg.yaml"]));
        assert_eq!(kinds[1], serde_json::json!(["text/cloud-config", "extra__.yaml"]));
        assert_eq!(kinds[2], serde_json::json!(["text/x-shellscript", "late.sh"]));
        let ours = python("cloud_init_merges", FILES, seed_of(&alone, &rendered, "worker-1").user_data.expose());
        let merged = &read["merged"];
        let files = merged["write_files"].as_array().expect("a list");
        assert_eq!(files.len(), ours.and_then(|ours| Some(ours.as_object()?.len())).expect("files") + 1);
        assert_eq!(files.last().expect("ours and theirs")["content"], "größer");
        assert_eq!(merged["runcmd"].as_array().expect("a list").last(), Some(&serde_json::json!(["touch", "/mine"])));
        assert_eq!((&merged["package_upgrade"], &merged["timezone"]), (&false.into(), &"Asia/Shanghai".into()));
    }
}

/// What khimg finds wrong with a cloud-config, cloud-init finds wrong too, and the other way round.
#[test]
fn khimg_and_cloud_init_agree_on_cloud_configs() {
    if !has_cloud_init("khimg_and_cloud_init_agree") {
        return;
    }
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("config");
    for (text, good) in [
        ("users:\n- default\n- {name: me, ssh_authorized_keys: [ssh-ed25519 AAAA me]}\n", true),
        ("package_update: yes\nntp: {enabled: on, servers: [192.168.30.1]}\n", true),
        ("mounts: [[sdb, /data]]\ngrowpart: {mode: auto, ignore_growroot_disabled: no}\n", true),
        ("write_files: [{path: /a, permissions: '0644'}]\nbootcmd: [ls, [ls, -l]]\n", true),
        ("write_files: [{path: /a, permissions: 0644}]\n", false),
        ("write_files: [{content: x}]\n", false),
        ("write_files: []\n", false),
        ("users: [{name: me, shel: /bin/sh}]\n", false),
        ("package_update: maybe\n", false),
        ("runcmd: ls\n", false),
        ("ntp: {pool: [a]}\n", false),
        ("hostname: [a]\n", false),
    ] {
        let text = format!("#cloud-config\n{text}");
        std::fs::write(&path, &text).expect("a file");
        let output = Command::new("cloud-init").args(["schema", "-c"]).arg(&path).output().expect("cloud-init");
        assert_eq!(output.status.success(), good, "cloud-init: {text}{}", String::from_utf8_lossy(&output.stderr));
        let ours = Part::parse("config", text.clone());
        assert_eq!(ours.is_ok(), good, "{text}{ours:?}");
    }
    // 22.4 passes over what it does not know; newer ones and khimg do not.
    assert!(Part::parse("config", "#cloud-config\npackges: [a]\n".to_owned()).is_err());
}

/// Linux's own driver reads a disc in both of its trees, and cloud-init finds the seed on it: in a virtual machine, because not
/// every kernel has the driver.
#[test]
fn a_machine_finds_its_seed_on_a_disc() {
    let Some(parts) = machine::parts() else { return };
    let mut cluster = on(Platform::Nocloud, Vec::new());
    for node in &mut cluster.nodes {
        // cloud-init waits for cards by their addresses, and this machine has none.
        node.mac = None;
    }
    let rendered = large(KeyAlgorithm::EcdsaP256, &cluster);
    let seed = seed_of(&cluster, &rendered, "worker-1");
    let files: BTreeMap<&str, &[u8]> = BTreeMap::from([
        ("user-data", seed.user_data.expose().as_bytes()),
        ("meta-data", seed.meta_data.as_bytes()),
        ("network-config", seed.network_config.as_bytes()),
    ]);
    let folder = tempfile::tempdir().expect("a directory");
    let disc = NodeDisc { seed: files.keys().copied().collect(), public: Vec::new() };
    let target = target();
    let seeds =
        [NodeSeed { node: "worker-1", role: Role::Worker, target: &target, files: files.clone(), disc: Some(disc) }];
    let out = folder.path().join("dist");
    let store = Store::open(&folder.path().join("store")).expect("a store");
    deliver(&[], &seeds, &[], &out, &store, &Silent).expect("delivers");
    let told = parts.boot(&out.join("secret/worker-1").join(DISC));
    let said = |line: &str| assert!(told.iter().any(|found| found == line), "{line}: {told:#?}");
    for (name, bytes) in &files {
        said(&format!("rockridge {name} 400 {}", Digest::of(bytes).hex()));
        said(&format!("joliet {name} 555 {}", Digest::of(bytes).hex()));
    }
    said("ds-identify 0");
    said("datasource_list: [ NoCloud, None ]");
    said("init 0");
    said("datasource DataSourceNoCloud: DataSourceNoCloud [seed=/dev/vdb][dsmode=net]");
    let instance = seed.meta_data.lines().find_map(|line| line.strip_prefix("instance-id: ")).expect("an id");
    said(&format!("instance {instance}"));
    said(&format!("user-data {}", Digest::of(seed.user_data.expose().as_bytes()).hex()));
    said("end");
}
