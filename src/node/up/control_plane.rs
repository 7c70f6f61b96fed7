//! A control plane out of kubeadm's phases, one at a time: nothing is pulled, nothing asks a peer for certificates, and
//! what a power cut left half-written is made again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::marks::{Mark, Marks};
use super::program::phase;
use super::{Node, about, configuration, disk, expired, registration, service, storage, view};
use crate::clock;
use crate::cluster::EtcdMode;
use crate::kubeadm::API_PORT;
use crate::kubernetes::KubernetesVersion;
use crate::kubernetes::quirks;
use crate::node::durable;
use crate::node::error::NodeError;
use crate::node::kube::Kube;
use crate::node::kubeconfig::{ADMIN, KUBELET, Kubeconfig, SUPER_ADMIN};
use crate::node::renewal;
use crate::node::rotation;
use crate::render::INIT_PATH;

/// Where everything of kubeadm lies.
const KUBERNETES: &str = "/etc/kubernetes";

/// What kubeadm's static pods are to have otherwise than kubeadm makes them.
const PATCHES: &str = "/etc/khimg/static-pods";

/// How long etcd may take from its manifest to its first write: the kubelet looks every 20 s, and starts it in a few.
const START: Duration = Duration::from_secs(90);

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

impl<'a> ControlPlane<'a> {
    pub(super) fn of(node: &'a Node) -> Result<Self, NodeError> {
        Ok(Self { node, version: node.version()? })
    }

    /// Where an API server says whether it is well.
    pub(super) fn health_path(&self) -> &'static str {
        quirks::health_path(self.version)
    }

    /// Certificates and kubeconfigs, from the authorities that the seed brought.
    pub(super) async fn credentials(&self, marks: &mut Marks) -> Result<(), NodeError> {
        if marks.has(Mark::Credentials) {
            return Ok(());
        }
        // What comes after them is made of them.
        marks.change(&[], &[Mark::Server, Mark::Manifests, Mark::Known])?;
        self.first_kubelet(marks).await?;
        self.node.teller.working("issue certificates");
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

    /// The kubelet of a machine that is nobody yet: without manifests it starts nothing. Up to 1.23 a kubelet without Docker looks
    /// for it for 5 s before it does anything else (cAdvisor, `docker.RootDir`), which pass while the rest is made.
    async fn first_kubelet(&self, marks: &mut Marks) -> Result<(), NodeError> {
        if marks.has(Mark::Credentials) || marks.has(Mark::Kubelet) {
            return Ok(());
        }
        self.node.teller.working("start the kubelet");
        durable::remove(Path::new(KUBELET))?;
        phase(&["kubeconfig", "kubelet"], Path::new(INIT_PATH)).await?;
        rotation::let_renew(Path::new(KUBELET), Path::new(disk::KUBELET_CERTIFICATE))?;
        durable::directory(&Path::new(KUBERNETES).join("manifests"))?;
        flush(KUBERNETES)?;
        self.kubelet(marks).await
    }

    /// Replaces certificates that ended while the machine was off.
    pub(super) async fn refresh(&self, marks: &mut Marks) -> Result<(), NodeError> {
        let node = self.node;
        if !marks.has(Mark::Credentials) {
            return Ok(());
        }
        if renewal::replace(&node.state, &node.file, self.version).await? {
            node.teller.note("replaced certificates that had ended");
        }
        if expired::is_over(clock::now()) {
            node.teller.note("replacing the kubelet's certificate, which has ended");
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

    async fn server(&self, marks: &mut Marks) -> Result<(), NodeError> {
        let is_whole = marks.has(Mark::Manifests) || marks.has(Mark::Server);
        if !(is_whole && manifest("kube-apiserver").exists()) {
            self.node.teller.working("start the control plane");
            phase(&["control-plane", "apiserver"], Path::new(INIT_PATH)).await?;
            flush(KUBERNETES)?;
            marks.change(&[Mark::Server], &[])?;
        }
        Ok(())
    }

    /// What speaks to the API server. Beside one that is only starting it would fail, take its time from it, and be held back
    /// by the kubelet for having failed.
    pub(super) async fn clients(&self, marks: &mut Marks) -> Result<(), NodeError> {
        let names = ["kube-controller-manager", "kube-scheduler"];
        if !(marks.has(Mark::Manifests) && names.iter().all(|name| manifest(name).exists())) {
            self.node.teller.working("start the control plane");
            for name in ["controller-manager", "scheduler"] {
                phase(&["control-plane", name], Path::new(INIT_PATH)).await?;
            }
            flush(KUBERNETES)?;
            marks.change(&[Mark::Manifests], &[Mark::Server])?;
        }
        Ok(())
    }

    /// etcd's manifest. A kubelet that starts in the seconds after its node became known does not find its own disk in what the
    /// API says of the node; it would refuse a pod that asks for room there for good, and end one that runs (k/k#99305).
    async fn etcd_manifest(&self, config: &Path) -> Result<(), NodeError> {
        let mut words = vec!["etcd", "local"];
        // Profiles of the user's own may lack it.
        if quirks::etcd_asks_for_disk(self.version) && Path::new(PATCHES).is_dir() {
            words.extend(["--experimental-patches", PATCHES]);
        }
        phase(&words, config).await
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
        self.etcd_manifest(&config).await?;
        self.server(marks).await?;
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
        // Whatever keeps it, a kubelet that starts anew takes the manifest for a new one.
        service::stop("kubelet.service")?;
        Err(NodeError::NotStarted { what: "etcd", seconds: START.as_secs() })
    }

    /// Everything that must run on this node, given that its etcd has data.
    pub(super) async fn start(&self, marks: &mut Marks) -> Result<(), NodeError> {
        marks.change(&[], &[Mark::Asked])?;
        self.kubelet(marks).await?;
        if self.node.file.etcd == EtcdMode::Stacked && !manifest("etcd").exists() {
            self.etcd_manifest(Path::new(INIT_PATH)).await?;
            flush(KUBERNETES)?;
        }
        self.server(marks).await
    }

    /// Makes this node known to the cluster as a control plane.
    pub(super) async fn known(&self, kube: &Kube, marks: &mut Marks) -> Result<(), NodeError> {
        if marks.has(Mark::Known) {
            return Ok(());
        }
        let config = Path::new(INIT_PATH);
        self.node.wait_for_endpoint("register this node").await;
        self.node.teller.working("register this node");
        phase(&["mark-control-plane"], config).await?;
        registration::register(self.node, self.version, kube).await?;
        storage::adopt(self.node, self.version, kube).await?;
        marks.change(&[Mark::Known], &[])
    }

    /// A client for this node's own API server. Its certificate names the node's address.
    pub(super) fn own_server(&self) -> Result<Kube, NodeError> {
        let credentials = Kubeconfig::read(administrator(self.version))?.credentials;
        let server = view::url(self.node.file.address.addr(), API_PORT, "")?;
        Ok(Kube::new(server, &credentials)?)
    }
}

/// Whose rights do not depend on what a cluster has been told yet. From 1.29 on the administrator has none before kubeadm's first
/// phase in a running cluster has given them (k/k#121305).
fn administrator(version: KubernetesVersion) -> &'static Path {
    Path::new(if quirks::has_super_admin(version) { SUPER_ADMIN } else { ADMIN })
}

pub(super) fn manifest(name: &str) -> PathBuf {
    PathBuf::from(format!("{KUBERNETES}/manifests/{name}.yaml"))
}

/// What kubeadm made, or was about to: everything but the kubelet's, the authorities and the keys of service accounts.
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
    Ok(found)
}

/// Makes everything written so far survive a power cut, on the file system of `path`.
pub(super) fn flush(path: &str) -> Result<(), NodeError> {
    let failed = |error| NodeError::io("flush", Path::new(path))(error);
    let directory = fs::File::open(path).map_err(failed)?;
    rustix::fs::syncfs(&directory).map_err(|error| failed(error.into()))
}
