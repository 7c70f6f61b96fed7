//! A member of an external etcd on its way: the same questions and decisions as a master's, but systemd runs the server.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::control_plane::{Membership, flush};
use super::identity::{self, Identity};
use super::marks::{Mark, Marks};
use super::{Node, Pause, agent, disk, enter, service};
use crate::node::durable;
use crate::node::error::NodeError;
use crate::render::node_file::ETCD_PKI;

pub(super) const UNIT: &str = "etcd.service";

/// What the unit reads last: the membership to start with, where that is not the first one.
const ENVIRONMENT: &str = "/run/khimg/etcd.env";

/// While this is there the unit starts on an empty disk.
const LEAVE: &str = "/run/khimg/etcd-may-start";

/// How long etcd may take to its first write.
const START: Duration = Duration::from_secs(60);

/// How often a member that is ready looks after itself.
const ROUND: Duration = Duration::from_secs(10);

pub(super) async fn up(node: &Arc<Node>) -> Result<(), NodeError> {
    tokio::spawn(agent::serve(Arc::clone(node)));
    let mut pause = Pause::default();
    loop {
        match become_ready(node).await {
            Ok(()) => pause = Pause::default(),
            Err(error) => node.teller.failed("start etcd", &error),
        }
        pause.retry().await;
    }
}

async fn become_ready(node: &Node) -> Result<(), NodeError> {
    let mut marks = Marks::read(&node.state)?;
    certificates(node, &mut marks)?;
    enter::enter(node, &mut marks, async |marks, membership| start(node, marks, &membership).await).await?;
    marks.change(&[], &[Mark::Asked])?;
    service::start(UNIT)?;
    if !enter::wait_for_majority(node, &mut marks).await? {
        return Ok(());
    }
    node.teller.ready();
    let credentials = Identity::issue(&node.file)?.credentials();
    loop {
        tokio::time::sleep(ROUND).await;
        if !agent::own_view(node, &credentials).await.is_some_and(|view| view.quorate) {
            return Ok(());
        }
    }
}

/// Issues what the server shows to clients and to other members. The keys never leave this machine.
fn certificates(node: &Node, marks: &mut Marks) -> Result<(), NodeError> {
    if marks.has(Mark::Credentials) {
        return Ok(());
    }
    node.teller.working("issue certificates");
    let authority = identity::authority(node.file.role)?;
    for certificate in node.file.etcd_certificates() {
        let issued = authority.issue(&certificate.common_name, &certificate.names, certificate.usage)?;
        let path = |ending: &str| Path::new(ETCD_PKI).join(format!("{}.{ending}", certificate.stem));
        durable::write(&path("key"), 0o600, |file| file.write_all(issued.key.expose().as_bytes()))?;
        durable::write(&path("crt"), 0o644, |file| file.write_all(issued.certificate.as_bytes()))?;
    }
    flush(ETCD_PKI)?;
    marks.change(&[Mark::Credentials], &[])
}

/// Starts etcd on an empty disk, and gives it time to write there.
async fn start(node: &Node, marks: &mut Marks, membership: &Membership) -> Result<(), NodeError> {
    durable::directory(Path::new("/run/khimg"))?;
    let environment = match membership {
        Membership::First => {
            marks.change(&[], &[Mark::Entering, Mark::Asked])?;
            String::new()
        }
        Membership::Entering(members) => {
            marks.change(&[Mark::Entering], &[])?;
            format!("ETCD_INITIAL_CLUSTER={members}\nETCD_INITIAL_CLUSTER_STATE=existing\n")
        }
    };
    durable::write(Path::new(ENVIRONMENT), 0o644, |file| file.write_all(environment.as_bytes()))?;
    fs::write(LEAVE, "").map_err(NodeError::io("write", Path::new(LEAVE)))?;
    let started = service::start(UNIT);
    let end = Instant::now() + START;
    while started.is_ok() && Instant::now() < end && !disk::has_data(&node.file) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    durable::remove(Path::new(LEAVE))?;
    started?;
    if disk::has_data(&node.file) {
        return Ok(());
    }
    // It keeps trying otherwise, with an answer that may have changed.
    service::stop(UNIT)?;
    Err(NodeError::NotStarted { what: "etcd", seconds: START.as_secs() })
}
