//! The certificates of a control plane, renewed long before they end, on one master at a time.
//!
//! ```text
//! due? ─▶ turn ─▶ others well? ─▶ new ones in place ─▶ etcd, API server, … started anew, each waited for ─▶ turn over
//! ```
//!
//! Cut off after the new ones are ready, the next run goes on: what still has to happen is on disk before it begins.

mod error;
mod expiry;
mod manifest;
mod stage;
mod turn;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::durable;
use super::error::NodeError;
use super::kube::{Kube, Reply};
use super::kubeconfig::{ADMIN, Kubeconfig};
use super::record::write_json;
use super::state::State;
use super::up::about;
use crate::clock;
use crate::cluster::{EtcdMode, Role};
use crate::kubernetes::KubernetesVersion;
use crate::kubernetes::quirks;
use crate::render::NodeFile;
use crate::report::{Event, Reporter};
pub use error::RenewalError;
use turn::Turn;

/// When less than this is left, a restart beside a master that is down is the smaller evil.
const URGENT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How long a pod may take to come up again.
const RESTART: Duration = Duration::from_secs(300);

/// What is started anew, in this order: the API server needs its etcd, the others need the API server. Those two may be away at
/// once: other masters have them, too, and a kubelet takes a minute to tell of a static pod.
const ROUNDS: [&[&str]; 3] = [&["etcd"], &["kube-apiserver"], &["kube-controller-manager", "kube-scheduler"]];

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Renewed {
    /// Whether there are new certificates, or restarts for earlier ones were caught up on.
    pub renewed: bool,
    /// When the first of all certificates ends now.
    pub ends: Timestamp,
}

/// What has to happen yet.
#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    /// The mark that pods are to be started with.
    stamp: String,
}

/// Renews the certificates of this master if one of them ends soon, or if `force` says so, and starts its control plane anew.
///
/// # Errors
/// This is no master; it is another master's turn; another master is not well; kubeadm fails; a pod does not come up. It may
/// be run again.
pub async fn renew(state: &State, force: bool, reporter: &dyn Reporter) -> Result<Renewed, NodeError> {
    let node = about::read()?;
    let (Role::Master, Some(version)) = (node.role, node.kubernetes) else {
        return Err(RenewalError::NoMaster.into());
    };
    let _alone = state.lock_renewal()?;
    let now = clock::now();
    let all = expiry::certificates(Path::new(stage::KUBERNETES))?;
    let ends = expiry::first_end(&all).ok_or(RenewalError::NoMaster)?;
    let left = ends.duration_since(now);
    let pending = read_pending(state)?;
    if pending.is_none() && !force && !all.iter().any(|certificate| certificate.validity.is_due(now)) {
        return Ok(Renewed { renewed: false, ends });
    }
    let note = |text: String| reporter.report(Event::Note { text });
    let kube = Kubeconfig::read(Path::new(ADMIN))?.connect()?;
    // With certificates that have ended nobody listens to this master, and nothing that it restarts worked before.
    let turn = if left.is_positive() { Some(Turn::take(&kube, &node.name, now).await?) } else { None };
    if let (Some(turn), Err(unwell)) = (&turn, others_are_well(&node, left).await) {
        turn.end().await?;
        return Err(unwell);
    }
    let stamp = match pending {
        Some(pending) => pending.stamp,
        None => {
            note(format!("renewing the certificates of {}", node.name));
            begin(state, &node, version, now).await?
        }
    };
    stage::place()?;
    // With the new certificate.
    let kube = Kubeconfig::read(Path::new(ADMIN))?.connect()?;
    for pods in rounds(&node) {
        for pod in pods {
            if manifest::mark(&manifest_of(pod), &stamp)? {
                note(format!("starting {pod} anew"));
            }
        }
        for pod in pods {
            wait(&kube, &node, pod, &stamp).await?;
        }
    }
    durable::remove(&pending_path(state))?;
    if let Some(turn) = turn {
        turn.end().await?;
    }
    let all = expiry::certificates(Path::new(stage::KUBERNETES))?;
    Ok(Renewed { renewed: true, ends: expiry::first_end(&all).unwrap_or(ends) })
}

/// Replaces certificates that are not good any more, before the control plane of a master starts that was off for long.
/// Asks nobody: who would answer trusts them as little. Says whether there were any.
pub(super) async fn replace(state: &State, node: &NodeFile, version: KubernetesVersion) -> Result<bool, NodeError> {
    let (now, kubernetes) = (clock::now(), Path::new(stage::KUBERNETES));
    let all = expiry::certificates(kubernetes)?;
    // A clock by which the authority itself is not good is wrong.
    let is_plausible = expiry::validity(&kubernetes.join("pki/ca.crt"))?.is_good(now);
    if !is_plausible || all.iter().all(|certificate| certificate.validity.is_good(now)) {
        return Ok(false);
    }
    let _alone = state.lock_renewal()?;
    let stamp = begin(state, node, version, now).await?;
    stage::place()?;
    for pod in rounds(node).flatten().filter(|pod| manifest_of(pod).exists()) {
        manifest::mark(&manifest_of(pod), &stamp)?;
    }
    durable::remove(&pending_path(state))?;
    Ok(true)
}

/// Replaces the certificate that a master's kubelet shows: another one from the cluster's authority, which masters have.
/// Whether the kubelet starts anew is up to the caller.
pub(super) async fn kubelet(state: &State) -> Result<(), NodeError> {
    let _alone = state.lock_renewal()?;
    durable::remove(&pending_path(state))?;
    stage::kubelet().await
}

/// Prepares new certificates, and makes it known that they are to come in place.
async fn begin(
    state: &State,
    node: &NodeFile,
    version: KubernetesVersion,
    now: Timestamp,
) -> Result<String, NodeError> {
    // What an earlier one left is of no worth once its stage is emptied.
    durable::remove(&pending_path(state))?;
    stage::prepare(node, version).await?;
    let stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    write_json(&pending_path(state), &Pending { stamp: stamp.clone() })?;
    Ok(stamp)
}

/// What runs on this master as static pods.
fn rounds(node: &NodeFile) -> impl Iterator<Item = &'static [&'static str]> {
    let has_etcd = node.etcd == EtcdMode::Stacked;
    ROUNDS.into_iter().filter(move |pods| has_etcd || !pods.contains(&"etcd"))
}

fn manifest_of(pod: &str) -> PathBuf {
    Path::new(stage::KUBERNETES).join("manifests").join(format!("{pod}.yaml"))
}

fn pending_path(state: &State) -> PathBuf {
    state.renewal().join("pending.json")
}

fn read_pending(state: &State) -> Result<Option<Pending>, NodeError> {
    let path = pending_path(state);
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| NodeError::Record { path, reason: error.to_string() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(NodeError::io("read", &path)(error)),
    }
}

/// Refuses while another master's API server or etcd is not well: a restart here would cost the cluster its majority.
async fn others_are_well(node: &NodeFile, left: SignedDuration) -> Result<(), NodeError> {
    if left < URGENT {
        return Ok(());
    }
    let path = node.kubernetes.map_or("/readyz", quirks::health_path);
    for other in node.nodes.iter().filter(|other| other.role == Role::Master && other.name != node.name) {
        let server = about::api_server(other.address)?;
        if !server.healthy(path).await.unwrap_or(false) {
            return Err(RenewalError::Unwell { name: other.name.clone(), days: left.as_hours() / 24 }.into());
        }
    }
    Ok(())
}

/// Waits until the kubelet has started the pod with the mark, and it is ready.
async fn wait(kube: &Kube, node: &NodeFile, pod: &str, stamp: &str) -> Result<(), NodeError> {
    let path = format!("/api/v1/namespaces/kube-system/pods/{pod}-{}", node.name);
    let end = Instant::now() + RESTART;
    while Instant::now() < end {
        // No answer is no reason to give up: it may be this very API server that starts.
        if let Ok(Reply::Done(object)) = kube.get(&path).await
            && is_ready(&object, stamp)
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(RenewalError::NotUp { pod: pod.to_owned(), seconds: RESTART.as_secs() }.into())
}

fn is_ready(pod: &Value, stamp: &str) -> bool {
    let has_mark = pod.pointer("/metadata/annotations").and_then(|all| all.get(manifest::MARK)) == Some(&stamp.into());
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True");
    has_mark && ready
}
