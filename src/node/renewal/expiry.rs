//! How long the certificates of a control plane are good for.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::input;
use crate::node::error::NodeError;
use crate::node::kubeconfig::Kubeconfig;
use crate::node::validity::Validity;

/// Largest certificate, in bytes.
const LIMIT: u64 = 1 << 20;

/// The certificates that kubeadm issues below `/etc/kubernetes` and that it renews (k/k cmd/kubeadm/app/phases/certs/certlist.go).
/// What others have put there is theirs to look after.
const FILES: [&str; 7] = [
    "pki/apiserver.crt",
    "pki/apiserver-kubelet-client.crt",
    "pki/apiserver-etcd-client.crt",
    "pki/front-proxy-client.crt",
    "pki/etcd/server.crt",
    "pki/etcd/peer.crt",
    "pki/etcd/healthcheck-client.crt",
];

/// The kubeconfigs whose certificates nothing else renews; the kubelet sees to its own.
pub(super) const KUBECONFIGS: [&str; 4] =
    ["admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf"];

/// A certificate that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// The file that it is in, below `/etc/kubernetes`.
    pub(super) path: PathBuf,
    /// For how long it is good.
    pub(super) validity: Validity,
}

/// All certificates that there are below `root`, which is laid out like `/etc/kubernetes`.
pub(super) fn certificates(root: &Path) -> Result<Vec<Certificate>, NodeError> {
    let files = FILES.iter().chain(&KUBECONFIGS).filter(|name| root.join(name).exists());
    files.map(|name| Ok(Certificate { path: name.into(), validity: validity(&root.join(name))? })).collect()
}

/// That of a certificate, or of the client's in a kubeconfig.
pub(super) fn validity(path: &Path) -> Result<Validity, NodeError> {
    let pem = if path.extension().is_some_and(|end| end == "conf") {
        Kubeconfig::read(path)?.certificate
    } else {
        input::read(path, LIMIT).map_err(NodeError::io("read", path))?
    };
    let wrong = || NodeError::Record { path: path.to_owned(), reason: "it is no certificate".to_owned() };
    Validity::of(&pem).ok_or_else(wrong)
}

/// The first that ends; `None` where there is none.
pub(super) fn first_end(certificates: &[Certificate]) -> Option<Timestamp> {
    certificates.iter().map(|certificate| certificate.validity.ends).min()
}
