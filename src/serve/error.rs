//! Why nothing is served.

use std::io;
use std::path::{Path, PathBuf};

use crate::exit::{Exit, Explain};
use crate::inspect::InspectError;
use crate::render::{OverlayError, RenderError};

/// A failure of the servers themselves. What a client does wrong is answered, not failed of.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// There is no depot.
    #[error(transparent)]
    Depot(#[from] InspectError),
    /// The record of what was handed out cannot be kept, without which no secret leaves.
    #[error("cannot {action} the record {path}")]
    Ledger {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The record was written by something else.
    #[error("line {line} of the record {path} cannot be understood")]
    Record {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// A node that the cluster file does not have.
    #[error("the cluster has no node {name:?}")]
    NoNode {
        /// The name.
        name: String,
    },
    /// A socket.
    #[error("cannot listen on {what}")]
    Listen {
        /// Address, protocol, interface.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// Certificate or key.
    #[error("{path} cannot be used for TLS: {reason}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Files for other servers go to a directory of their own.
    #[error("{path} holds something already")]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// Where the other server will be is not said in a way that its configuration could say it.
    #[error("{url:?} is not http://ADDRESS or http://ADDRESS:PORT")]
    BadUrl {
        /// What was said.
        url: String,
    },
    /// A configuration for another server cannot be made.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The shipped files are broken.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// There is nothing that a machine could load first.
    #[error("{path} has no boot program of iPXE")]
    NoPrograms {
        /// The directory.
        path: PathBuf,
    },
    /// A file or a directory that the user named.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl ServeError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    pub(super) fn ledger(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Ledger { action, path, source }
    }
}

impl Explain for ServeError {
    fn exit(&self) -> Exit {
        match self {
            Self::Depot(source) => source.exit(),
            Self::Ledger { .. } | Self::Io { .. } => Exit::LocalIo,
            Self::Record { .. } | Self::NoNode { .. } | Self::Tls { .. } | Self::NoPrograms { .. } => Exit::BadInput,
            Self::Occupied { .. } | Self::BadUrl { .. } => Exit::BadInput,
            Self::Render(source) => source.exit(),
            Self::Overlay(source) => source.exit(),
            Self::Listen { .. } => Exit::Network,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Depot(_) => Some("run `khimg build` first, or name its directory with `--dist`".to_owned()),
            Self::Record { path, .. } => {
                Some(format!("move {} away: every seed can then be fetched once more", path.display()))
            }
            Self::Listen { source, .. } => Some(match source.kind() {
                io::ErrorKind::AddrInUse => "another server has it: stop that one, or name another port".to_owned(),
                io::ErrorKind::PermissionDenied => "ports below 1024 and a chosen interface need root".to_owned(),
                _ => "`ip address` lists interfaces and addresses".to_owned(),
            }),
            Self::Tls { .. } => Some("both are PEM: the certificate with its chain, and its key".to_owned()),
            Self::NoPrograms { .. } => Some(
                "install Debian's package `ipxe`, or name a directory with undionly.kpxe or ipxe.efi by `--ipxe`"
                    .to_owned(),
            ),
            Self::Occupied { path } => Some(format!("name another directory, or remove {}", path.display())),
            Self::BadUrl { .. } => {
                Some("write where machines reach the web server, such as http://192.168.30.2".to_owned())
            }
            Self::Render(source) => source.hint(),
            Self::Overlay(source) => source.hint(),
            Self::NoNode { .. } | Self::Ledger { .. } | Self::Io { .. } => None,
        }
    }
}
