//! What can go wrong with a registry, and what to do about it.

use crate::arch::Arch;
use crate::digest::Digest;
use crate::exit::{Exit, Explain};
use crate::net::NetError;
use crate::store::StoreError;

/// A registry, or all of them, could not serve what is needed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The catalogue or the cluster file names a place that cannot exist.
    #[error("{base:?} with repository {repository:?} is no place in a registry")]
    Base {
        /// The base, as written.
        base: String,
        /// The repository.
        repository: String,
    },
    /// Not a tag by the reference grammar.
    #[error("{tag:?} is not a tag")]
    Tag {
        /// The text.
        tag: String,
    },
    /// No mirror of the cluster's list serves the source at all.
    #[error("no mirror of this cluster serves {image}")]
    NoMirror {
        /// The image.
        image: String,
    },
    /// The registry wants a name and a password.
    #[error("{url} wants a name and a password")]
    LoginNeeded {
        /// What was asked for.
        url: String,
    },
    /// The registry refuses what it got.
    #[error("{url} refuses access (HTTP {status})")]
    Refused {
        /// What was asked for.
        url: String,
        /// 401 or 403.
        status: u16,
    },
    /// 401 without a challenge that khimg knows how to answer.
    #[error("{url} asks for a way of authentication that is neither Bearer nor Basic")]
    Challenge {
        /// What was asked for.
        url: String,
    },
    /// A registry with TLS sends its clients to fetch tokens without.
    #[error("{url} wants a token from {realm}, which is not encrypted")]
    PlainRealm {
        /// What was asked for.
        url: String,
        /// The address of tokens.
        realm: String,
    },
    /// The address of tokens gave none.
    #[error("{realm} gave no usable token: {reason}")]
    Token {
        /// The address of tokens.
        realm: String,
        /// What was wrong; never part of a token.
        reason: String,
    },
    /// The registry does not have it.
    #[error("{url} does not exist")]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// Any other answer that is not a success.
    #[error("{url} answered HTTP {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
    },
    /// An upload was begun, and the registry does not say where it goes on.
    #[error("{url} does not say where an upload goes on")]
    Location {
        /// What was asked for.
        url: String,
    },
    /// The bytes are not those that were asked for.
    #[error("{url} served {actual} instead of {expected}")]
    WrongDigest {
        /// What was asked for.
        url: String,
        /// The digest in the lock, the index or the registry's own header.
        expected: Digest,
        /// That of the bytes.
        actual: Digest,
    },
    /// The bytes are right and yet not as many as their descriptor says.
    #[error("{url} has {actual} bytes, but its descriptor says {expected}")]
    WrongSize {
        /// What was asked for.
        url: String,
        /// Size in the descriptor.
        expected: u64,
        /// How many there are.
        actual: u64,
    },
    /// The lock and the store disagree, though the digest is the same: the lock was changed by hand.
    #[error("the lock says that {digest} has {expected} bytes; it has {actual}")]
    LockedSize {
        /// The blob.
        digest: Digest,
        /// Size in the lock.
        expected: u64,
        /// How many there are.
        actual: u64,
    },
    /// Larger than such a document may be.
    #[error("{url} names a document of {size} bytes; the limit is {limit}")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// Size by its descriptor.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The format that docker used until 2017, without digests of layers as they are stored.
    #[error("{url} is an image in docker's old schema 1, which no current runtime can use")]
    Schema1 {
        /// What was asked for.
        url: String,
    },
    /// Not an image, or not one that a container runtime can unpack.
    #[error("{url} is or holds {media_type:?}, which is no part of a container image that khimg can use")]
    MediaType {
        /// What was asked for.
        url: String,
        /// What it is.
        media_type: String,
    },
    /// Not JSON, or not of the shape that its type has.
    #[error("{url} is not a valid manifest or configuration")]
    Malformed {
        /// What was asked for.
        url: String,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// A digest of another algorithm.
    #[error("{url} names {digest:?}; only sha256 can be pinned")]
    Algorithm {
        /// What was asked for.
        url: String,
        /// The digest.
        digest: String,
    },
    /// The image does not run on the target.
    #[error("{url} has nothing for linux/{arch}, only: {offered}")]
    NoPlatform {
        /// What was asked for.
        url: String,
        /// The target.
        arch: Arch,
        /// What there is.
        offered: String,
    },
    /// Manifest and configuration contradict each other.
    #[error("{url} has {layers} layers, but its configuration describes {described}")]
    Layers {
        /// What was asked for.
        url: String,
        /// Layers of the manifest.
        layers: usize,
        /// Layers of the configuration.
        described: usize,
    },
    /// The request failed.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// All places were tried.
    #[error("no mirror could serve {what}:{}", list(attempts))]
    AllFailed {
        /// What was wanted.
        what: String,
        /// Mirror and failure, in order of trial; never empty.
        attempts: Vec<(String, RegistryError)>,
    },
}

fn list(attempts: &[(String, RegistryError)]) -> String {
    attempts.iter().fold(String::new(), |text, (mirror, error)| {
        let cause = std::error::Error::source(error).map(|cause| format!(" ({cause})")).unwrap_or_default();
        format!("{text}\n  {mirror}: {error}{cause}")
    })
}

impl RegistryError {
    /// The failures of all places; of none, if there was no place to ask.
    pub(super) fn all_failed(what: String, attempts: Vec<(String, Self)>) -> Self {
        if attempts.is_empty() { Self::NoMirror { image: what } } else { Self::AllFailed { what, attempts } }
    }

    /// Whether another place cannot help either, because this machine is at fault.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Tag { .. })
    }
}

impl Explain for RegistryError {
    fn exit(&self) -> Exit {
        match self {
            Self::Base { .. } | Self::Tag { .. } | Self::NoMirror { .. } => Exit::BadInput,
            Self::NoPlatform { .. } | Self::Schema1 { .. } | Self::Algorithm { .. } => Exit::Unsupported,
            Self::LoginNeeded { .. }
            | Self::Refused { .. }
            | Self::Challenge { .. }
            | Self::PlainRealm { .. }
            | Self::Token { .. }
            | Self::NotFound { .. }
            | Self::Location { .. }
            | Self::Status { .. } => Exit::Network,
            Self::WrongDigest { .. }
            | Self::WrongSize { .. }
            | Self::TooLarge { .. }
            | Self::LockedSize { .. }
            | Self::MediaType { .. }
            | Self::Malformed { .. }
            | Self::Layers { .. } => Exit::Verification,
            Self::Net(error) => error.exit(),
            Self::Store(error) => error.exit(),
            // Lies weigh more than absence: a script that sees 5 may well try again.
            Self::AllFailed { attempts, .. } => {
                let mut exits = attempts.iter().map(|(_, error)| error.exit());
                let first = exits.clone().next().unwrap_or(Exit::Network);
                if exits.clone().any(|exit| exit == Exit::Verification) {
                    Exit::Verification
                } else if exits.all(|exit| exit == first) {
                    first
                } else {
                    Exit::Network
                }
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Base { .. } => Some("write a registry as [http://]host[:port][/namespace]".to_owned()),
            Self::NoMirror { .. } => Some(
                "add a mirror that serves it to `mirrors:` in the cluster file; `khimg catalog show sources` lists them"
                    .to_owned(),
            ),
            Self::LoginNeeded { .. } | Self::Refused { .. } => Some(
                "log in with `docker login` and pass its file with --registry-auth, or name another mirror first"
                    .to_owned(),
            ),
            Self::NotFound { .. } => {
                Some("check the version, or add a mirror that has it to `mirrors:` in the cluster file".to_owned())
            }
            Self::NoPlatform { .. } => Some("change `target.arch`, or name a mirror that has all platforms".to_owned()),
            Self::Schema1 { .. } => Some("name a mirror that converted the image, or a newer version".to_owned()),
            Self::WrongDigest { .. } | Self::WrongSize { .. } | Self::Malformed { .. } => {
                Some("remove this mirror from `mirrors:` in the cluster file: it changes what it serves".to_owned())
            }
            Self::LockedSize { .. } => Some("lock the image again: `khimg lock --upgrade`".to_owned()),
            Self::Net(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::AllFailed { attempts, .. } => attempts.iter().find_map(|(_, error)| error.hint()),
            _ => None,
        }
    }
}
