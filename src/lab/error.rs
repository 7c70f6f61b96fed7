//! What can go wrong in a lab.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::exit::{Exit, Explain};

/// A failure of a rehearsal.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Namespaces, mounts and cgroups belong to root.
    #[error("khimg lab needs root")]
    NotRoot,
    /// Programs of the system that are not there.
    #[error("programs are missing on this machine: {}", list(programs))]
    Missing {
        /// The programs.
        programs: Vec<&'static str>,
        /// Debian's packages that have them.
        packages: BTreeSet<&'static str>,
    },
    /// A lab of this name is there already.
    #[error("there is a lab {name:?} already, in {}", path.display())]
    Exists {
        /// Its name.
        name: String,
        /// Its directory.
        path: PathBuf,
    },
    /// There is no lab of this name.
    #[error("there is no lab {name:?} in {}", path.display())]
    NoLab {
        /// The name.
        name: String,
        /// The directory of labs.
        path: PathBuf,
    },
    /// The directory is not a lab's.
    #[error("{} is not a lab: {reason}", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Another khimg changes this lab.
    #[error("another khimg is at work on the lab {name:?}")]
    Busy {
        /// The lab's name.
        name: String,
    },
    /// A name that cannot be one.
    #[error("{name:?} cannot be the name of a lab")]
    BadName {
        /// The name.
        name: String,
    },
    /// The delivery cannot be rehearsed.
    #[error("{} cannot be rehearsed: {reason}", path.display())]
    Dist {
        /// The delivery's directory, or a file of it.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// There is no such node.
    #[error("the lab has no node {name:?}")]
    NoNode {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The node has no power.
    #[error("{node} is off")]
    Off {
        /// The node.
        node: String,
    },
    /// The node has power already.
    #[error("{node} is on already")]
    On {
        /// The node.
        node: String,
    },
    /// The machine or its kernel cannot do it.
    #[error("{what}")]
    Unsupported {
        /// What cannot be done, and why.
        what: String,
        /// What would help.
        remedy: Option<String>,
    },
    /// A node has nothing of this name that runs.
    #[error("nothing called {service:?} runs on {node}")]
    NoService {
        /// The node.
        node: String,
        /// The program's or the unit's name.
        service: String,
    },
    /// The file system refused something.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program failed.
    #[error("{command} failed ({status}): {output}")]
    Program {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// A container did not come up.
    #[error("{node} did not boot: {reason}")]
    Boot {
        /// The node.
        node: String,
        /// The end of its console, or how it ended.
        reason: String,
    },
    /// Processes that do not go.
    #[error("processes of {node} do not end: {pids:?}")]
    Alive {
        /// The node.
        node: String,
        /// Their numbers.
        pids: Vec<i32>,
    },
    /// Time ran out.
    #[error("not ready after {seconds} s: {}", waiting.join("; "))]
    NotReady {
        /// How long it was waited.
        seconds: u64,
        /// Each node that is not ready, with what it says.
        waiting: Vec<String>,
    },
    /// The user wanted no more.
    #[error("interrupted")]
    Interrupted,
}

fn list(programs: &[&str]) -> String {
    programs.join(", ")
}

impl LabError {
    /// An error of the file system about `path`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }

    /// A delivery that cannot be used.
    pub(super) fn dist(path: &Path, reason: impl Into<String>) -> Self {
        Self::Dist { path: path.to_owned(), reason: reason.into() }
    }
}

impl Explain for LabError {
    fn exit(&self) -> Exit {
        match self {
            Self::Exists { .. }
            | Self::NoLab { .. }
            | Self::Foreign { .. }
            | Self::BadName { .. }
            | Self::Dist { .. }
            | Self::NoNode { .. }
            | Self::NoService { .. }
            | Self::Off { .. }
            | Self::On { .. } => Exit::BadInput,
            Self::NotRoot | Self::Missing { .. } | Self::Unsupported { .. } => Exit::Unsupported,
            Self::Io { .. } | Self::Busy { .. } => Exit::LocalIo,
            Self::Program { .. }
            | Self::Boot { .. }
            | Self::Alive { .. }
            | Self::NotReady { .. }
            | Self::Interrupted => Exit::Unexpected,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotRoot => "run the same command as root".to_owned(),
            Self::Missing { packages, .. } => {
                let packages: Vec<&str> = packages.iter().copied().collect();
                format!("apt-get install --no-install-recommends {}", packages.join(" "))
            }
            Self::Exists { name, .. } => format!("`khimg lab down --name {name}` removes it, or choose another --name"),
            Self::NoLab { .. } => "`khimg lab up` starts one".to_owned(),
            Self::Foreign { .. } => "name another directory with --dir".to_owned(),
            Self::Busy { .. } => "wait until it ends".to_owned(),
            Self::BadName { .. } => "take lower-case letters, digits and hyphens, at most 32".to_owned(),
            Self::Dist { .. } => "build it anew with `khimg build`, for all nodes of the cluster".to_owned(),
            Self::NoNode { known, .. } => format!("one of: {}", known.join(", ")),
            Self::Off { node } => format!("`khimg lab fault power-on {node}` turns it on"),
            Self::On { node } => format!("`khimg lab fault power-off {node}` turns it off"),
            Self::Unsupported { remedy, .. } => return remedy.clone(),
            Self::NoService { node, .. } => format!("`khimg lab exec {node} -- ps ax` or `systemctl` there shows what runs"),
            Self::Boot { node, .. } => format!("the whole console is in nodes/{node}/console.log of the lab's directory"),
            Self::NotReady { .. } => {
                "the lab is still up: `khimg lab status`, `khimg lab exec NODE -- journalctl -b`; `khimg lab down` removes it"
                    .to_owned()
            }
            Self::Alive { .. } => "end them by hand, then run `khimg lab down` again".to_owned(),
            Self::Interrupted => "`khimg lab up` starts again from the beginning".to_owned(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "make room on this file system, or name another directory with --dir".to_owned()
            }
            Self::Io { .. } | Self::Program { .. } => return None,
        })
    }
}
