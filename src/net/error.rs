//! What can go wrong on the way: one failure of one mirror, and the end of all mirrors.

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::redirect::RedirectError;
use crate::digest::Digest;
use crate::exit::{Exit, Explain};
use crate::store::StoreError;

/// A failure of the network, of a mirror, or of all of them.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The CA file is of no use.
    #[error("cannot use the certificates in {path}: {reason}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The network is forbidden.
    #[error("{what} is needed from {url}, but khimg is offline")]
    Offline {
        /// What was wanted.
        what: String,
        /// From where.
        url: String,
    },
    /// One URL could not be read.
    #[error("cannot read {url}")]
    Url {
        /// The URL, without credentials.
        url: String,
        /// Why not.
        source: Failure,
    },
    /// Nobody serves it.
    #[error("no mirror is known for {label}")]
    NoMirror {
        /// What was wanted.
        label: String,
    },
    /// Every mirror was tried.
    #[error("no mirror could serve {label} ({digest}){}", listed(.attempts))]
    Exhausted {
        /// What was wanted.
        label: String,
        /// Its digest.
        digest: Digest,
        /// Each mirror's last failure, in order of trial.
        attempts: Vec<Attempt>,
    },
    /// The store could not take the bytes.
    #[error("cannot store {label}")]
    Store {
        /// What was wanted.
        label: String,
        /// Why not.
        source: StoreError,
    },
}

/// One mirror's last failure.
#[derive(Debug)]
pub struct Attempt {
    /// The mirror's name.
    pub mirror: String,
    /// The URL, without credentials.
    pub url: String,
    /// What happened.
    pub failure: Failure,
}

/// Why one URL did not deliver.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection: no such name, no route, nobody listens, no trusted certificate.
    #[error("cannot be reached: {}", innermost(.0))]
    Unreachable(reqwest::Error),
    /// It could not be reached a moment ago.
    #[error("could not be reached before: {0}")]
    Dead(String),
    /// The network is forbidden.
    #[error("needs the network, but khimg is offline")]
    Offline,
    /// An answer other than success.
    #[error("answers {status}")]
    Status {
        /// The HTTP status with its reason.
        status: reqwest::StatusCode,
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
    },
    /// A redirect that is not followed.
    #[error("{0}")]
    Redirect(RedirectError),
    /// Silence for too long.
    #[error("was silent for too long")]
    Silent,
    /// The answer broke off.
    #[error("broke off: {}", causes(.0))]
    Broken(reqwest::Error),
    /// The answer ended early.
    #[error("ended after {actual} of {expected} bytes")]
    Short {
        /// How many bytes there should be.
        expected: u64,
        /// How many came.
        actual: u64,
    },
    /// Below the floor.
    #[error("is too slow ({speed} bytes per second)")]
    Slow {
        /// Bytes per second.
        speed: u64,
    },
    /// More than there may be.
    #[error("has more than the {limit} bytes that it may have")]
    TooLong {
        /// How many bytes there may be.
        limit: u64,
    },
    /// The server announces another size.
    #[error("has {actual} bytes instead of {expected}")]
    WrongSize {
        /// The right size.
        expected: u64,
        /// The announced size.
        actual: u64,
    },
    /// Complete, and wrong.
    #[error("has {actual} instead of {expected}")]
    WrongDigest {
        /// The right digest.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// An answer to another range than was asked for.
    #[error("was asked for the bytes from {offset} on and answered with {answer:?}")]
    WrongRange {
        /// Where the answer should begin.
        offset: u64,
        /// Its `Content-Range`.
        answer: String,
    },
    /// A URL that cannot be used.
    #[error("is not usable: {0}")]
    BadUrl(&'static str),
    /// The HTTP client cannot be set up.
    #[error("cannot be asked: the HTTP client does not start: {0}")]
    Client(String),
    /// A request that cannot be sent, such as one with a header that is none.
    #[error("cannot be asked: {}", causes(.0))]
    Request(reqwest::Error),
    /// A local file cannot be read.
    #[error("cannot be read: {0}")]
    File(std::io::Error),
}

impl Failure {
    /// Whether trying the same URL again is pointless.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                !(status.is_server_error() || matches!(status.as_u16(), 408 | 416 | 425 | 429))
            }
            Self::Unreachable(_)
            | Self::Dead(_)
            | Self::Silent
            | Self::Broken(_)
            | Self::Short { .. }
            | Self::Slow { .. }
            | Self::WrongRange { .. } => false,
            Self::Offline
            | Self::Redirect(_)
            | Self::TooLong { .. }
            | Self::WrongSize { .. }
            | Self::WrongDigest { .. }
            | Self::BadUrl(_)
            | Self::Client(_)
            | Self::Request(_)
            | Self::File(_) => true,
        }
    }

    /// Whether the run has told it already: for the whole host, or by being offline at all.
    pub fn is_old_news(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Dead(_) | Self::Offline)
    }

    /// Whether the mirror delivered, but the wrong bytes.
    pub fn is_wrong_bytes(&self) -> bool {
        matches!(self, Self::TooLong { .. } | Self::WrongSize { .. } | Self::WrongDigest { .. })
    }

    /// How long the server asked to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Sorts an error of the HTTP client; what it says about the URL is dropped, it may hold credentials.
    pub(super) fn of(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let refused = chain(&error).find_map(|cause| cause.downcast_ref::<RedirectError>()).copied();
        match refused {
            Some(refused) => Self::Redirect(refused),
            None if error.is_connect() => Self::Unreachable(error),
            None if error.is_timeout() => Self::Silent,
            None if error.is_builder() => Self::Request(error),
            None => Self::Broken(error),
        }
    }
}

impl NetError {
    fn all_wrong(attempts: &[Attempt]) -> bool {
        !attempts.is_empty() && attempts.iter().all(|attempt| attempt.failure.is_wrong_bytes())
    }
}

impl Explain for NetError {
    fn exit(&self) -> Exit {
        match self {
            Self::CaFile { .. } => Exit::BadInput,
            Self::Offline { .. } | Self::NoMirror { .. } => Exit::Network,
            Self::Url { source, .. } if source.is_wrong_bytes() => Exit::Verification,
            Self::Exhausted { attempts, .. } if Self::all_wrong(attempts) => Exit::Verification,
            Self::Url { .. } | Self::Exhausted { .. } => Exit::Network,
            Self::Store { source, .. } => source.exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::CaFile { .. } => Some("give a file with PEM certificates: `--ca-file FILE`".to_owned()),
            Self::Offline { .. } => Some("run the command without `--offline`, or fill the store first: `khimg fetch`".to_owned()),
            Self::NoMirror { .. } => Some("add a mirror that serves it to `mirrors` in the cluster file".to_owned()),
            Self::Exhausted { attempts, .. } if Self::all_wrong(attempts) => Some(
                "if it was replaced upstream, lock again with `khimg lock --upgrade`; otherwise do not trust these mirrors"
                    .to_owned(),
            ),
            Self::Exhausted { .. } => Some(
                "try again, or add a mirror to `mirrors` in the cluster file; what was fetched so far is kept".to_owned(),
            ),
            Self::Url { .. } => None,
            Self::Store { source, .. } => source.hint(),
        }
    }
}

fn listed(attempts: &[Attempt]) -> String {
    let mut text = String::new();
    for Attempt { mirror, url, failure } in attempts {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {mirror}: {url} {failure}");
    }
    text
}

/// An error and all its causes in one line.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in chain(error) {
        let part = cause.to_string();
        if parts.last().is_none_or(|last| !last.contains(&part)) {
            parts.push(part);
        }
    }
    parts.join(": ")
}

/// The cause that all others wrap: the one that tells people something.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause: &&'a (dyn Error + 'static)| (*cause).source())
}
