//! Masters that are cut off from the others, under a client that writes.

use std::time::{Duration, Instant};

use super::agreement::{MASTERS, NODES, all_ready, one_cluster};
use crate::support::rehearsal::Rehearsal;

/// How long a partition lasts.
const PARTITION: Duration = Duration::from_secs(60);

/// A writer goes on while each master is cut off from the others for a minute. All that was acknowledged stays.
pub fn nothing_is_lost(lab: &Rehearsal, cluster: &str) {
    let mut written = Vec::new();
    for master in MASTERS {
        lab.fault(&["partition", master]);
        let (begun, side) = (Instant::now(), MASTERS.iter().find(|other| **other != master).expect("another"));
        let before = written.len();
        while begun.elapsed() < PARTITION {
            let name = format!("written-{}", written.len());
            let create = format!("kubectl --request-timeout=5s create configmap {name}");
            if lab.run(side, &create).status.success() {
                written.push(name);
            } else {
                // Perhaps it was made: a name of which nobody knows is used no more.
                written.push(String::new());
            }
        }
        assert!(written[before..].iter().any(|name| !name.is_empty()), "nobody could write without {master}");
        lab.fault(&["heal", master]);
        lab.wait_ready();
        all_ready(lab, &NODES);
        one_cluster(lab, cluster);
    }
    let there = lab.kubectl("get configmaps -o name");
    let lost: Vec<&String> = written
        .iter()
        .filter(|name| !name.is_empty() && !there.lines().any(|line| line == format!("configmap/{name}")))
        .collect();
    assert!(lost.is_empty(), "{lost:?} of {}", written.len());
    println!(
        "{} of {} writes were acknowledged, and all of those are there",
        written.iter().filter(|name| !name.is_empty()).count(),
        written.len()
    );
}
