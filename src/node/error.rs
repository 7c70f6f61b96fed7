//! What can go wrong on a node.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::call::CallError;
use super::record::Change;
use super::recovery::RecoveryError;
use super::renewal::RenewalError;
use crate::digest::Digest;
use crate::exit::{Exit, Explain};
use crate::inspect::InspectError;
use crate::secrets::SecretsError;

/// A failure on a node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The file system refused something.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Two at once.
    #[error("another khimg is at work on this node")]
    Busy,
    /// The bundle cannot be read, or contradicts itself.
    #[error("the bundle cannot be installed")]
    Bundle {
        /// Why not.
        source: InspectError,
    },
    /// The bundle is another one.
    #[error("{path} is not the bundle that was asked for: expected {expected}, but it has {actual}")]
    Digest {
        /// The file.
        path: PathBuf,
        /// The digest that was given.
        expected: Digest,
        /// The digest that it has.
        actual: Digest,
    },
    /// The bundle is for another machine.
    #[error("the bundle is for {wanted}, and this machine is {found}")]
    Target {
        /// What the bundle is for.
        wanted: String,
        /// What the machine is.
        found: String,
    },
    /// An unpacked bundle is not what it was.
    #[error("{path} was damaged: it has {actual} instead of {expected}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it must have.
        expected: Digest,
        /// What it has.
        actual: Digest,
    },
    /// The record is unreadable.
    #[error("{path} is no record of what is installed: {reason}")]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A directory or a device stands where a file belongs.
    #[error("{path} is {found}, and a file of the bundle belongs there")]
    Occupied {
        /// Where.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// A program failed.
    #[error("{command} failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// A package of another package manager than the machine's.
    #[error(
        "{file} cannot be installed here: that takes a Debian package and a system with apt, or an rpm package and one with rpm"
    )]
    Package {
        /// The package's file.
        file: String,
    },
    /// A bundle that was named by its digest alone is not unpacked on this machine.
    #[error("the bundle {sha256} is not unpacked on this machine")]
    NotHere {
        /// Its digest.
        sha256: Digest,
    },
    /// There is no bundle before this one.
    #[error("there is no earlier bundle to go back to")]
    NothingBefore,
    /// A bundle that was unpacked is gone.
    #[error("the unpacked bundle {path} is gone, and the node is in the middle of a change")]
    Gone {
        /// Its directory.
        path: PathBuf,
        /// Which change.
        change: Change,
    },
    /// A certificate cannot be issued.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The node's own certificate cannot be used.
    #[error("this node cannot show who it is to the others: {reason}")]
    Identity {
        /// Why not.
        reason: String,
    },
    /// Nothing can be served.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// No member of etcd that can be reached has a majority.
    #[error("no member of the cluster's etcd that answers has a majority")]
    NoMajority,
    /// Something that was started did not come up.
    #[error("{what} has not started within {seconds} s")]
    NotStarted {
        /// What.
        what: &'static str,
        /// How long it had.
        seconds: u64,
    },
    /// Something that was told to end goes on.
    #[error("{what} still runs after {seconds} s")]
    NotStopped {
        /// What.
        what: &'static str,
        /// How long it had.
        seconds: u64,
    },
    /// A cluster cannot be brought back.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// Certificates are not renewed.
    #[error(transparent)]
    Renewal(#[from] RenewalError),
    /// Others were faster again and again.
    #[error("the {what} was changed by others {tries} times while this node tried to")]
    Contended {
        /// Which object.
        what: &'static str,
        /// How often this node tried.
        tries: u32,
    },
    /// A server of the cluster gave no useful answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl NodeError {
    /// An error of the file system about `path`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }
}

impl Explain for NodeError {
    fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } | Self::Busy | Self::Record { .. } | Self::Occupied { .. } | Self::Gone { .. } => {
                Exit::LocalIo
            }
            Self::Bundle { source } => source.exit(),
            Self::Call(source) => source.exit(),
            Self::Recovery(source) => source.exit(),
            Self::Renewal(source) => source.exit(),
            Self::Contended { .. } => Exit::Network,
            Self::Digest { .. } | Self::Damaged { .. } => Exit::Verification,
            Self::Target { .. } | Self::Package { .. } => Exit::Unsupported,
            Self::NothingBefore | Self::NotHere { .. } => Exit::BadInput,
            Self::Command { .. } | Self::Identity { .. } | Self::NotStarted { .. } | Self::NotStopped { .. } => {
                Exit::Unexpected
            }
            Self::Secrets(source) => source.exit(),
            Self::Listen { .. } | Self::NoMajority => Exit::Network,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "make room on this file system and run the same command again".to_owned()
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => "run khimg node as root".to_owned(),
            Self::Busy => "wait until it ends, or see `khimg node status`".to_owned(),
            Self::Bundle { source } => return source.hint(),
            Self::Call(source) => return source.hint(),
            Self::Recovery(source) => return source.hint(),
            Self::Renewal(source) => return source.hint(),
            Self::Digest { .. } => {
                "copy the bundle again from where it was built, or give the digest that dist/public/manifest.json has for it".to_owned()
            }
            Self::Damaged { path, .. } => format!("remove {} and run `khimg node install` again", bundle_of(path).display()),
            Self::Record { path, .. } => format!("move {} away and run `khimg node install` again", path.display()),
            Self::Occupied { path, .. } => format!("move {} away and run the same command again", path.display()),
            Self::Target { .. } => "build a bundle for this target: set `target` of the node in the cluster file".to_owned(),
            Self::Package { .. } => "install this bundle on the system that it names in bundle.json".to_owned(),
            Self::NotHere { .. } => "name the bundle's file, too".to_owned(),
            Self::NothingBefore => "install the wanted bundle with `khimg node install`".to_owned(),
            Self::Gone { change: Change::Install, .. } => "run `khimg node install` with the bundle's file again".to_owned(),
            Self::Gone { change: Change::Undo, .. } => "run `khimg node install` with the wanted bundle's file".to_owned(),
            Self::Secrets(source) => return source.hint(),
            Self::Listen { address, .. } => format!("see who listens there: ss -ltnp 'sport = :{}'", address.port()),
            Self::NotStopped { what, .. } => format!("end {what}: kill -KILL $(pidof {what})"),
            Self::NotStarted { what, .. } => format!("see `journalctl -u kubelet` and the log of {what} below /var/log/pods"),
            Self::Contended { .. } => "run the same command again".to_owned(),
            Self::Io { .. } | Self::Command { .. } | Self::Identity { .. } | Self::NoMajority => return None,
        })
    }
}

/// The directory of the unpacked bundle that `path` is in.
fn bundle_of(path: &Path) -> &Path {
    let is_bundle = |at: &&Path| at.parent().and_then(Path::file_name).is_some_and(|name| name == "bundles");
    path.ancestors().find(is_bundle).unwrap_or(path)
}
