//! `khimg build` of all four roles from the tests' mirror and Debian's archive: the first time, after one line of an overlay
//! changed, and the memory that it takes.

use std::fs;
use std::time::Duration;

use crate::figure::{Figure, median};
use crate::program::{Run, khimg, run, watch};
use crate::support::lab::lab;
use crate::support::sandbox::Sandbox;

const COLD_ROUNDS: usize = 3;
const WARM_ROUNDS: usize = 7;
const BUILD: [&str; 9] =
    ["build", "--profile", "master", "--profile", "worker", "--profile", "lb", "--profile", "etcd"];

/// What a build may take.
const MEMORY: u64 = 200_000_000;

pub fn measure() -> Vec<Figure> {
    let mut cold: Vec<Run> = Vec::new();
    let mut sandbox = Sandbox::new();
    for round in 0..COLD_ROUNDS {
        if round > 0 {
            sandbox = Sandbox::new();
        }
        sandbox.write("cluster.yaml", lab().cluster());
        run(&mut khimg(&sandbox, &["overlay", "export"]));
        cold.push(watch(&mut khimg(&sandbox, &BUILD)));
    }
    let (mut warm, mut offline) = (Vec::new(), Vec::new());
    let limits = "overlays/base/etc/security/limits.d/90-khimg.conf";
    let before = sandbox.read(limits);
    for round in 0..WARM_ROUNDS {
        sandbox.write(limits, format!("{before}# {round}\n"));
        warm.push(run(&mut khimg(&sandbox, &BUILD)));
    }
    for _ in 0..COLD_ROUNDS {
        // Without what is remembered every layer is packed anew, but nothing is fetched.
        fs::remove_dir_all(sandbox.store().join("memo")).expect("memos");
        offline.push(run(&mut khimg(&sandbox, &BUILD)));
    }
    let memory = cold.iter().map(|run| run.memory).max().unwrap_or_default();
    let cold = median(cold.into_iter().map(|run| run.time).collect());
    let (warm, offline) = (median(warm), median(offline));
    vec![
        Figure::times("four roles built after one line changed: with an empty store", warm, cold, 0.05),
        Figure::times("  the same: with everything fetched, nothing packed", warm, offline, None),
        Figure::times("  the same: a second", warm, Duration::from_secs(1), 1.0),
        Figure::sizes("peak memory of the build with an empty store: 200 MB", memory, MEMORY, 1.0),
    ]
}
