//! A control plane out of kubeadm's phases, one at a time: nothing is pulled, nothing asks a peer for certificates, and
//! what a power cut left half-written is made again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::process::Command;

use super::marks::{Mark, Marks};
use super::program::{phase, run};
use super::{Node, about, configuration, disk, expired, registration, service, view};
use crate::clock;
use crate::cluster::{Dns, EtcdMode};
use crate::kubeadm::API_PORT;
use crate::kubernetes::KubernetesVersion;
use crate::kubernetes::quirks;
use crate::node::durable;
use crate::node::error::NodeError;
use crate::node::kube::{Kube, Reply};
use crate::node::kubeconfig::{ADMIN, KUBELET, Kubeconfig};
use crate::node::renewal;
use crate::render::INIT_PATH;

/// Where everything of kubeadm lies.
const KUBERNETES: &str = "/etc/kubernetes";

/// Where the cluster keeps what khimg knows of it.
pub(super) const RECORD: &str = "/api/v1/namespaces/kube-system/configmaps/khimg";

/// How long etcd may take from its manifest to its first write: the kubelet looks every 20 s, and starts it in a few.
const START: Duration = Duration::from_secs(90);

/// How long the kubelet may take to keep a certificate of its own.
const CERTIFICATE: Duration = Duration::from_secs(60);

/// How long each master leaves to the one before it for what only one has to do.
const TURN: Duration = Duration::from_secs(20);

/// How etcd starts on an empty disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Membership {
    /// As the configuration says: one of the first members.
    First,
    /// As a new member of these, `name=URL,…`.
    Entering(String),
}

/// The steps of a control plane on one node.
pub(super) struct ControlPlane<'a> {
    pub(super) node: &'a Node,
    pub(super) version: KubernetesVersion,
}

impl ControlPlane<'_> {
    /// Certificates and kubeconfigs, from the authorities that the seed brought.
    pub(super) async fn credentials(&self, marks: &mut Marks) -> Result<(), NodeError> {
        if marks.has(Mark::Credentials) {
            return Ok(());
        }
        self.node.teller.working("issue certificates");
        // What comes after them is made of them.
        marks.change(&[], &[Mark::Kubelet, Mark::Manifests, Mark::Known])?;
        for path in half_made()? {
            durable::remove(&path)?;
        }
        let config = Path::new(INIT_PATH);
        if self.node.file.etcd == EtcdMode::External {
            // kubeadm issues nothing for an etcd that is not its own.
            about::issue_etcd_client(&self.node.file, &Path::new(KUBERNETES).join("pki"))?;
        }
        phase(&["certs", "all"], config).await?;
        phase(&["kubeconfig", "all"], config).await?;
        flush(KUBERNETES)?;
        marks.change(&[Mark::Credentials], &[])
    }

    /// Replaces certificates that ended while the machine was off.
    pub(super) async fn refresh(&self, marks: &mut Marks) -> Result<(), NodeError> {
        let node = self.node;
        if renewal::replace(&node.state, &node.file, self.version).await? {
            node.teller.note("replaced certificates that had ended");
        }
        if expired::is_over(clock::now()) {
            node.teller.note("replacing the kubelet's certificate, which has ended");
            // The node is made known once more, so that its kubelet renews the new one by itself, too.
            marks.change(&[], &[Mark::Known])?;
            renewal::kubelet(&node.state).await?;
            service::restart("kubelet.service")?;
        }
        Ok(())
    }

    /// The kubelet, running with this node's configuration.
    async fn kubelet(&self, marks: &mut Marks) -> Result<(), NodeError> {
        if !marks.has(Mark::Kubelet) {
            self.node.teller.working("start the kubelet");
            phase(&["kubelet-start"], Path::new(INIT_PATH)).await?;
            flush("/var/lib/kubelet")?;
            marks.change(&[Mark::Kubelet], &[])?;
        }
        service::start("kubelet.service")
    }

    async fn manifests(&self, marks: &mut Marks) -> Result<(), NodeError> {
        let names = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
        if !(marks.has(Mark::Manifests) && names.iter().all(|name| manifest(name).exists())) {
            self.node.teller.working("start the control plane");
            phase(&["control-plane", "all"], Path::new(INIT_PATH)).await?;
            flush(KUBERNETES)?;
            marks.change(&[Mark::Manifests], &[])?;
        }
        Ok(())
    }

    /// Starts etcd on an empty disk, and gives it time to write there.
    pub(super) async fn start_etcd(&self, marks: &mut Marks, membership: &Membership) -> Result<(), NodeError> {
        self.kubelet(marks).await?;
        let config = match membership {
            Membership::First => {
                marks.change(&[], &[Mark::Entering, Mark::Asked])?;
                PathBuf::from(INIT_PATH)
            }
            Membership::Entering(members) => {
                marks.change(&[Mark::Entering], &[])?;
                configuration::entering(self.version, members)?
            }
        };
        self.node.teller.working("start etcd");
        phase(&["etcd", "local"], &config).await?;
        self.manifests(marks).await?;
        self.node.teller.waiting("start etcd", "its first write");
        let end = Instant::now() + START;
        while Instant::now() < end {
            if disk::has_data(&self.node.file) {
                return Ok(());
            }
            // A kubelet that starts anew takes away what has no data yet.
            if !manifest("etcd").exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // A pod that the kubelet has refused once, because it did not know its own disk yet, it never tries again: the next
        // attempt starts it anew, and then it takes the manifest for a new one.
        service::stop("kubelet.service")?;
        Err(NodeError::NotStarted { what: "etcd", seconds: START.as_secs() })
    }

    /// Everything that must run on this node, given that its etcd has data.
    pub(super) async fn start(&self, marks: &mut Marks) -> Result<(), NodeError> {
        marks.change(&[], &[Mark::Asked])?;
        self.kubelet(marks).await?;
        if self.node.file.etcd == EtcdMode::Stacked && !manifest("etcd").exists() {
            phase(&["etcd", "local"], Path::new(INIT_PATH)).await?;
            flush(KUBERNETES)?;
        }
        self.manifests(marks).await
    }

    /// What the whole cluster needs once: its configuration, the right to join, addons, the network. All masters of a new
    /// cluster try, one after the other, until one has done everything.
    pub(super) async fn cluster(&self, kube: &Kube) -> Result<(), NodeError> {
        let node = self.node;
        let is_done = || async { Ok::<_, NodeError>(matches!(kube.get(RECORD).await?, Reply::Done(_))) };
        let turn = Instant::now() + TURN * node.rank();
        loop {
            if is_done().await? {
                return Ok(());
            }
            if Instant::now() >= turn {
                break;
            }
            node.teller.waiting("set up the cluster", "another master, which does it first");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        node.wait_for_endpoint("set up the cluster").await;
        node.teller.working("set up the cluster");
        let (own, stored) = (Path::new(INIT_PATH), configuration::stored()?);
        phase(&["upload-config", "kubeadm"], &stored).await?;
        phase(&["upload-config", "kubelet"], &stored).await?;
        phase(&["bootstrap-token", "--skip-token-print"], own).await?;
        phase(&["addon", "kube-proxy"], &stored).await?;
        if node.file.dns != Dns::None {
            phase(&["addon", "coredns"], &stored).await?;
        }
        if Path::new("/etc/khimg/manifests").is_dir() {
            let mut command = Command::new("kubectl");
            command.args(["--kubeconfig", ADMIN, "apply", "--filename", "/etc/khimg/manifests"]);
            run(command).await?;
        }
        let record = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "khimg", "namespace": "kube-system"},
            "data": {"formedAt": clock::now().to_string(), "khimg": env!("CARGO_PKG_VERSION")},
        });
        // Whoever was faster has done the same.
        kube.create("/api/v1/namespaces/kube-system/configmaps", &record).await?;
        Ok(())
    }

    /// Makes this node known to the cluster as a control plane, and lets its kubelet renew its own certificate.
    pub(super) async fn known(&self, kube: &Kube, marks: &mut Marks) -> Result<(), NodeError> {
        if marks.has(Mark::Known) {
            return Ok(());
        }
        let config = Path::new(INIT_PATH);
        self.node.wait_for_endpoint("register this node").await;
        self.node.teller.working("register this node");
        phase(&["mark-control-plane"], config).await?;
        registration::register(self.node, self.version, kube).await?;
        if quirks::has_kubelet_finalize(self.version) {
            let end = Instant::now() + CERTIFICATE;
            while !Path::new(disk::KUBELET_CERTIFICATE).exists() && Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            phase(&["kubelet-finalize", "all"], config).await?;
            flush(KUBERNETES)?;
        }
        marks.change(&[Mark::Known], &[])
    }

    /// A client for this node's own API server. Its certificate names the node's address.
    pub(super) fn own_server(&self) -> Result<Kube, NodeError> {
        let credentials = Kubeconfig::read(Path::new(ADMIN))?.credentials;
        let server = view::url(self.node.file.address.addr(), API_PORT, "")?;
        Ok(Kube::new(server, &credentials)?)
    }
}

pub(super) fn manifest(name: &str) -> PathBuf {
    PathBuf::from(format!("{KUBERNETES}/manifests/{name}.yaml"))
}

/// What kubeadm made, or was about to: everything but the authorities and the keys of service accounts.
fn half_made() -> Result<Vec<PathBuf>, NodeError> {
    let kept = ["ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.pub", "sa.key"];
    let mut found = Vec::new();
    for directory in ["pki", "pki/etcd"] {
        let directory = Path::new(KUBERNETES).join(directory);
        let read = NodeError::io("read", &directory);
        for entry in fs::read_dir(&directory).map_err(&read)? {
            let path = entry.map_err(&read)?.path();
            if path.is_file() && !kept.iter().any(|name| path.ends_with(name)) {
                found.push(path);
            }
        }
    }
    for name in ["admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf"] {
        found.push(Path::new(KUBERNETES).join(name));
    }
    found.push(PathBuf::from(KUBELET));
    Ok(found)
}

/// Makes everything written so far survive a power cut, on the file system of `path`.
pub(super) fn flush(path: &str) -> Result<(), NodeError> {
    let failed = |error| NodeError::io("flush", Path::new(path))(error);
    let directory = fs::File::open(path).map_err(failed)?;
    rustix::fs::syncfs(&directory).map_err(|error| failed(error.into()))
}
