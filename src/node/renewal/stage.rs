//! New certificates, made beside the old ones and put in their place at one stroke.
//!
//! kubeadm writes certificates and keys one by one over the old ones. Cut off in the middle, that leaves a key without its
//! certificate and a control plane that does not start. So it works on a copy, and the directories are exchanged when the
//! copy is whole. The old files stay until the next renewal: whatever runs still reads them.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use tokio::process::Command;

use super::RenewalError;
use super::expiry::{KUBECONFIGS, certificates};
use crate::cluster::EtcdMode;
use crate::kubernetes::KubernetesVersion;
use crate::kubernetes::quirks;
use crate::node::durable;
use crate::node::error::NodeError;
use crate::node::kubeconfig::KUBELET;
use crate::node::rotation;
use crate::node::up::disk::KUBELET_CERTIFICATE;
use crate::node::up::{about, program};
use crate::render::{INIT_PATH, NodeFile};

/// What is renewed.
pub(super) const KUBERNETES: &str = "/etc/kubernetes";

/// Where the copy is, on the same file system.
const STAGE: &str = "/etc/kubernetes/.khimg-renewal";

/// kubeadm's configuration, as kubeadm sees it in the stage.
const CONFIG: &str = "/kubeadm.yaml";

/// Makes new ones of everything that ends, whole and on disk for good. Nothing that is in use changes.
pub(super) async fn prepare(node: &NodeFile, version: KubernetesVersion) -> Result<(), NodeError> {
    let (own, kubernetes) = (Path::new(KUBERNETES), staged());
    set_up()?;
    let kubeconfigs: Vec<&str> = KUBECONFIGS.into_iter().filter(|name| own.join(name).exists()).collect();
    for name in &kubeconfigs {
        copy(&own.join(name), &kubernetes.join(name))?;
    }
    if node.etcd == EtcdMode::External {
        // kubeadm renews nothing of an etcd that is not its own.
        about::issue_etcd_client(node, &kubernetes.join("pki"))?;
    }
    kubeadm(quirks::certs_renew(version)).await?;
    if !quirks::renews_kubeconfigs(version) {
        for name in &kubeconfigs {
            durable::remove(&kubernetes.join(name))?;
            let phase = name.trim_end_matches(".conf");
            kubeadm(&["init", "phase", "kubeconfig", phase]).await?;
        }
    }
    clear_config()?;
    // kubeadm says that all is well when a file was missing, too.
    let after = certificates(&kubernetes)?;
    for old in &certificates(own)? {
        if !after.iter().any(|new| new.path == old.path && new.validity.ends > old.validity.ends) {
            return Err(RenewalError::Missed { path: own.join(&old.path) }.into());
        }
    }
    flush(Path::new(STAGE))
}

/// Puts what was prepared in place of what it was made from. What is there already stays: it may be cut off between two of
/// them and begun again.
pub(super) fn place() -> Result<(), NodeError> {
    let (own, new) = (Path::new(KUBERNETES), staged());
    if !new.exists() {
        return Ok(());
    }
    let old = certificates(own)?;
    let newer = certificates(&new)?
        .into_iter()
        .filter(|new| old.iter().any(|old| old.path == new.path && old.validity.ends < new.validity.ends));
    // Certificates and keys of one directory belong together.
    let places: BTreeSet<_> =
        newer.filter_map(|new| new.path.components().next().map(|at| at.as_os_str().to_owned())).collect();
    places.iter().try_for_each(|at| exchange(&new.join(at), &own.join(at)))
}

/// Gives a master's kubelet another certificate in the place of the one that it has.
pub(super) async fn kubelet() -> Result<(), NodeError> {
    set_up()?;
    kubeadm(&["init", "phase", "kubeconfig", "kubelet"]).await?;
    clear_config()?;
    flush(Path::new(STAGE))?;
    let name = Path::new(KUBELET).file_name().unwrap_or_default();
    rotation::let_renew(&staged().join(name), Path::new(KUBELET_CERTIFICATE))?;
    durable::rename(&staged().join(name), Path::new(KUBELET))
}

/// A new stage with a copy of all certificates and keys, and what kubeadm has to know.
fn set_up() -> Result<(), NodeError> {
    let stage = Path::new(STAGE);
    durable::remove(stage)?;
    DirBuilder::new().mode(0o700).create(stage).map_err(NodeError::io("make directory", stage))?;
    durable::directory(&staged())?;
    copy(&Path::new(KUBERNETES).join("pki"), &staged().join("pki"))?;
    copy(Path::new(INIT_PATH), &config())
}

fn config() -> PathBuf {
    Path::new(STAGE).join(CONFIG.trim_start_matches('/'))
}

/// It holds the token.
fn clear_config() -> Result<(), NodeError> {
    durable::remove(&config())
}

/// What will be `/etc/kubernetes`, in the stage.
fn staged() -> PathBuf {
    Path::new(STAGE).join(KUBERNETES.trim_start_matches('/'))
}

/// Runs kubeadm with the stage as its whole file system.
async fn kubeadm(words: &[&str]) -> Result<(), NodeError> {
    let mut command = Command::new("kubeadm");
    command.args(words).args(["--rootfs", STAGE, "--config", CONFIG]);
    program::run(command).await
}

fn exchange(new: &Path, old: &Path) -> Result<(), NodeError> {
    let failed = NodeError::io("put in place", old);
    renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE).map_err(|error| failed(error.into()))?;
    durable::flush_parent(old).map_err(NodeError::io("flush", old))
}

fn flush(path: &Path) -> Result<(), NodeError> {
    let failed = NodeError::io("flush", path);
    let directory = fs::File::open(path).map_err(&failed)?;
    rustix::fs::syncfs(&directory).map_err(|error| failed(error.into()))
}

/// Copies a file or a directory with all that is in it, modes too.
fn copy(from: &Path, to: &Path) -> Result<(), NodeError> {
    let io = |path: &Path| NodeError::io("copy", path);
    let meta = fs::metadata(from).map_err(io(from))?;
    if !meta.is_dir() {
        return fs::copy(from, to).map(drop).map_err(io(from));
    }
    fs::create_dir(to).map_err(io(to))?;
    let mode = Permissions::from_mode(meta.permissions().mode() & 0o7777);
    fs::set_permissions(to, mode).map_err(io(to))?;
    let entries: Vec<PathBuf> = fs::read_dir(from)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(io(from))?;
    entries
        .iter()
        .filter_map(|path| Some((path, path.file_name()?)))
        .try_for_each(|(path, name)| copy(path, &to.join(name)))
}
