//! Docker Engine as the runtime.

use khimg::cluster::{Cni, EndpointMode, Role};
use khimg::render::tree::Entry;

use super::fixture::{cluster, dry_run, lock, locked, with_docker};
use crate::support::dockerd::Dockerd;

/// A real dockerd takes its configuration, and understands it as it is meant.
#[test]
fn docker_reads_what_is_meant() {
    let cluster = with_docker(cluster(EndpointMode::Stacked, Cni::Bridge), 20);
    let files = dry_run(&cluster).all_files("worker-1").expect("a node");
    let configuration = files.get("/etc/docker/daemon.json").and_then(Entry::bytes).expect("a file");
    let text = std::str::from_utf8(configuration).expect("text");
    let Some(dockerd) = Dockerd::with_configuration(text) else { return };
    let info = dockerd.docker(&["info", "--format", "{{json .}}"]);
    let info: serde_json::Value = serde_json::from_str(&info).expect("JSON");
    for (key, expected) in [
        ("CgroupDriver", serde_json::json!("cgroupfs")),
        ("Driver", "overlay2".into()),
        ("LoggingDriver", "json-file".into()),
        ("LiveRestoreEnabled", true.into()),
    ] {
        assert_eq!(info[key], expected, "{key} in\n{info}");
    }
    let networks = dockerd.docker(&["network", "ls", "--format", "{{.Name}}"]);
    assert_eq!(networks, "host\nnone\n", "a bridge of Docker's own");
}

/// From 1.24 on the kubelet speaks to cri-dockerd, before that to Docker itself.
#[test]
fn docker_has_a_shim_from_1_24_on() {
    let rendered = |minor| {
        let (cluster, mut lock) = (with_docker(cluster(EndpointMode::Stacked, Cni::Bridge), minor), lock());
        lock.kubernetes = Some(khimg::kubernetes::KubernetesVersion { minor, patch: 2 });
        let rendered = locked(&cluster, &lock);
        let worker = rendered.roles.iter().find(|role| role.role == Role::Worker).expect("a role").enable.clone();
        let files = rendered.all_files("worker-1").expect("a node");
        let text = |path: &str| {
            files.get(path).map(|file| String::from_utf8_lossy(file.bytes().expect("a file")).into_owned())
        };
        (
            worker,
            [
                text("/etc/khimg/kubeadm-join.yaml"),
                text("/etc/crictl.yaml"),
                text("/usr/lib/systemd/system/cri-docker.service"),
            ],
        )
    };
    let (enable, [join, crictl, shim]) = rendered(23);
    assert!(enable.iter().any(|unit| unit == "docker.service") && !enable.iter().any(|unit| unit.starts_with("cri-")));
    let join = join.expect("a file");
    for line in [
        "criSocket: /var/run/dockershim.sock",
        "network-plugin: cni",
        "cni-bin-dir: /opt/cni/bin",
        "pod-infra-container-image: registry.k8s.io/pause:3.2",
    ] {
        assert!(join.contains(line), "{line} is missing in\n{join}");
    }
    assert!(crictl.expect("a file").contains("/var/run/dockershim.sock") && shim.is_none());

    let (enable, [join, crictl, shim]) = rendered(24);
    for unit in ["docker.service", "cri-docker.socket", "cri-docker.service"] {
        assert!(enable.iter().any(|found| found == unit), "{unit} in {enable:?}");
    }
    let join = join.expect("a file");
    assert!(join.contains("criSocket: unix:///run/cri-dockerd.sock") && !join.contains("network-plugin"), "{join}");
    assert!(crictl.expect("a file").contains("unix:///run/cri-dockerd.sock"));
    assert!(
        shim.expect("a unit").contains("--pod-infra-container-image registry.k8s.io/pause:3.2 --network-plugin cni")
    );
}
