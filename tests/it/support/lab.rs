//! The tests' own package mirror (`tests/lab/mirror`): real Kubernetes packages and images, really signed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the mirror listens, and who signs what it serves.
pub struct Lab {
    /// Base URL of the HTTP server.
    pub http: String,
    /// `host:port` of the container registry.
    pub registry: String,
    /// The public key, ASCII-armoured.
    pub key: PathBuf,
    /// Its full fingerprint.
    pub fingerprint: String,
    /// The directory that it serves.
    pub root: PathBuf,
}

/// The mirror, brought up at first use. The first time on a machine this builds Kubernetes.
pub fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| {
        let up = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/mirror/up");
        let output = Command::new(up).output().expect("tests/lab/mirror/up starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        let values: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        Lab {
            http: values["LAB_HTTP"].to_owned(),
            registry: values["LAB_REGISTRY"].to_owned(),
            key: PathBuf::from(values["LAB_KEY"]),
            fingerprint: values["LAB_FINGERPRINT"].to_owned(),
            root: PathBuf::from(values["LAB_ROOT"]),
        }
    })
}

impl Lab {
    /// A cluster of three masters, a worker and a load balancer, all from this mirror and Debian's archive.
    pub fn cluster(&self) -> String {
        format!(
            r#"apiVersion: khimg/v1
name: lab
kubernetes: 1.20.2
target: {{os: debian-12, arch: amd64}}
endpoint: {{mode: dedicated, vip: 10.77.0.100, port: 6443, interface: host0, virtualRouterId: 77}}
network: {{cni: bridge, dns: none}}
{}nodes:
  - {{name: master-1, role: master, address: 10.77.0.11/24}}
  - {{name: master-2, role: master, address: 10.77.0.12/24}}
  - {{name: master-3, role: master, address: 10.77.0.13/24}}
  - {{name: worker-1, role: worker, address: 10.77.0.21/24}}
  - {{name: lb-1, role: lb, address: 10.77.0.31/24}}
"#,
            self.mirrors()
        )
    }

    /// The lines of a cluster file that point it at this mirror and at Debian's archive.
    pub fn mirrors(&self) -> String {
        let Self { http, registry, key, fingerprint, root: _ } = self;
        format!(
            r#"mirrors: [lab, system]
mirrorDefinitions:
  lab:
    kubernetes-legacy: {http}/kubernetes/apt
    kubernetes: {http}/kubernetes-new/core/stable/v{{minor}}/deb
    kubernetes-release: {http}/dl
    github: {http}/github
    kubernetes-images: http://{registry}/google_containers
trust:
  kubernetes-legacy: {{keys: [{key}], fingerprints: [{fingerprint}]}}
  kubernetes: {{keys: [{key}], fingerprints: [{fingerprint}]}}
"#,
            key = key.display()
        )
    }
}
