//! What the disk of a node holds of its cluster.

use std::fs;
use std::path::Path;

use crate::cluster::{EtcdMode, Role};
use crate::render::NodeFile;
use crate::render::node_file::ETCD_DATA;

/// The data of an etcd that runs as a static pod; kubeadm's configuration says so.
const ETCD_DATA_OF_POD: &str = "/var/lib/etcd";

/// The kubelet's own certificate, once it has one.
pub(in crate::node) const KUBELET_CERTIFICATE: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";

/// Whether etcd runs on this node itself.
pub(super) fn holds_etcd(node: &NodeFile) -> bool {
    node.role == etcd_role(node)
}

/// The role of the nodes that etcd runs on.
pub(super) fn etcd_role(node: &NodeFile) -> Role {
    match node.etcd {
        EtcdMode::Stacked => Role::Master,
        EtcdMode::External => Role::Etcd,
    }
}

/// Where etcd has its data on a node that runs it.
pub(super) fn etcd_data(node: &NodeFile) -> &'static Path {
    Path::new(if node.role == Role::Etcd { ETCD_DATA } else { ETCD_DATA_OF_POD })
}

/// Whether the disk holds what makes the node part of a cluster.
pub(super) fn has_data(node: &NodeFile) -> bool {
    if holds_etcd(node) {
        has_log(&etcd_data(node).join("member/wal"))
    } else {
        let is_there = |path: &str| fs::metadata(path).is_ok_and(|meta| meta.len() > 0);
        is_there(crate::node::kubeconfig::KUBELET) && is_there(KUBELET_CERTIFICATE)
    }
}

/// As etcd judges it: one file of the write-ahead log is enough (etcd `server/wal`, `Exist`).
fn has_log(directory: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(directory) else { return false };
    entries.any(|entry| entry.is_ok_and(|entry| entry.path().extension().is_some_and(|ending| ending == "wal")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_data() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(!has_log(&dir.path().join("none")));
        fs::write(dir.path().join("0.tmp"), "").expect("written");
        assert!(!has_log(dir.path()));
        fs::write(dir.path().join("0000000000000000-0000000000000000.wal"), "").expect("written");
        assert!(has_log(dir.path()));
    }
}
