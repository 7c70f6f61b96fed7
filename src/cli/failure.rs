//! Any stage's error, with what it needs to be told well.

use std::fmt;

use khimg::exit::{Exit, Explain};

/// Why a command failed.
pub struct Failure(Box<dyn Explain>);

impl Failure {
    pub fn exit(&self) -> Exit {
        self.0.exit()
    }

    pub fn is_report(&self) -> bool {
        self.0.is_report()
    }

    pub fn hint(&self) -> Option<String> {
        self.0.hint()
    }

    /// The message and its causes, outermost first.
    pub fn chain(&self) -> Vec<String> {
        let mut chain = vec![self.0.to_string()];
        let mut source = self.0.source();
        while let Some(cause) = source {
            chain.push(cause.to_string());
            source = cause.source();
        }
        chain
    }
}

impl<E: Explain + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain().join(": "))
    }
}

/// A failure of the command line itself.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("cannot write {path}")]
    Write { path: String, source: std::io::Error },
    #[error("cannot read {path}")]
    Read { path: String, source: std::io::Error },
    #[error("the standard input holds no bootstrap token")]
    NoToken,
    #[error("{path} already exists")]
    Exists { path: String },
    #[error("there is no {what} {name:?}")]
    Unknown { what: &'static str, name: String, known: Vec<String> },
    #[error("cannot start the worker threads")]
    Runtime(#[source] std::io::Error),
    #[error("cannot find out where the running program lies")]
    Program(#[source] std::io::Error),
    #[error("cannot enter {path}")]
    Root { path: String, source: std::io::Error },
    #[error("{failed} checks failed")]
    Unfit { failed: usize },
    #[error("interrupted")]
    Interrupted,
    #[error("the user's cache directory is not known")]
    NoCache,
    #[error("the user's state directory is not known")]
    NoState,
    #[error("cannot start {program}")]
    Start { program: &'static str, source: std::io::Error },
}

impl Explain for CommandError {
    fn exit(&self) -> Exit {
        match self {
            Self::Write { .. } | Self::Read { .. } | Self::Root { .. } | Self::Start { .. } => Exit::LocalIo,
            Self::Unfit { .. } => Exit::Unsupported,
            Self::Exists { .. } | Self::NoToken | Self::Unknown { .. } | Self::NoCache | Self::NoState => {
                Exit::BadInput
            }
            Self::Runtime(_) | Self::Program(_) | Self::Interrupted => Exit::Unexpected,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { path } => Some(format!("move {path} away, or name another place")),
            Self::Unknown { known, .. } => Some(format!("one of: {}", known.join(", "))),
            Self::Interrupted => Some("run the same command again: what was fetched is kept".to_owned()),
            Self::NoCache => Some("set KHIMG_STORE or pass --store DIR".to_owned()),
            Self::NoState => Some("set XDG_STATE_HOME or pass --dir DIR".to_owned()),
            Self::Start { .. } => Some("install the package that has it".to_owned()),
            Self::Program(_) => Some("pass `--program ARCH=FILE`".to_owned()),
            Self::Root { .. } => Some("run khimg node as root, with the directory of a whole system".to_owned()),
            Self::Unfit { .. } => Some("each failed check says what to do".to_owned()),
            Self::NoToken => Some("give it what `khimg secrets show --token` prints".to_owned()),
            Self::Write { .. } | Self::Read { .. } | Self::Runtime(_) => None,
        }
    }
}
