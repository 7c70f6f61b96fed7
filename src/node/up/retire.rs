//! The end of a member that the cluster has taken out while this machine was away: its server stops, and its data is put aside,
//! for nobody may go on with it. The node then enters as any other with an empty disk.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::control_plane::manifest;
use super::marks::{Mark, Marks};
use super::{Node, disk, member, service};
use crate::cluster::Role;
use crate::node::durable;
use crate::node::error::NodeError;

/// What the data is called then, beside where it was. One such is kept.
const ASIDE: &str = "removed";

/// How long etcd may take to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(200);

/// Stops etcd and puts its data aside. May be cut off anywhere and done again.
pub(super) async fn retire(node: &Node, marks: &mut Marks) -> Result<(), NodeError> {
    let data = disk::etcd_data(&node.file);
    let aside = data.join(ASIDE);
    node.teller.note(format!(
        "the cluster has taken this node's member out of etcd: joining as a new one; the old data stays in {}",
        aside.display()
    ));
    if node.file.role == Role::Etcd {
        service::stop(member::UNIT)?;
    } else {
        // It would start the pod again. A manifest without data must not stay either: it starts as a first member.
        service::stop("kubelet.service")?;
        stop_pod().await?;
        durable::remove(&manifest("etcd"))?;
    }
    marks.change(&[], &[Mark::Asked, Mark::Entering, Mark::Known])?;
    durable::remove(&aside)?;
    durable::rename(&data.join("member"), &aside)
}

/// Stops the etcd that the kubelet has started.
async fn stop_pod() -> Result<(), NodeError> {
    let begun = Instant::now();
    loop {
        let running = pods_of_etcd();
        if running.is_empty() {
            return Ok(());
        }
        for pid in running {
            // Whoever has ended in between is what is wanted.
            let _ended = kill_process(pid, Signal::TERM);
        }
        if begun.elapsed() > PATIENCE {
            return Err(NodeError::NotStopped { what: "etcd", seconds: PATIENCE.as_secs() });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Processes that are called etcd and are in a pod.
fn pods_of_etcd() -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let reads = |directory: &Path, name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    processes
        .filter(|process| {
            let directory = process.path();
            reads(&directory, "comm").trim_end() == "etcd" && reads(&directory, "cgroup").contains("kubepods")
        })
        .filter_map(|process| process.file_name().to_str()?.parse().ok().and_then(Pid::from_raw))
        .collect()
}
