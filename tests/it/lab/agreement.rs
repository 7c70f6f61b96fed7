//! What Kubernetes and etcd say of a cluster of three masters and a worker.

use std::collections::BTreeSet;
use std::process::Output;

use crate::support::rehearsal::Rehearsal;

pub const MASTERS: [&str; 3] = ["master-1", "master-2", "master-3"];
pub const NODES: [&str; 4] = ["master-1", "master-2", "master-3", "worker-1"];

/// etcd's own client, on any master that is up.
const ETCDCTL: &str = "kubectl --namespace kube-system exec etcd-$(hostname) -- etcdctl --cacert /etc/kubernetes/pki/etcd/ca.crt \
    --cert /etc/kubernetes/pki/etcd/server.crt --key /etc/kubernetes/pki/etcd/server.key --endpoints https://127.0.0.1:2379";

/// What makes a cluster this one: the identity that etcd gave it.
pub fn identity(lab: &Rehearsal, master: &str) -> String {
    // A kubelet that was there before its API server tells it of static pods a minute later.
    let json = lab.until("etcd's pod answers", || {
        let status = lab.run(master, &format!("{ETCDCTL} endpoint status --write-out json"));
        succeeds(&status).map(|()| String::from_utf8_lossy(&status.stdout).into_owned())
    });
    let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    read[0]["Status"]["header"]["cluster_id"].to_string()
}

/// Names of etcd's members that have started.
pub fn members(lab: &Rehearsal, master: &str) -> BTreeSet<String> {
    let list = lab.must(master, &format!("{ETCDCTL} member list"));
    let started = list.lines().filter(|line| line.contains(", started, "));
    started.filter_map(|line| line.split(", ").nth(2).map(str::to_owned)).collect()
}

/// What etcd calls a member.
fn member_id(lab: &Rehearsal, by: &str, master: &str) -> String {
    let list = lab.must(by, &format!("{ETCDCTL} member list"));
    let line = list.lines().find(|line| line.contains(&format!(", {master}, "))).expect("the member");
    line.split(',').next().expect("an id").to_owned()
}

/// Takes a master out of etcd, as one does by hand with a machine that will not come back.
pub fn forget_member(lab: &Rehearsal, by: &str, master: &str) {
    let remove = format!("{ETCDCTL} member remove {}", member_id(lab, by, master));
    // etcd refuses for some seconds after a member was lost: first it must be sure of the others.
    lab.until("etcd takes the member out", || succeeds(&lab.run(by, &remove)));
}

/// Has a master lead etcd.
pub fn lead(lab: &Rehearsal, master: &str) {
    let moves = format!("{ETCDCTL} move-leader {}", member_id(lab, master, master));
    // As etcd's own metrics tell it, without a login.
    let ask = "exec 3<>/dev/tcp/127.0.0.1/2381; printf \"GET /metrics HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3";
    lab.until("etcd is led by whom it should be", || {
        let metrics = lab.must(master, &format!("bash -c '{ask}'"));
        if metrics.lines().any(|line| line == "etcd_server_is_leader 1") {
            return Ok(());
        }
        // Only the leader hands over.
        let told: Vec<_> = MASTERS.iter().map(|other| succeeds(&lab.run(other, &moves))).collect();
        Err(format!("{told:?}"))
    });
}

fn succeeds(output: &Output) -> Result<(), String> {
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Kubernetes' own word on who is ready.
pub fn all_ready(lab: &Rehearsal, nodes: &[&str]) {
    lab.until("Kubernetes calls all nodes Ready", || {
        let list = lab.try_kubectl("get nodes --no-headers")?;
        let ready: BTreeSet<&str> = list
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                words.next().filter(|_| words.next() == Some("Ready"))
            })
            .collect();
        if ready == nodes.iter().copied().collect() { Ok(()) } else { Err(list) }
    });
}

/// One cluster with all masters in it, each knowing the same.
pub fn one_cluster(lab: &Rehearsal, expected: &str) {
    for master in MASTERS {
        let health = format!("{ETCDCTL} endpoint health");
        lab.until("etcd's pod answers", || succeeds(&lab.run(master, &health)));
        assert_eq!(identity(lab, master), expected, "{master} is in another cluster");
        assert_eq!(members(lab, master), MASTERS.map(str::to_owned).into(), "as {master} says");
    }
}
