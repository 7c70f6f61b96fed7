//! The other forms that a cluster may have; each forms by itself, without a route to anywhere.

use std::fs;
use std::path::Path;

use super::watch;
use crate::support::lab::lab;
use crate::support::rehearsal::{Rehearsal, step};

/// Turns the nodes on one after another, waits until they are ready, and sees that Kubernetes agrees.
fn forms(cluster: &str, nodes: &[&str]) -> Option<Rehearsal> {
    let off: Vec<&str> = nodes.iter().flat_map(|node| ["--without", *node]).collect();
    let lab = Rehearsal::start(cluster, &off)?;
    for node in nodes {
        lab.fault(&["power-on", node]);
        watch::begin(&lab, node);
    }
    step("the cluster forms", || lab.wait_ready());
    let members: Vec<&str> =
        nodes.iter().copied().filter(|node| node.starts_with("master") || node.starts_with("worker")).collect();
    step("Kubernetes says the same", || {
        lab.until("all nodes are Ready", || {
            let ready =
                r#"jsonpath={range .items[?(@.status.conditions[-1].status=="True")]}{.metadata.name}{"\n"}{end}"#;
            let ready = lab.try_kubectl(&format!("get nodes -o '{ready}'"))?;
            if ready.lines().eq(members.iter().copied()) { Ok(()) } else { Err(ready) }
        });
        println!("{}", lab.kubectl("get nodes -o wide"));
    });
    step("no node asked for anything outside", || watch::nobody_asked(&lab, nodes));
    Some(lab)
}

/// Manifests of the user's, of which the first asks for what this cluster does not have.
fn addons(folder: &Path) -> String {
    let broken = "apiVersion: example.org/v1\nkind: Nothing\nmetadata: {name: broken}\n";
    let good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good, namespace: default}\n";
    let lines = [("broken", broken), ("good", good)].map(|(name, text)| {
        let path = folder.join(name);
        fs::write(&path, text).expect("written");
        format!("  - {{name: {name}, file: {}}}\n", path.display())
    });
    format!("addons:\n{}", lines.concat())
}

/// What is broken is told, again and again tried, and keeps nothing else back.
fn addons_are_applied(lab: &Rehearsal) {
    lab.until("what is not broken is there", || lab.try_kubectl("get configmap good"));
    lab.until("somebody tells what is broken", || {
        let status = lab.must("master-1", "khimg node status");
        let told = status.contains("warning") && status.contains("addon broken") && !status.contains("good");
        if told { Ok(()) } else { Err(status) }
    });
    let definition = serde_json::json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "nothings.example.org"},
        "spec": {
            "group": "example.org",
            "names": {"kind": "Nothing", "plural": "nothings"},
            "scope": "Cluster",
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    });
    lab.must("master-1", &format!("echo '{definition}' | kubectl apply --filename -"));
    lab.until("it is applied after all, and nobody warns any more", || {
        lab.try_kubectl("get nothings broken")?;
        let status = lab.must("master-1", "khimg node status");
        if status.contains("warning") { Err(status) } else { Ok(()) }
    });
}

fn cluster(settings: &str, nodes: &[&str]) -> String {
    let nodes = nodes.iter().enumerate().map(|(index, node)| {
        let role = node.split('-').next().expect("a role");
        format!("  - {{name: {node}, role: {role}, address: 10.77.0.{}/24}}\n", 11 + index)
    });
    format!(
        "apiVersion: khimg/v1\nname: lab\nkubernetes: 1.20.2\nnetwork: {{cni: bridge, dns: none}}\n{settings}{}nodes:\n{}",
        lab().mirrors(),
        nodes.collect::<String>()
    )
}

#[test]
fn docker_and_one_named_init_node() {
    let nodes = ["master-1", "master-2", "master-3", "worker-1"];
    let folder = tempfile::tempdir().expect("a directory");
    let settings = "runtime: docker\nbootstrap: init-join\nendpoint: {vip: 10.77.0.100, interface: ens160}\n";
    let settings = format!("{settings}{}", addons(folder.path()));
    let Some(lab) = forms(&cluster(&settings, &nodes), &nodes) else { return };
    step("addons are applied, whatever becomes of one", || addons_are_applied(&lab));
}

#[test]
fn external_etcd_and_dedicated_balancers() {
    let nodes = ["etcd-1", "etcd-2", "etcd-3", "lb-1", "lb-2", "master-1", "master-2", "worker-1"];
    let settings = "etcd: {mode: external}\nendpoint: {mode: dedicated, vip: 10.77.0.100, interface: ens160}\n";
    forms(&cluster(settings, &nodes), &nodes);
}
