//! A web server in several replicas behind a Service, answered from every node.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use khimg::digest::Digest;
use serde_json::json;

use crate::support::daemon::run;
use crate::support::rehearsal::Rehearsal;

const IMAGE: &str = "test.invalid/web:1";

/// One replica on every node, the masters too.
const MANIFEST: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      tolerations: [{operator: Exists}]
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: DoNotSchedule
          labelSelector: {matchLabels: {app: web}}
      containers:
        - name: web
          image: test.invalid/web:1
          imagePullPolicy: Never
          ports: [{containerPort: 8080}]
          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
"#;

/// Runs the web server on all nodes and asks it from all of them.
pub fn answers_on_every_node(lab: &Rehearsal) {
    let directory = tempfile::tempdir().expect("a directory");
    let image = web_image(directory.path());
    for node in lab.nodes() {
        let inside = lab.directory().join("nodes").join(&node).join("root/root/web.tar");
        fs::copy(&image, inside).expect("a copy");
        lab.must(&node, "ctr --namespace k8s.io images import /root/web.tar");
    }
    fs::write(lab.directory().join("nodes/master-1/root/root/web.yaml"), MANIFEST).expect("a file");
    lab.must("master-1", "kubectl apply -f /root/web.yaml");
    lab.until("all replicas are there", || {
        let ready = lab.try_kubectl("get deployment web -o jsonpath={.status.readyReplicas}")?;
        if ready == "4" { Ok(()) } else { Err(format!("{ready} of 4: {}", lab.kubectl("get pods -o wide"))) }
    });
    let address = lab.kubectl("get service web -o jsonpath={.spec.clusterIP}");
    let ask = format!("exec 3<>/dev/tcp/{address}/80; printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3");
    for node in lab.nodes() {
        let mut answered = BTreeSet::new();
        lab.until("replicas on several nodes answer", || {
            let answer = lab.run(&node, &format!("timeout 5 bash -c '{ask}'"));
            let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
            answered.extend(answer.lines().last().filter(|line| line.starts_with("web-")).map(str::to_owned));
            if answered.len() >= 2 { Ok(()) } else { Err(format!("on {node}: {answered:?}, last {answer:?}")) }
        });
    }
    lab.kubectl("delete deployment/web service/web");
}

/// An archive, as `docker save` writes it, of an image with busybox and the two libraries that it needs.
fn web_image(directory: &Path) -> PathBuf {
    let root = directory.join("root");
    for below in ["bin", "lib64", "lib/x86_64-linux-gnu", "www", "tmp"] {
        fs::create_dir_all(root.join(below)).expect("a directory");
    }
    fs::copy("/usr/bin/busybox", root.join("bin/busybox")).expect("busybox");
    std::os::unix::fs::symlink("busybox", root.join("bin/sh")).expect("a link");
    for library in
        ["lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6", "lib/x86_64-linux-gnu/libresolv.so.2"]
    {
        fs::copy(Path::new("/").join(library), root.join(library)).expect("a library");
    }
    let layer = directory.join("layer.tar");
    run(Command::new("tar").arg("-cf").arg(&layer).arg("-C").arg(&root).arg("."));
    let diff = Digest::of(&fs::read(&layer).expect("a layer"));
    let serve = "/bin/busybox hostname >/www/index.html; exec /bin/busybox httpd -f -p 8080 -h /www";
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": ["/bin/sh", "-c", serve]},
        "rootfs": {"type": "layers", "diff_ids": [diff]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
    fs::write(directory.join("config.json"), config.to_string()).expect("a file");
    fs::write(directory.join("manifest.json"), manifest.to_string()).expect("a file");
    let archive = directory.join("web.tar");
    run(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(directory).args([
        "manifest.json",
        "config.json",
        "layer.tar",
    ]));
    archive
}
