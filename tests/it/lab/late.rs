//! Machines that lose their power while they become a cluster, and others that are turned on much later.

use std::time::{Duration, Instant};

use super::agreement::{MASTERS, NODES, all_ready, identity, one_cluster};
use super::formed::stacked;
use crate::support::rehearsal::{Rehearsal, step};

#[test]
fn some_come_late_and_power_goes_while_they_form() {
    // A token lives for a minute here, and masters keep it alive.
    let Some(lab) = Rehearsal::start(&stacked("tokenLife: 1m\n"), &["--without", "master-3", "--without", "worker-1"])
    else {
        return;
    };
    let early = ["master-1", "master-2"];
    for moment in ["issue certificates", "start etcd", "set up the cluster"] {
        step(&format!("all power goes when a node is about to {moment}"), || {
            let reached = format!("journalctl --boot --unit khimg-node --output cat | grep --quiet '{moment}'");
            lab.until("a node comes to that", || {
                let there = early.iter().any(|node| lab.run(node, &reached).status.success());
                if there { Ok(()) } else { Err(lab.status()["nodes"].to_string()) }
            });
            lab.fault(&[&["power-off"], &early[..]].concat());
            lab.fault(&[&["power-on"], &early[..]].concat());
        });
    }
    step("two masters of three are a cluster", || {
        lab.wait_ready();
        all_ready(&lab, &early);
    });
    let formed = Instant::now();
    let cluster = identity(&lab, "master-1");
    // The life that kubeadm gave the token is over.
    std::thread::sleep(Duration::from_secs(90).saturating_sub(formed.elapsed()));
    for (late, there) in [("master-3", &MASTERS[..]), ("worker-1", &NODES[..])] {
        step(&format!("{late} comes late"), || {
            lab.fault(&["power-on", late]);
            lab.wait_ready();
            all_ready(&lab, there);
        });
    }
    one_cluster(&lab, &cluster);
}
