//! Why a mirror, or all of them, could not serve a repository.

use std::error::Error;
use std::fmt;

use super::apt::release::ReleaseError;
use super::shelve::ShelveError;
use super::yum::repomd::RepomdError;
use crate::exit::{Exit, Explain};
use crate::mirrors::Origin;
use crate::net::address::{JoinError, shown_text};
use crate::net::{Failure, NetError};
use crate::openpgp::OpenPgpError;
use crate::report::{Event, Reporter};
use crate::store::StoreError;

/// Why one mirror could not serve a repository.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Something could not be fetched.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The base of the mirror is no URL.
    #[error(transparent)]
    Address(#[from] JoinError),
    /// There is no signature.
    #[error("the release file has no signature, neither inside it nor beside it")]
    Unsigned,
    /// There is no `repomd.xml.asc`.
    #[error("repomd.xml has no signature beside it")]
    UnsignedRepomd,
    /// No signature counts.
    #[error(transparent)]
    Signature(#[from] OpenPgpError),
    /// The release file does not count.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The repomd.xml does not count.
    #[error(transparent)]
    Repomd(#[from] RepomdError),
    /// An index does not count.
    #[error("{path} cannot be used")]
    Index {
        /// Its path below the base.
        path: String,
        /// Why not.
        source: ShelveError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Work broke down; a defect.
    #[error("reading an index broke down: {0}")]
    Broken(String),
}

impl MirrorError {
    /// Whether no other mirror could help.
    pub fn is_local(&self) -> bool {
        matches!(
            self,
            Self::Store(_)
                | Self::Broken(_)
                | Self::Net(NetError::Store { .. })
                | Self::Index { source: ShelveError::Store(_), .. }
        )
    }

    /// Whether the run has told it already.
    pub fn is_old_news(&self) -> bool {
        match self {
            Self::Net(NetError::Url { source, .. }) => source.is_old_news(),
            Self::Net(NetError::Offline { .. }) => true,
            _ => false,
        }
    }

    fn explain(&self) -> Option<&dyn Explain> {
        Some(match self {
            Self::Net(error) => error,
            Self::Signature(error) => error,
            Self::Release(error) => error,
            Self::Repomd(error) => error,
            Self::Store(error) | Self::Index { source: ShelveError::Store(error), .. } => error,
            Self::Unsigned | Self::UnsignedRepomd | Self::Address(_) | Self::Index { .. } | Self::Broken(_) => {
                return None;
            }
        })
    }
}

impl Explain for MirrorError {
    fn exit(&self) -> Exit {
        match (self.explain(), self) {
            (Some(error), _) => error.exit(),
            (None, Self::Address(_)) => Exit::BadInput,
            (None, Self::Broken(_)) => Exit::Unexpected,
            (None, _) => Exit::Verification,
        }
    }

    fn hint(&self) -> Option<String> {
        self.explain().and_then(Explain::hint)
    }
}

/// One mirror's failure.
#[derive(Debug)]
pub struct Attempt {
    /// Name of the mirror.
    pub mirror: String,
    /// Its base, without credentials.
    pub base: String,
    /// What happened.
    pub error: MirrorError,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let MirrorError::Net(NetError::Url { url, source }) = &self.error {
            let path = url.strip_prefix(&self.base).map_or(url.as_str(), |path| path.trim_start_matches('/'));
            return write!(f, "{} ({}): {path} {source}", self.mirror, self.base);
        }
        write!(f, "{} ({}): {}", self.mirror, self.base, self.error)?;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// The first result of `load` that is good, over `origins` in turn; `source_name` and `part` say what it is. A mirror that fails in
/// any way is left for the next, with a note.
///
/// # Errors
/// No mirror; all failed, each with its reason; this machine failed.
pub async fn first_good<T>(
    source_name: &str,
    part: &str,
    origins: &[Origin],
    reporter: &dyn Reporter,
    load: impl AsyncFn(&Origin) -> Result<T, MirrorError>,
) -> Result<T, RepositoryError> {
    let (source_name, part) = (source_name.to_owned(), part.to_owned());
    if origins.is_empty() {
        return Err(RepositoryError::NoOrigin { source_name, part });
    }
    let mut attempts = Vec::new();
    for origin in origins {
        let error = match load(origin).await {
            Ok(loaded) => return Ok(loaded),
            Err(error) if error.is_local() => return Err(RepositoryError::Local(error)),
            Err(error) => error,
        };
        let attempt = Attempt { mirror: origin.mirror.clone(), base: shown_text(&origin.base), error };
        if attempts.len() + 1 < origins.len() && !attempt.error.is_old_news() {
            let text = format!("{source_name} {part} is left for the next mirror: {attempt}");
            reporter.report(Event::Note { text });
        }
        attempts.push(attempt);
    }
    Err(RepositoryError::Exhausted { source_name, part, attempts })
}

/// A repository that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// None of the mirrors that the cluster file names serves it.
    #[error("none of the chosen mirrors serves the repository {source_name} {part}")]
    NoOrigin {
        /// Name of the source.
        source_name: String,
        /// The suite or other part.
        part: String,
    },
    /// Every mirror failed.
    #[error("no mirror could serve the repository {source_name} {part}{}", list(attempts))]
    Exhausted {
        /// Name of the source.
        source_name: String,
        /// The suite or other part.
        part: String,
        /// What happened, in order of trial.
        attempts: Vec<Attempt>,
    },
    /// A list beside the list of packages that no mirror could serve.
    #[error("the lists of files of the repository {source_name} {part} cannot be had")]
    Lists {
        /// Name of the source.
        source_name: String,
        /// The repository.
        part: String,
        /// What happened.
        source: Box<MirrorError>,
    },
    /// This machine failed, not a mirror.
    #[error(transparent)]
    Local(MirrorError),
}

/// Does work that takes long beside the network's.
///
/// # Errors
/// [`MirrorError::Broken`], where the work broke down; a defect.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, MirrorError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| MirrorError::Broken(error.to_string()))
}

fn all_offline(attempts: &[Attempt]) -> bool {
    attempts.iter().all(|attempt| matches!(attempt.error, MirrorError::Net(NetError::Offline { .. })))
}

fn list(attempts: &[Attempt]) -> String {
    if all_offline(attempts) {
        return ": its lists must come from a mirror, and khimg is offline".to_owned();
    }
    attempts.iter().map(|attempt| format!("\n  {attempt}")).collect()
}

impl Explain for RepositoryError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoOrigin { .. } => Exit::Network,
            // A mirror that lies is worse news than one that is down.
            Self::Exhausted { attempts, .. } => {
                let lied = attempts.iter().any(|attempt| attempt.error.exit() == Exit::Verification);
                if lied { Exit::Verification } else { Exit::Network }
            }
            Self::Lists { source, .. } => source.exit(),
            Self::Local(error) => error.exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoOrigin { source_name, .. } => {
                Some(format!("add a mirror that serves {source_name} to `mirrors` in the cluster file"))
            }
            Self::Exhausted { attempts, .. } if all_offline(attempts) => {
                Some("lock and fetch without `--offline` first: `khimg lock`, `khimg fetch`".to_owned())
            }
            Self::Exhausted { attempts, .. } => {
                let told = attempts.iter().filter(|attempt| attempt.error.exit() == self.exit());
                told.filter_map(|attempt| attempt.error.hint())
                    .next()
                    .or_else(|| Some("try again, or add a mirror to `mirrors` in the cluster file".to_owned()))
            }
            Self::Lists { source, .. } => source.hint(),
            Self::Local(error) => error.hint(),
        }
    }
}

/// Whether a mirror answered that it has no such file. Some stores of objects say 403 for that.
pub fn is_absent(error: &NetError) -> bool {
    match error {
        NetError::Url { source: Failure::Status { status, .. }, .. } => matches!(status.as_u16(), 403 | 404 | 410),
        NetError::Url { source: Failure::File(error), .. } => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}
