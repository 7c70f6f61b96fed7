//! etcd on machines of its own: three members with the rendered settings and certificates that each issues for itself.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use khimg::catalog::Packaging;
use khimg::cluster::{Cluster, Cni, ComponentChoice, EndpointMode, EtcdMode, Role};
use khimg::kubernetes::VersionRequest;
use khimg::render::NodeFile;
use khimg::secrets::{KeyAlgorithm, Secrets, Usage};

use super::fixture::{cluster, dry_run, node, rendered, unpack};
use super::on_node::{accepted, lacking, skip, text};

/// A cluster with three members.
fn external() -> Cluster {
    let mut cluster = cluster(EndpointMode::Stacked, Cni::Bridge);
    cluster.etcd = EtcdMode::External;
    cluster.nodes.extend([
        node("etcd-1", Role::Etcd, 41),
        node("etcd-2", Role::Etcd, 42),
        node("etcd-3", Role::Etcd, 43),
    ]);
    cluster
}

/// What the node itself does before it starts etcd.
fn issue(root: &Path, secrets: &Secrets) {
    let about = fs::read_to_string(root.join("etc/khimg/node.yaml")).expect("a file");
    let about: NodeFile = serde_saphyr::from_str(&about).expect("a node");
    for certificate in about.etcd_certificates() {
        let issued = secrets.etcd_ca.issue(&certificate.common_name, &certificate.names, certificate.usage);
        let issued = issued.expect("issues");
        let place = root.join(format!("etc/etcd/pki/{}", certificate.stem));
        fs::write(place.with_extension("crt"), &issued.certificate).expect("a file");
        fs::write(place.with_extension("key"), issued.key.expose()).expect("a file");
    }
}

/// Runs `script` after three members have been started; each in a mount namespace with files of its own, on a bridge.
fn with_members(test: &str, script: &str) -> Option<Output> {
    if let Some(name) = lacking(&["etcd", "etcdctl", "curl"]) {
        skip(test, &format!("no {name} on this machine"));
        return None;
    }
    let secrets = Secrets::generate(KeyAlgorithm::EcdsaP256).expect("generates");
    let rendered = rendered(&external(), &secrets);
    let roots = ["etcd-1", "etcd-2", "etcd-3"].map(|name| unpack(&rendered, name));
    let mut start =
        String::from("ip link set lo up && ip link add ens160 type bridge && ip link set ens160 up || exit 9\n");
    for (number, root) in (1..).zip(&roots) {
        issue(root.path(), &secrets);
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let root = root.path().display();
        // One machine for three: the loopback address belongs to the first, as all of it would on machines of their own.
        let alone = if number == 1 {
            ":".to_owned()
        } else {
            format!(
                "ETCD_LISTEN_CLIENT_URLS=${{ETCD_LISTEN_CLIENT_URLS%%,*}} ETCD_LISTEN_METRICS_URLS=http://127.0.0.1:239{number}"
            )
        };
        writeln!(
            start,
            "ip address add 192.168.30.4{number}/24 dev ens160\n\
             unshare --mount bash -euc 'mount -t overlay overlay -o lowerdir={root}/etc:/etc /etc; set -a; . /etc/default/etcd; {alone}; \
             ETCD_DATA_DIR={root}/data; exec etcd' >{root}/log 2>&1 & m{number}=$!"
        )
        .expect("in memory");
    }
    let first = roots[0].path().display();
    let script = format!(
        "{start}trap 'kill $m1 $m2 $m3 2>/dev/null; wait' EXIT\n\
         cd {first}/etc/etcd/pki\n\
         ctl() {{ ETCDCTL_API=3 etcdctl --endpoints=https://192.168.30.41:2379,https://192.168.30.42:2379 --cacert=ca.crt \
         --cert=client.crt --key=client.key --command-timeout=30s \"$@\"; }}\n\
         for i in $(seq 300); do ctl endpoint health --command-timeout=3s >/dev/null 2>&1 && break; sleep 0.2; done\n\
         ctl endpoint health || {{ cat {first}/log; exit 1; }}\n{script}"
    );
    let output = Command::new("unshare").args(["--mount", "--net", "bash", "-euc", &script]).output().expect("unshare");
    if output.status.code() == Some(9) {
        skip(test, &text(&output));
        return None;
    }
    Some(output)
}

#[test]
fn three_members_form_and_outlive_one() {
    let script = r#"
        for i in $(seq 100); do [ "$(ctl member list | grep -c started)" = 3 ] && break; sleep 0.3; done
        ctl member list; ctl put key value
        ask() { curl --silent --show-error --max-time 30 --cacert ca.crt "$@"; }
        ask --cert client.crt --key client.key https://127.0.0.1:2379/health; echo
        ! ask https://192.168.30.41:2379/health 2>/dev/null || { echo 'it serves without a certificate'; exit 1; }
        curl --silent --fail http://127.0.0.1:2381/health; echo
        ! curl --silent --max-time 30 http://192.168.30.41:2381/health || { echo 'metrics for everybody'; exit 1; }
        openssl verify -CAfile ca.crt server.crt peer.crt client.crt
        kill -KILL $m3; wait $m3 2>/dev/null || :
        # If that was the leader, there is none for a moment.
        for i in $(seq 30); do ctl get key && break; sleep 1; done
    "#;
    let Some(output) = with_members("three_members_form_and_outlive_one", script) else { return };
    accepted(&output);
    let said = text(&output);
    for name in ["etcd-1", "etcd-2", "etcd-3"] {
        assert!(said.contains(&format!("started, {name}, https://192.168.30.4")), "{name} is no member:\n{said}");
    }
    assert_eq!(said.matches("\"health\":\"true\"").count(), 2, "{said}");
    assert!(said.contains("\nkey\nvalue\n"), "{said}");
}

#[test]
fn a_member_is_asked_by_every_name() {
    let files = dry_run(&external()).all_files("etcd-2").expect("a node");
    let about = files.get("/etc/khimg/node.yaml").and_then(|file| file.bytes()).expect("a file");
    let about: NodeFile = serde_saphyr::from_str(std::str::from_utf8(about).expect("text")).expect("a node");
    let [server, peer, client] = about.etcd_certificates();
    assert_eq!(server.names, ["etcd-2", "192.168.30.42", "localhost", "127.0.0.1", "::1"]);
    assert_eq!((&peer.names, peer.usage, client.usage), (&server.names, Usage::Server, Usage::Client));
    assert!(client.names.is_empty() && client.common_name == "etcd-2");
}

/// The distribution's package brings a unit and a user; the plain file gets both from khimg, and systemd takes them.
#[test]
fn a_plain_file_gets_a_unit_and_a_user() {
    let mut cluster = external();
    let unit = "/usr/lib/systemd/system/etcd.service";
    let files = dry_run(&cluster).all_files("etcd-1").expect("a node");
    assert!(files.get(unit).is_none() && files.get("/etc/systemd/system/etcd.service.d/10-khimg.conf").is_some());
    cluster.kubernetes = VersionRequest { minor: 22, patch: Some(2) };
    let choice = ComponentChoice { source: Some(Packaging::File), version: None };
    cluster.components.insert("etcd".to_owned(), choice);
    let root = unpack(&dry_run(&cluster), "etcd-1");
    let path = |path: &str| root.path().join(path).display().to_string();
    let programs = ["systemd-sysusers", "systemd-tmpfiles", "systemd-analyze"];
    if let Some(name) = lacking(&programs) {
        return skip("a_plain_file_gets_a_unit_and_a_user", &format!("no {name} on this machine"));
    }
    let target = tempfile::tempdir().expect("a directory");
    let script = format!(
        "mkdir -p {target}/etc && systemd-sysusers --root={target} {users} && \
         systemd-tmpfiles --root={target} --create {directories} && grep etcd {target}/etc/passwd && \
         stat -c '%a %n' {target}/var/lib/etcd/default && mkdir -p {target}/usr/bin && cp /bin/true {target}/usr/bin/etcd && \
         cp -r {root}/usr {root}/etc {target}/ && systemd-analyze verify --man=no --root={target} etcd.service",
        target = target.path().display(),
        root = root.path().display(),
        users = path("usr/lib/sysusers.d/khimg-etcd.conf"),
        directories = path("usr/lib/tmpfiles.d/khimg-etcd.conf"),
    );
    let output = Command::new("bash").args(["-euc", &script]).output().expect("bash");
    let said = text(&output);
    assert!(said.contains("etcd:x:") && said.contains(":/var/lib/etcd/default:"), "{said}");
    assert!(said.contains("700 ") && !said.contains("khimg.conf:"), "{said}");
    assert!(!said.contains("Unknown"), "{said}");
}
