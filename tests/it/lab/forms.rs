//! The other forms that a cluster may have; each forms by itself, without a route to anywhere.

use super::watch;
use crate::support::lab::lab;
use crate::support::rehearsal::{Rehearsal, step};

/// Turns the nodes on one after another, waits until they are ready, and sees that Kubernetes agrees.
fn forms(cluster: &str, nodes: &[&str]) {
    let off: Vec<&str> = nodes.iter().flat_map(|node| ["--without", *node]).collect();
    let Some(lab) = Rehearsal::start(cluster, &off) else { return };
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
    let settings = "runtime: docker\nbootstrap: init-join\nendpoint: {vip: 10.77.0.100, interface: ens160}\n";
    forms(&cluster(settings, &nodes), &nodes);
}

#[test]
fn external_etcd_and_dedicated_balancers() {
    let nodes = ["etcd-1", "etcd-2", "etcd-3", "lb-1", "lb-2", "master-1", "master-2", "worker-1"];
    let settings = "etcd: {mode: external}\nendpoint: {mode: dedicated, vip: 10.77.0.100, interface: ens160}\n";
    forms(&cluster(settings, &nodes), &nodes);
}
