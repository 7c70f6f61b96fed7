//! The end of a member that the cluster has taken out while this machine was away: its server stops, and its data is put aside,
//! for nobody may go on with it. The node then enters as any other with an empty disk.

use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use super::control_plane::manifest;
use super::marks::{Mark, Marks};
use super::{Node, disk, member, pods, service};
use crate::cluster::Role;
use crate::node::durable;
use crate::node::error::NodeError;
use crate::node::etcd::data;

/// How long etcd may take to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(200);

/// Stops etcd and puts its data aside. May be cut off anywhere and done again.
pub(super) async fn retire(node: &Node, marks: &mut Marks) -> Result<(), NodeError> {
    node.teller.note("the cluster has taken this node's member out of etcd: joining as a new one");
    if node.file.role == Role::Etcd {
        service::stop(member::UNIT)?;
    } else {
        // It would start the pod again. A manifest without data must not stay either: it starts as a first member.
        service::stop("kubelet.service")?;
        stop_pod().await?;
        durable::remove(&manifest("etcd"))?;
    }
    marks.change(&[], &[Mark::Asked, Mark::Entering, Mark::Known])?;
    if let Some(aside) = data::set_aside(disk::etcd_data(&node.file))? {
        node.teller.note(format!("the old data stays in {}", aside.display()));
    }
    Ok(())
}

/// Stops the etcd that the kubelet has started.
async fn stop_pod() -> Result<(), NodeError> {
    let begun = Instant::now();
    loop {
        let running = pods::processes("etcd");
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
