//! The directories of a machine whose contents outlive its root: each is one of the data partition, bound to its place.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::mount_bind;

use super::error::DataError;
use crate::node::command;

/// What kubelet, etcd, the runtimes, the pod network and khimg keep, and what led to a power cut. Not what describes the root:
/// that comes with the root. A directory that is there already keeps its mode.
const DIRECTORIES: [(&str, u32); 18] = [
    ("/etc/cni/net.d", 0o755),
    ("/etc/kubernetes", 0o755),
    ("/var/lib/calico", 0o755),
    ("/var/lib/chrony", 0o750),
    ("/var/lib/cilium", 0o755),
    ("/var/lib/cni", 0o755),
    ("/var/lib/containerd", 0o711),
    ("/var/lib/cri-dockerd", 0o755),
    ("/var/lib/docker", 0o710),
    ("/var/lib/dockershim", 0o755),
    ("/var/lib/etcd", 0o700),
    ("/var/lib/khimg/membership", 0o755),
    ("/var/lib/khimg/renewal", 0o755),
    ("/var/lib/khimg/snapshots", 0o700),
    ("/var/lib/kubelet", 0o750),
    ("/var/lib/systemd", 0o755),
    ("/var/log/journal", 0o755),
    ("/var/log/pods", 0o755),
];

/// Binds all of them to what is below `data`.
pub(super) fn bind(data: &Path) -> Result<(), DataError> {
    for (place, mode) in DIRECTORIES {
        let place = Path::new(place);
        let kept = kept(data, place);
        directory(place, mode)?;
        directory(&kept, mode)?;
        // What the root brings there is newer than what an older root brought.
        let brings = fs::read_dir(place).map_err(DataError::io("read", place))?.next().is_some();
        if brings {
            let mut copy = Command::new("cp");
            copy.args(["--archive", "--remove-destination", "--no-target-directory"]).arg(place).arg(&kept);
            command::run(&mut copy)?;
        }
        mount_bind(&kept, place).map_err(|error| DataError::io("bind", place)(error.into()))?;
    }
    Ok(())
}

/// Where a directory is kept.
fn kept(data: &Path, place: &Path) -> PathBuf {
    data.join("state").join(place.strip_prefix("/").unwrap_or(place))
}

/// Makes a directory, and those above it.
pub(super) fn directory(path: &Path, mode: u32) -> Result<(), DataError> {
    let failed = DataError::io("make directory", path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(&failed)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(failed(error)),
    }
}
