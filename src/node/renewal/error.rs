//! Why certificates are not renewed.

use std::path::PathBuf;

use crate::exit::{Exit, Explain};

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// There is nothing to renew.
    #[error("this node has no control plane whose certificates could be renewed")]
    NoMaster,
    /// One at a time.
    #[error("{other} renews its certificates at the moment")]
    NotMyTurn {
        /// Who.
        other: String,
    },
    /// A restart would cost the majority.
    #[error("the API server of {name} is not well, and the certificates here are good for {days} more days")]
    Unwell {
        /// Where.
        name: String,
        /// For how long there is time.
        days: i64,
    },
    /// kubeadm left one out.
    #[error("kubeadm has not renewed {}", path.display())]
    Missed {
        /// Which.
        path: PathBuf,
    },
    /// The pod stays away.
    #[error("{pod} has not come up again within {seconds} s with the new certificates")]
    NotUp {
        /// Which.
        pod: String,
        /// How long it had.
        seconds: u64,
    },
}

impl Explain for RenewalError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoMaster => Exit::BadInput,
            Self::NotMyTurn { .. } | Self::Unwell { .. } => Exit::Unsupported,
            Self::NotUp { .. } | Self::Missed { .. } => Exit::Unexpected,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoMaster => "run it on a master".to_owned(),
            Self::NotMyTurn { .. } => "wait; khimg-renew.timer tries again by itself".to_owned(),
            Self::Unwell { name, .. } => {
                format!("bring {name} back; in the last seven days its state is not asked for any more")
            }
            Self::Missed { path } => format!("nothing was changed; see with openssl what {} is", path.display()),
            Self::NotUp { .. } => "see `journalctl -u kubelet` and the pod's log below /var/log/pods".to_owned(),
        })
    }
}
