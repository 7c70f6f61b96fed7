//! What the real programs say of the files of every cell; files that are the same in several cells are read once.

use std::process::Command;

use super::cells::distinct;
use crate::render::on_node::{accepted, on_files, text};

/// Runs `script` over every distinct set of the files that are `wanted`, and looks at what it says.
fn every(
    test: &str,
    programs: &[&str],
    wanted: impl Fn(&str) -> bool,
    script: &str,
    complaints: impl Fn(&str) -> bool,
) -> usize {
    let distinct = distinct(wanted);
    for (good, node, _) in &distinct {
        let Some(output) = on_files(test, programs, &good.rendered, node, script) else { return distinct.len() };
        let said = text(&output);
        assert!(output.status.success() && !complaints(&said), "{:?} {node}: {}\n{said}", good.cell, output.status);
    }
    distinct.len()
}

#[test]
fn haproxy() {
    let wanted = |path: &str| path.starts_with("/etc/haproxy/");
    let script = "haproxy -c -V -f /etc/haproxy/haproxy.cfg";
    let complaints = |said: &str| said.contains("WARNING") || said.contains("NOTICE");
    // With /readyz from 1.16 on: one for the masters' port, one for each of the other two that listen on it.
    assert!(every("matrix haproxy", &["haproxy"], wanted, script, complaints) >= 1);
}

#[test]
fn keepalived() {
    let wanted = |path: &str| path.starts_with("/etc/keepalived/") || path.ends_with("/check-endpoint");
    let script = "trap '' TERM; keepalived --config-test --use-file /etc/keepalived/keepalived.conf";
    let count = every("matrix keepalived", &["keepalived"], wanted, script, |said| !said.is_empty());
    assert!(count >= 9, "three carriers in each of three modes: {count}");
}

#[test]
fn containerd() {
    // Debian's containerd reads version 2; of version 3 it can only be said that it is TOML.
    let script = "file=/etc/containerd/config.toml
        if grep -q '^version = 3$' $file; then python3 -c 'import sys, tomllib; tomllib.load(open(sys.argv[1], \"rb\"))' $file
        else containerd --config $file config dump >/dev/null; fi";
    let count = every(
        "matrix containerd",
        &["containerd", "python3"],
        |path| path == "/etc/containerd/config.toml",
        script,
        |said| !said.is_empty(),
    );
    assert!(count >= 8, "one for each pause image and cgroup driver: {count}");
}

/// Docker 20.10 has no option that only checks, but it refuses an unknown setting before anything else; what it says next is
/// that there is no such runtime directory to lock.
#[test]
fn dockerd() {
    let script = "mount -t tmpfs tmpfs /mnt; touch /mnt/file
        dockerd --config-file /etc/docker/daemon.json --data-root /mnt/file/data --exec-root /mnt/exec --pidfile /mnt/pid -H unix:///mnt/sock 2>&1 | head -5
        jq -e . /etc/docker/daemon.json >/dev/null";
    let complaints = |said: &str| said.contains("unable to configure the Docker daemon") || !said.contains("/mnt/file");
    let count =
        every("matrix dockerd", &["dockerd", "jq"], |path| path == "/etc/docker/daemon.json", script, complaints);
    assert_eq!(count, 3, "one for each cgroup driver, and one for the oldest version, which does not know `ip6tables`");
}

/// Without the right to change anything but the network of a namespace of its own: of the rest, and of the one limit for all namespaces,
/// the kernel says no, and a line that begins with "-" may fail.
#[test]
fn sysctl() {
    let wanted = |path: &str| path.starts_with("/etc/sysctl.d/");
    let script = "for file in /etc/sysctl.d/*khimg*; do sysctl --dry-run --load \"$file\"; done >/dev/null
        cat /etc/sysctl.d/*khimg* >/run/khimg-test.$$; exec 3</run/khimg-test.$$; rm /run/khimg-test.$$
        setpriv --reuid=65534 --regid=65534 --clear-groups unshare --user --map-root-user --net bash -euc '
            sysctl -p - <&3 >/dev/null; sysctl --values net.ipv4.tcp_keepalive_time net.ipv4.ip_forward'";
    let forwards = |said: &str| said.lines().any(|line| line == "1");
    let complaints = |said: &str| {
        let forwarded = forwards(said);
        let refused = |line: &str| {
            line.starts_with("sysctl: permission denied on key") && line.ends_with("ignoring")
                || line == "sysctl: setting key \"net.netfilter.nf_conntrack_max\": Invalid argument"
        };
        let set = |line: &str| ["60", if forwarded { "1" } else { "0" }].contains(&line);
        !said.lines().all(|line| refused(line) || set(line)) || !said.lines().any(|line| line == "60")
    };
    let count = every("matrix sysctl", &["sysctl", "setpriv"], wanted, script, complaints);
    assert_eq!(count, 2, "one for nodes with pods, one for the others");
}

#[test]
fn chrony() {
    let wanted = |path: &str| path.starts_with("/etc/chrony");
    // The name on Debian, and the one on CentOS.
    let script = "file=/etc/chrony/chrony.conf; ! grep -qs khimg /etc/chrony.conf || file=/etc/chrony.conf
        chronyd -p -f $file >/dev/null";
    assert!(every("matrix chrony", &["chronyd"], wanted, script, |said| !said.is_empty()) >= 4);
}

/// Without a running systemd it cannot resolve what units mean to each other: what it says of ours is all that counts.
#[test]
fn systemd() {
    let is_unit = |path: &str| path.contains("/systemd/system/");
    let units = "units=$(find /etc/systemd/system /usr/lib/systemd/system -path '*khimg*' -o -name 'cri-docker*' | \
        sed -E 's#.*/system/##; s#[.]d(/.*)?$##' | grep -E '[.](service|socket)$' | grep -v '^kubelet' | sort -u)
        systemd-analyze verify --man=no $units";
    let programs = ["systemd-analyze", "haproxy", "keepalived", "containerd", "dockerd", "chronyd", "cloud-init"];
    let complaints = |said: &str| said.lines().any(|line| line.contains("khimg") || line.contains("cri-docker"));
    assert!(every("matrix systemd", &programs, is_unit, units, complaints) >= 8);
}

/// One node of each kind, from the oldest and the newest minor that render: what cloud-init reads differs only in content.
#[test]
fn cloud_init() {
    if !std::path::Path::new("/usr/bin/cloud-init").exists() {
        return println!("skipped: matrix cloud_init: no cloud-init on this machine");
    }
    let built_in = super::fixture::BuiltIn::new();
    let folder = tempfile::tempdir().expect("a directory");
    for minor in [19, 36] {
        let cell = super::fixture::Cell {
            endpoint: "dedicated",
            etcd: "external",
            runtime: "docker",
            ..super::fixture::Cell::plain(minor, "debian-12")
        };
        let cluster = built_in.cluster(&cell.file()).unwrap_or_else(|problems| panic!("{problems}"));
        let (rendered, _) = built_in.render(&cluster, &khimg::secrets::Secrets::stand_in());
        for name in ["master-1", "worker-1", "lb-1", "etcd-1"] {
            let node = rendered.nodes.iter().find(|node| node.name == name).expect("a node");
            let seed = khimg::seed::seed(&cluster, node, &crate::render::seeds::bundle()).expect("a seed");
            let path = folder.path().join("user-data");
            std::fs::write(&path, seed.user_data.expose()).expect("a file");
            let output = Command::new("cloud-init").args(["schema", "-c"]).arg(&path).output().expect("cloud-init");
            accepted(&output);
            assert!(text(&output).contains("Valid cloud-config"), "1.{minor} {name}: {}", text(&output));
        }
    }
}
