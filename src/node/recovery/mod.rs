//! A cluster that lost its majority, or its data, brought back from a snapshot of etcd.
//!
//! ```text
//! stop, on all others ─▶ restore, on one master ─▶ follow, on each other
//!                        a new etcd of one member   its data aside: it joins as a new member
//! ```
//!
//! Two clusters must never live at once: restoring refuses while anything that belongs to a cluster listens on any other
//! master, and following refuses unless there is a cluster with a majority that does not count this node in.
//!
//! Each of them may be cut off anywhere and run again.

mod archive;
mod engine;
mod error;

use std::fs::{File, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::command;
use super::decision::Standing;
use super::durable;
use super::error::NodeError;
use super::etcd::{Etcd, data};
use super::state::State;
use super::up::about;
use crate::cluster::{EtcdMode, Role};
use crate::digest::Digest;
use crate::input;
use crate::kubeadm::{ETCD_PEER_PORT, host_port};
use crate::render::{NodeFile, STORED_PATH};
use crate::report::{Event, Reporter};
pub use error::RecoveryError;

/// etcd's data on a master (kubeadm's `etcd.local.dataDir`).
const DATA: &str = "/var/lib/etcd";

/// What starts the control plane.
const UNITS: [&str; 2] = ["khimg-node.service", "kubelet.service"];

/// How long etcd may take to come up.
const START: Duration = Duration::from_secs(300);

/// How far revisions go on after those of the snapshot, so that what clients have seen since is older: a billion, which etcd's
/// documentation suggests ("Disaster recovery", "Restoring with revision bump").
const BUMP: &str = "1000000000";

/// A cluster that was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// SHA-256 of the snapshot's database.
    pub sha256: Digest,
    /// Where the data is that was here before.
    pub former: Option<PathBuf>,
    /// Whether revisions went on. Where not, whoever watches the API has to begin anew: kubelets and controllers.
    pub bumped: bool,
}

fn member(node: &NodeFile) -> Result<(), RecoveryError> {
    match (node.role, node.etcd) {
        (Role::Master, EtcdMode::Stacked) => Ok(()),
        (Role::Master, EtcdMode::External) => {
            Err(RecoveryError::NoMember { found: "a master whose etcd is on other nodes" })
        }
        (Role::Etcd, _) => Err(RecoveryError::NoMember { found: "a member of an external etcd" }),
        (Role::Worker | Role::Lb, _) => Err(RecoveryError::NoMember { found: "no master" }),
    }
}

/// Stops the control plane on this master, until [`restore`] or [`follow`] starts it again: it does not come back with the
/// machine.
///
/// # Errors
/// This master has no etcd; systemd or the runtime refuses.
pub fn stop() -> Result<(), NodeError> {
    let node = about::read()?;
    member(&node)?;
    halt(&node)
}

fn halt(node: &NodeFile) -> Result<(), NodeError> {
    for unit in UNITS {
        command::output("systemctl", &["disable", unit])?;
        command::output("systemctl", &["stop", unit])?;
    }
    engine::end_pods(node.runtime)
}

fn start() -> Result<(), NodeError> {
    UNITS.iter().try_for_each(|unit| command::output("systemctl", &["enable", unit]).map(drop))?;
    command::output("systemctl", &["start", "khimg-node.service"]).map(drop)
}

/// Makes this master the only one of the cluster that the snapshot `file` holds, and waits until its etcd serves.
///
/// # Errors
/// The file is no whole snapshot; another master's etcd answers; this master has no etcd; a program fails. It may be run
/// again.
pub async fn restore(state: &State, file: &Path, reporter: &dyn Reporter) -> Result<Restored, NodeError> {
    let note = |text: &str| reporter.report(Event::Note { text: text.to_owned() });
    let node = about::read()?;
    member(&node)?;
    let sha256 = archive::verify(file)?;
    let alive = about::listening(&node).await;
    if !alive.is_empty() {
        return Err(RecoveryError::Alive { names: alive.join(", ") }.into());
    }
    let image = Image::read()?;
    note("stopping the control plane of this master");
    halt(&node)?;
    let alone = state.lock_membership()?;
    note("restoring the snapshot");
    let data = Path::new(DATA);
    let bumped = unpack(&node, &image, file, &sha256, data)?;
    let former = data::exchange(data)?;
    about::forget_entering(state, false)?;
    drop(alone);
    note("starting the control plane of this master");
    start()?;
    let etcd = Etcd::new(vec![about::etcd_url(node.address.addr())?], &about::credentials(&node)?)?;
    let end = Instant::now() + START;
    while !etcd.quorate().await.unwrap_or(false) {
        if Instant::now() > end {
            return Err(RecoveryError::NotUp { what: "etcd", seconds: START.as_secs() }.into());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(Restored { sha256, former, bumped })
}

/// Unpacks the snapshot into the scratch directory below `data`, as an etcd with this node as its only member. Says whether
/// revisions go on.
fn unpack(node: &NodeFile, image: &Image, file: &Path, sha256: &Digest, data: &Path) -> Result<bool, NodeError> {
    durable::directory(data)?;
    // As kubeadm makes it: nobody else sees what the cluster holds.
    std::fs::set_permissions(data, Permissions::from_mode(0o700)).map_err(NodeError::io("protect", data))?;
    let scratch = data::scratch(data);
    let snapshot = data.join("khimg-snapshot.db");
    copy(file, &snapshot)?;
    // What the tool reads is what was proven, whoever wrote to the file meanwhile.
    if archive::verify(&snapshot)? != *sha256 {
        let reason = "it changed while it was read".to_owned();
        return Err(RecoveryError::Snapshot { path: file.to_owned(), reason }.into());
    }
    let peer = format!("https://{}", host_port(node.address.addr(), ETCD_PEER_PORT));
    let (scratch_text, snapshot_text) = (scratch.display().to_string(), snapshot.display().to_string());
    let cluster = format!("{}={peer}", node.name);
    let common = [
        "snapshot",
        "restore",
        &snapshot_text,
        "--data-dir",
        &scratch_text,
        "--name",
        &node.name,
        "--initial-cluster",
        &cluster,
        "--initial-advertise-peer-urls",
        &peer,
        "--initial-cluster-token",
        &node.cluster,
    ];
    let mut restored = Err(NodeError::NotStarted { what: "etcd's tool", seconds: 0 });
    for (tool, bumped) in image.attempts() {
        durable::remove(&scratch)?;
        let bump: &[&str] = if bumped { &["--bump-revision", BUMP, "--mark-compacted"] } else { &[] };
        restored = engine::run(node.runtime, &image.name, data, &[&[tool], &common[..], bump].concat()).map(|_| bumped);
        if restored.is_ok() {
            break;
        }
    }
    if restored.is_err() {
        durable::remove(&scratch)?;
    }
    durable::remove(&snapshot)?;
    flush(data)?;
    restored
}

/// Copies a snapshot, which holds every Secret of the cluster.
fn copy(from: &Path, to: &Path) -> Result<(), NodeError> {
    durable::remove(to)?;
    let mut source = input::open(from).map_err(NodeError::io("read", from))?;
    let mut target =
        File::options().write(true).create_new(true).mode(0o600).open(to).map_err(NodeError::io("write", to))?;
    std::io::copy(&mut source, &mut target).map(drop).map_err(NodeError::io("write", to))
}

fn flush(path: &Path) -> Result<(), NodeError> {
    let failed = NodeError::io("flush", path);
    let directory = File::open(path).map_err(&failed)?;
    rustix::fs::syncfs(&directory).map_err(|error| failed(error.into()))
}

/// etcd's image on this node, as kubeadm is told it.
#[derive(Debug, PartialEq, Eq)]
struct Image {
    /// What the runtime knows it by.
    name: String,
    /// Major and minor version of the etcd in it.
    version: (u32, u32),
}

impl Image {
    fn read() -> Result<Self, NodeError> {
        let path = Path::new(STORED_PATH);
        let text = std::fs::read_to_string(path).map_err(NodeError::io("read", path))?;
        let reason = || "it names no image of etcd".to_owned();
        Self::of(&text).ok_or_else(|| NodeError::Record { path: path.to_owned(), reason: reason() })
    }

    fn of(stored: &str) -> Option<Self> {
        stored.split("\n---\n").find_map(|document| {
            let document: Value = serde_saphyr::from_str(document).ok()?;
            let etcd = document.pointer("/etcd/local")?;
            let (repository, tag) = (etcd.get("imageRepository")?.as_str()?, etcd.get("imageTag")?.as_str()?);
            let mut numbers = tag.trim_start_matches('v').split(['.', '-']).map(str::parse);
            let version = (numbers.next()?.ok()?, numbers.next()?.ok()?);
            Some(Self { name: format!("{repository}/etcd:{tag}"), version })
        })
    }

    /// The tools that may restore, and whether they are to let revisions go on: only patches of 2023 and later can (etcd
    /// issue 16028). The last one is there in any case. etcdutl came with 3.5, and etcdctl restores no more from 3.6 on.
    fn attempts(&self) -> Vec<(&'static str, bool)> {
        let tools: &[&str] = match self.version {
            (3, 5) => &["etcdutl", "etcdctl"],
            older if older < (3, 5) => &["etcdctl"],
            _ => &["etcdutl"],
        };
        [true, false].into_iter().flat_map(|bumped| tools.iter().map(move |tool| (*tool, bumped))).collect()
    }
}

/// Lets this master join the cluster that was restored on another one: its own data is set aside. Gives where that is.
///
/// # Errors
/// No other master has a majority; the living cluster counts this node in; this master has no etcd.
pub async fn follow(state: &State) -> Result<Option<PathBuf>, NodeError> {
    let node = about::read()?;
    member(&node)?;
    let told = about::standings(&node).await?;
    if told.is_empty() {
        return Err(RecoveryError::NobodyToFollow.into());
    }
    if told.iter().any(|standing| *standing != Standing::Absent) {
        return Err(RecoveryError::Member.into());
    }
    halt(&node)?;
    let alone = state.lock_membership()?;
    about::forget_entering(state, true)?;
    let former = data::set_aside(Path::new(DATA))?;
    drop(alone);
    start()?;
    Ok(former)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_etcd_has_its_tool() {
        let image = |tag: &str| {
            Image::of(&format!(
                "kind: InitConfiguration\n---\netcd:\n  local: {{imageRepository: r.io, imageTag: {tag}}}\n"
            ))
        };
        let tools = |tag: &str| image(tag).map(|image| image.attempts());
        assert_eq!(image("3.4.13-0").map(|image| image.name).as_deref(), Some("r.io/etcd:3.4.13-0"));
        assert_eq!(tools("3.4.13-0"), Some(vec![("etcdctl", true), ("etcdctl", false)]));
        let both = vec![("etcdutl", true), ("etcdctl", true), ("etcdutl", false), ("etcdctl", false)];
        assert_eq!(tools("v3.5.9-0"), Some(both));
        assert_eq!(tools("3.6.4-0"), Some(vec![("etcdutl", true), ("etcdutl", false)]));
        assert_eq!((tools("latest"), Image::of("etcd: {external: {}}")), (None, None));
    }
}
