//! Large clusters: the seeds of 500, 1,000 and 5,000 nodes, with the memory that they take.

use std::fmt::Write as _;
use std::time::Duration;

use crate::figure::{Figure, median};
use crate::program::{Run, khimg, run, watch};
use crate::support::lab::lab;
use crate::support::sandbox::Sandbox;

const ROUNDS: usize = 3;

/// Kubernetes itself is not tested with more nodes (its documentation, "Considerations for large clusters").
const MOST: usize = 5000;

/// How long the largest may take.
const GOAL: Duration = Duration::from_secs(10);

/// How much more than its share of nodes a cluster may take and still be called linear.
const SLACK: f64 = 1.2;

const BUILD: [&str; 3] = ["build", "--profile", "worker"];

/// How many the cluster of the tests' mirror has by itself.
const OWN: usize = 5;

/// The cluster of the tests' mirror with as many workers more as make so many nodes.
fn cluster(nodes: usize) -> String {
    // The bridge network has no share of addresses for so many nodes.
    let mut text = lab().cluster().replace("/24", "/16").replace("cni: bridge", "cni: none, podSubnet: 10.128.0.0/11");
    for at in 0..nodes - OWN {
        let (high, low) = (1 + at / 250, 1 + at % 250);
        writeln!(text, "  - {{name: node-{at}, role: worker, address: 10.77.{high}.{low}/16}}").expect("in memory");
    }
    text
}

/// A build of which nothing is left to do but the seeds.
fn seeds(sandbox: &Sandbox, nodes: usize) -> (Duration, u64) {
    sandbox.write("cluster.yaml", cluster(nodes));
    run(&mut khimg(sandbox, &BUILD));
    let runs: Vec<Run> = (0..ROUNDS).map(|_| watch(khimg(sandbox, &BUILD).args(["--locked", "--offline"]))).collect();
    let memory = runs.iter().map(|run| run.memory).max().unwrap_or_default();
    (median(runs.into_iter().map(|run| run.time).collect()), memory)
}

pub fn measure() -> Vec<Figure> {
    let sandbox = Sandbox::new();
    let (few, few_memory) = seeds(&sandbox, 500);
    let (some, some_memory) = seeds(&sandbox, 1000);
    let (all, all_memory) = seeds(&sandbox, MOST);
    // The part that every build takes, whatever the number of nodes, is in all three.
    let share = MOST as f64 / 1000.0;
    vec![
        Figure::times("seeds of 1,000 nodes against those of 500", some, few, 2.0 * SLACK),
        Figure::times("seeds of 5,000 nodes against those of 1,000", all, some, share * SLACK),
        Figure::times("seeds of 5,000 nodes: 10 s", all, GOAL, 1.0),
        Figure::sizes("memory for 1,000 nodes against 500", some_memory, few_memory, 2.0 * SLACK),
        Figure::sizes("memory for 5,000 nodes against 1,000", all_memory, some_memory, share * SLACK),
    ]
}
