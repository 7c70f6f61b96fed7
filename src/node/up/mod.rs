//! What a node does about its cluster at every boot: become part of it, whatever was before, and stay so.
//!
//! ```text
//! installed ─▶ fit ─▶ images ─▶ master   observe ─▶ decide ─▶ one step ─▶ observe … ─▶ complete ─▶ stay, answer the others
//!                              worker    … ─▶ join ─▶ ready
//!                              etcd      as a master, but systemd runs the server
//!                              lb        … ─▶ active
//! ```
//!
//! Nothing here gives up: what cannot be done yet is waited for and told, what fails is told and tried again, and each step
//! may be cut off anywhere.

pub(super) mod about;
mod addons;
pub mod agent;
mod configuration;
mod control_plane;
pub(super) mod disk;
mod enter;
mod expired;
mod forming;
mod identity;
mod marks;
mod master;
mod member;
mod membership;
mod observe;
mod pods;
mod prepare;
pub(super) mod program;
pub mod progress;
mod registration;
mod retire;
mod service;
mod storage;
mod tokens;
mod view;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rand::RngExt;

use crate::clock;
use crate::cluster::Role;
use crate::kubeadm::host_port;
use crate::kubernetes::KubernetesVersion;
use crate::kubernetes::quirks;
use crate::node::call::Credentials;
use crate::node::error::NodeError;
use crate::node::kube::{Kube, Reply};
use crate::node::state::State;
use crate::render::node_file::Member;
use crate::render::{CA_PATH, NodeFile, node_file};
use crate::report::Reporter;
use progress::Teller;

/// Shortest and longest pause before something is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(20));

/// How often to look whether what is waited for has happened.
const LOOK: Duration = Duration::from_millis(700);

/// Where a cluster keeps what khimg knows of it. It is there when everything was done that a cluster needs once.
const RECORD: &str = "/api/v1/namespaces/kube-system/configmaps/khimg";

/// How long each master leaves to the one before it for what only one has to do.
const TURN: Duration = Duration::from_secs(20);

/// This machine, as all steps see it.
pub(super) struct Node {
    file: NodeFile,
    state: State,
    teller: Teller,
    /// When this process began.
    since: Timestamp,
}

/// Makes this machine part of its cluster. On masters it then stays, answers the others, and looks after the node; on other
/// nodes it ends when they are what they should be.
///
/// # Errors
/// Only what waiting cannot mend: another process is doing the same, or this machine's own files are unusable.
pub async fn up(state: &State, reporter: Arc<dyn Reporter>) -> Result<(), NodeError> {
    let since = clock::now();
    let _alone = state.lock_membership()?;
    let teller = Teller::new(state, reporter)?;
    let file = prepare::installed(state, &teller).await?;
    let node = Arc::new(Node { file, state: state.clone(), teller, since });
    // What cloud-init wrote a moment ago must not be lost in a power cut that the steps survive.
    rustix::fs::sync();
    prepare::resolver(&node);
    prepare::fit(&node).await;
    prepare::images(&node).await?;
    match node.file.role {
        Role::Master => master::up(&node).await,
        Role::Worker => worker::up(&node).await,
        Role::Etcd => member::up(&node).await,
        Role::Lb => service::up(&node).await,
    }
}

impl Node {
    /// The others that hold the cluster's etcd.
    fn others(&self) -> impl Iterator<Item = &Member> {
        let role = disk::etcd_role(&self.file);
        self.file.nodes.iter().filter(move |member| member.role == role && member.name != self.file.name)
    }

    /// The Kubernetes version that this node is to run.
    fn version(&self) -> Result<KubernetesVersion, NodeError> {
        self.file.kubernetes.ok_or_else(|| NodeError::Record {
            path: node_file::PATH.into(),
            reason: "it names no Kubernetes version".to_owned(),
        })
    }

    /// How many masters come before this one.
    fn rank(&self) -> u32 {
        let masters = self.file.nodes.iter().filter(|member| member.role == Role::Master);
        masters.take_while(|member| member.name != self.file.name).count().try_into().unwrap_or(u32::MAX)
    }

    /// The path of this node's object in the Kubernetes API.
    fn object(&self) -> String {
        format!("/api/v1/nodes/{}", self.file.name)
    }

    /// The path of what this node's kubelet renews every ten seconds.
    fn lease(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{}", self.file.name)
    }

    /// A client for the endpoint, as nobody.
    fn endpoint(&self) -> Result<Kube, NodeError> {
        let credentials = Credentials::from_files(Path::new(CA_PATH), None)?;
        Ok(Kube::new(view::url(self.file.endpoint.address, self.file.endpoint.port, "")?, &credentials)?)
    }

    /// Whether an API server of this cluster answers at the endpoint, and is well.
    async fn endpoint_answers(&self) -> bool {
        let path = self.file.kubernetes.map_or("/healthz", quirks::health_path);
        match self.endpoint() {
            Ok(endpoint) => endpoint.healthy(path).await.unwrap_or(false),
            Err(_) => false,
        }
    }

    async fn wait_for_endpoint(&self, step: &str) {
        let mut pause = Pause::default();
        while !self.endpoint_answers().await {
            let address = host_port(self.file.endpoint.address, self.file.endpoint.port);
            self.teller.waiting(step, format!("an API server behind the endpoint {address}"));
            pause.look().await;
        }
    }

    /// Waits until the cluster counts this node as ready.
    async fn wait_until_ready(&self, kube: &Kube) {
        let mut pause = Pause::default();
        loop {
            let what = match self.is_ready(kube).await {
                Ok(None) => return,
                Ok(Some(reason)) => reason,
                Err(error) => error.to_string(),
            };
            self.teller.waiting("become ready", what);
            pause.look().await;
        }
    }

    /// Why the cluster does not count this node as ready; `None` if it does.
    async fn is_ready(&self, kube: &Kube) -> Result<Option<String>, NodeError> {
        // After a boot the cluster believes for a while what the kubelet said before it.
        let renewed = match kube.get(&self.lease()).await? {
            Reply::Done(lease) => lease["spec"]["renewTime"].as_str().and_then(|time| time.parse::<Timestamp>().ok()),
            Reply::Missing | Reply::Conflict => None,
        };
        if renewed.is_none_or(|renewed| renewed < self.since) {
            return Ok(Some("the kubelet to report".to_owned()));
        }
        let Reply::Done(object) = kube.get(&self.object()).await? else {
            return Ok(Some("the kubelet to register this node".to_owned()));
        };
        let conditions = object.pointer("/status/conditions").and_then(serde_json::Value::as_array);
        let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
        Ok(match ready {
            Some(condition) if condition["status"] == "True" => None,
            Some(condition) => {
                let message = condition["message"].as_str().unwrap_or("no reason is given");
                Some(format!("the kubelet to become ready: {}", message.chars().take(300).collect::<String>()))
            }
            None => Some("the kubelet to say how it is".to_owned()),
        })
    }
}

/// Pauses between attempts: longer after each, and never the same on two nodes.
#[derive(Debug, Default)]
struct Pause {
    attempts: u32,
}

impl Pause {
    /// Before something that failed is tried again.
    async fn retry(&mut self) {
        let longest = PAUSES.0.saturating_mul(1 << self.attempts.min(6)).min(PAUSES.1);
        self.attempts += 1;
        tokio::time::sleep(longest.mul_f64(rand::rng().random_range(0.5..1.0))).await;
    }

    /// Before looking again whether something has happened: often at first, then every few seconds.
    async fn look(&mut self) {
        let pause = if self.attempts < 200 { LOOK } else { LOOK * 4 };
        self.attempts = self.attempts.saturating_add(1);
        tokio::time::sleep(pause.mul_f64(rand::rng().random_range(0.6..1.4))).await;
    }
}
