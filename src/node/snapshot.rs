//! Snapshots of etcd on a master's disk: one at a time, proven, the oldest gone when there are enough.

use std::fs::{self, Permissions};
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use reqwest::Url;
use serde::Serialize;

use super::durable;
use super::error::NodeError;
use super::etcd::Etcd;
use super::state::State;
use super::up::about;
use crate::clock;
use crate::cluster::EtcdMode;
use crate::digest::Digest;

/// What the names of snapshots begin and end with; between them the time, so that names are in the order of time.
const NAME: (&str, &str) = ("etcd-", ".db");

/// A snapshot that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Its file.
    pub path: PathBuf,
    /// Size of the file in bytes.
    pub size: u64,
    /// SHA-256 of the database in it; the file has it at its end.
    pub sha256: Digest,
    /// Older ones that were removed.
    pub removed: Vec<PathBuf>,
}

/// Takes a snapshot of the cluster's etcd, as a master does: of its own member, or of the first that answers where etcd is
/// elsewhere. The newest `keep` stay, in `snapshots` of the node's state, readable for root alone.
///
/// # Errors
/// This is no master; no etcd answers; the file cannot be written.
pub async fn snapshot(state: &State, keep: NonZeroUsize) -> Result<Taken, NodeError> {
    let node = about::read()?;
    let own = node.address.addr();
    let addresses: Vec<_> = match node.etcd {
        EtcdMode::Stacked => vec![own],
        EtcdMode::External => about::holders(&node).map(|member| member.address).collect(),
    };
    let endpoints = addresses.into_iter().map(about::etcd_url).collect::<Result<Vec<Url>, _>>()?;
    let etcd = Etcd::new(endpoints, &about::credentials(&node)?)?;
    let _alone = state.lock_snapshots()?;
    take(&etcd, &state.snapshots(), keep, clock::now()).await
}

/// Writes a snapshot of `etcd` into `directory`, and removes those beyond the newest `keep`.
///
/// # Errors
/// As [`snapshot`].
pub async fn take(etcd: &Etcd, directory: &Path, keep: NonZeroUsize, now: Timestamp) -> Result<Taken, NodeError> {
    durable::directory(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o700)).map_err(NodeError::io("protect", directory))?;
    let path = directory.join(format!("{}{}{}", NAME.0, now.strftime("%Y%m%dT%H%M%SZ"), NAME.1));
    let written = etcd.snapshot(&path).await?;
    let mut all = list(directory)?;
    // Only ever older ones: a clock that was wrong once must not cost the one just taken.
    all.retain(|other| *other != path);
    let surplus = (all.len() + 1).saturating_sub(keep.get());
    let removed: Vec<PathBuf> = all.into_iter().take(surplus).collect();
    removed.iter().try_for_each(|path| durable::remove(path))?;
    Ok(Taken { path, size: written.size, sha256: written.sha256, removed })
}

/// The snapshots in `directory`, the oldest first. Other files there are nobody's business.
fn list(directory: &Path) -> Result<Vec<PathBuf>, NodeError> {
    let io = NodeError::io("read", directory);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(&io)? {
        let path = entry.map_err(&io)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(NAME.0) && name.ends_with(NAME.1) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
