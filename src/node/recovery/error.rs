//! Why a cluster cannot be brought back here and now.

use std::path::PathBuf;

use crate::exit::{Exit, Explain};

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// Only where etcd lies on the masters.
    #[error("this node has no etcd that khimg could restore: it is {found}")]
    NoMember {
        /// What it is.
        found: &'static str,
    },
    /// Not a snapshot, or a damaged one.
    #[error("{} is no whole snapshot: {reason}", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The cluster lives, or would in a moment.
    #[error("etcd or khimg still runs on {names}")]
    Alive {
        /// Where.
        names: String,
    },
    /// This node belongs to the living cluster.
    #[error("the cluster lives, with a majority, and counts this node in")]
    Member,
    /// There is no cluster that could take this node in.
    #[error("no other master that answers has a majority, so there is no restored cluster to follow")]
    NobodyToFollow,
    /// A pod's container goes on although it was killed.
    #[error("the container {container} still runs {seconds} s after it was killed")]
    StillRuns {
        /// Its identity.
        container: String,
        /// How long it had.
        seconds: u64,
    },
    /// Something that was started did not come up.
    #[error("{what} did not come up within {seconds} s after the snapshot was restored")]
    NotUp {
        /// What.
        what: &'static str,
        /// How long it had.
        seconds: u64,
    },
}

impl Explain for RecoveryError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoMember { .. } | Self::Alive { .. } | Self::Member => Exit::Unsupported,
            Self::Snapshot { .. } => Exit::Verification,
            Self::NobodyToFollow => Exit::Network,
            Self::StillRuns { .. } | Self::NotUp { .. } => Exit::Unexpected,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoMember { .. } => {
                "where etcd is on nodes of its own, use `etcdutl snapshot restore` there (etcd documentation, \"Disaster recovery\")".to_owned()
            }
            Self::Snapshot { .. } => "take another one: ls -l /var/lib/khimg/snapshots, on every master".to_owned(),
            Self::Alive { names } => {
                format!("a cluster with a majority needs no restoring; if it has none, run `khimg node stop` on {names}, or power it off")
            }
            Self::Member => "a single master that lost its data comes back by itself once its disk is wiped".to_owned(),
            Self::NobodyToFollow => "run `khimg node restore` on one master first, and wait until it is ready".to_owned(),
            Self::StillRuns { .. } => "reboot this machine and run the same command again".to_owned(),
            Self::NotUp { .. } => {
                "see `journalctl -u khimg-node -u kubelet` and the log of etcd below /var/log/pods".to_owned()
            }
        })
    }
}
