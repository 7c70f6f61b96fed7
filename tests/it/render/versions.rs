//! Programs of other versions than Debian 12's get what they read: told by the version that the lock pins.

use khimg::catalog::Packaging;
use khimg::cluster::{Cluster, Cni, ComponentChoice, EndpointMode};
use khimg::render::Rendered;

use super::fixture::{cluster, locked, package, with_docker};
use super::on_node::{accepted, on_files, text};

/// The cluster with one package of another version.
fn with(cluster: &Cluster, name: &str, version: &str) -> Rendered {
    let mut lock = super::fixture::lock();
    lock.packages.retain(|package| package.name != name);
    lock.packages.push(package(name, version));
    locked(cluster, &lock)
}

fn file(rendered: &Rendered, node: &str, path: &str) -> String {
    let files = rendered.all_files(node).expect("a node");
    let file = files.get(path).and_then(|file| file.bytes());
    String::from_utf8(file.unwrap_or_else(|| panic!("no {path}")).to_vec()).expect("text")
}

/// 1.5 is CentOS 7's, 1.8 CentOS 8's. A newer haproxy reads what they read, without a warning.
#[test]
fn an_old_haproxy() {
    let cluster = cluster(EndpointMode::Dedicated, Cni::Bridge);
    for (version, has, lacks) in [
        (
            "1.5.18-9.el7",
            &["server master-1 192.168.30.11:6443 check check-ssl"][..],
            &["default-server", "redispatch 1"][..],
        ),
        ("1.8.27-5.el8", &["default-server check check-ssl", "redispatch 1"], &["http-check send", "stdout"]),
    ] {
        let rendered = with(&cluster, "haproxy", version);
        let found = file(&rendered, "lb-1", "/etc/haproxy/haproxy.cfg");
        for part in [&["option httpchk GET /readyz\n", "log 127.0.0.1 local2", "verify required"], has].concat() {
            assert!(found.contains(part), "{version}: {part} is missing in\n{found}");
        }
        for part in [&["http-check send", "stdout"], lacks].concat() {
            assert!(!found.contains(part), "{version}: {part} in\n{found}");
        }
        let script = "haproxy -c -V -f /etc/haproxy/haproxy.cfg";
        let Some(output) = on_files("an_old_haproxy", &["haproxy"], &rendered, "lb-1", script) else { return };
        accepted(&output);
        assert!(!text(&output).contains("WARNING"), "{}", text(&output));
    }
}

#[test]
fn a_new_containerd() {
    let cluster = cluster(EndpointMode::Stacked, Cni::Bridge);
    for (version, bin_dir) in [("2.0.5", "bin_dir = \"/opt/cni/bin\""), ("2.2.7-1", "bin_dirs = [\"/opt/cni/bin\"]")] {
        let rendered = with(&cluster, "containerd", version);
        let found = file(&rendered, "worker-1", "/etc/containerd/config.toml");
        for line in [
            "version = 3",
            "sandbox = \"registry.k8s.io/pause:3.2\"",
            "SystemdCgroup = false",
            "config_path = \"/etc/containerd/certs.d\"",
            bin_dir,
        ] {
            assert!(found.lines().any(|found| found.trim() == line), "{version}: {line} is missing in\n{found}");
        }
        assert!(!found.contains("grpc.v1.cri"), "{found}");
        let script = "python3 -c 'import tomllib; tomllib.load(open(\"/etc/containerd/config.toml\", \"rb\"))'";
        let Some(output) = on_files("a_new_containerd", &["python3"], &rendered, "worker-1", script) else { return };
        accepted(&output);
    }
}

/// As plain files containerd has a unit of khimg's, which systemd takes; a package brings its own.
#[test]
fn containerd_from_plain_files_has_a_unit() {
    let unit = "/usr/lib/systemd/system/containerd.service";
    let mut cluster = cluster(EndpointMode::Stacked, Cni::Bridge);
    let rendered = super::fixture::dry_run(&cluster);
    assert!(rendered.all_files("worker-1").expect("a node").get(unit).is_none());
    let choice = ComponentChoice { source: Some(Packaging::File), version: None };
    cluster.components.insert("containerd".to_owned(), choice);
    let rendered = super::fixture::dry_run(&cluster);
    assert!(file(&rendered, "worker-1", unit).contains("KillMode=process"));
    let script = "systemd-analyze verify --man=no containerd.service";
    let programs = ["systemd-analyze", "containerd"];
    let Some(output) = on_files("containerd_unit", &programs, &rendered, "worker-1", script) else { return };
    assert!(!text(&output).contains("containerd.service:"), "{}", text(&output));
}

/// Docker does not start with a setting that it does not know.
#[test]
fn an_old_docker() {
    let cluster = with_docker(cluster(EndpointMode::Stacked, Cni::Bridge), 20);
    for (version, known) in [("18.09.4", false), ("20.10.24+dfsg1", true), ("5:28.5.2-1", true)] {
        let found = file(&with(&cluster, "docker.io", version), "worker-1", "/etc/docker/daemon.json");
        assert_eq!(found.contains("\"ip6tables\": false"), known, "{version}:\n{found}");
        serde_json::from_str::<serde_json::Value>(&found).unwrap_or_else(|error| panic!("{version}: {error}"));
    }
}
