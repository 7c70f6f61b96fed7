//! One cluster of three masters and a worker, and everything that happens to it: each thing in the cluster that the one before
//! has left.

use std::time::Instant;

use super::agreement::{NODES, all_ready, forget_member, identity, one_cluster};
use super::availability::survives_every_loss;
use super::partitions::nothing_is_lost;
use super::service::answers_on_every_node;
use super::upkeep::{certificates_are_renewed, snapshot_becomes_the_cluster, worker_comes_back_without_a_certificate};
use super::watch;
use crate::support::lab::lab;
use crate::support::rehearsal::{Rehearsal, step};

/// The cluster of `tests/lab/up`, from the tests' own mirror. Its nodes have no gateway: there is no route at all.
pub fn stacked(settings: &str) -> String {
    format!("{}{settings}{}", include_str!("../../lab/cluster.yaml"), lab().mirrors())
}

#[test]
fn serves_and_survives_whatever_happens() {
    let off = NODES.map(|node| ["--without", node]).concat();
    let Some(lab) = Rehearsal::start(&stacked(""), &off) else { return };
    let power_on = Instant::now();
    for node in NODES {
        lab.fault(&["power-on", node]);
        watch::begin(&lab, node);
    }
    lab.wait_ready();
    all_ready(&lab, &NODES);
    println!("power-on to all Ready: {:.0} s", power_on.elapsed().as_secs_f64());
    let cluster = identity(&lab, "master-1");
    one_cluster(&lab, &cluster);
    step("a Service answers on every node", || answers_on_every_node(&lab));
    step("no node asked for anything outside", || watch::nobody_asked(&lab, &NODES));
    step("certificates are renewed", || certificates_are_renewed(&lab, &cluster));
    step("a worker comes back whose certificate ended while it was off", || {
        worker_comes_back_without_a_certificate(&lab)
    });
    step("a snapshot becomes the cluster", || snapshot_becomes_the_cluster(&lab));
    let cluster = identity(&lab, "master-1");
    step("the API survives every loss", || survives_every_loss(&lab));

    lab.kubectl("create configmap kept --from-literal=key=value");
    let comes_back = || {
        lab.wait_ready();
        all_ready(&lab, &NODES);
        one_cluster(&lab, &cluster);
    };
    for master in ["master-1", "master-3"] {
        step(&format!("{master} is wiped and comes back"), || {
            lab.fault(&["wipe", master]);
            lab.fault(&["power-on", master]);
            comes_back();
        });
    }
    step("a master that was taken out while it was off comes back", || {
        lab.fault(&["power-off", "master-2"]);
        forget_member(&lab, "master-1", "master-2");
        lab.fault(&["power-on", "master-2"]);
        comes_back();
    });
    step("all lose their power and come back", || {
        lab.fault(&[&["power-off"], &NODES[..]].concat());
        lab.fault(&[&["power-on"], &NODES[..]].concat());
        comes_back();
    });
    step("each master is cut off in turn", || nothing_is_lost(&lab, &cluster));
    assert_eq!(lab.kubectl("get configmap kept -o jsonpath={.data.key}"), "value");
}
