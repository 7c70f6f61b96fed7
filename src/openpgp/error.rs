//! Why a signature does not count.

use std::fmt;

use crate::exit::{Exit, Explain};

/// One signature that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The key that the signature names: a fingerprint or a key id, upper-case hex; `unknown key` where it names none.
    pub issuer: String,
    /// Why it does not count.
    pub reason: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.issuer, self.reason)
    }
}

/// A file that no pinned key has signed well.
#[derive(Debug, thiserror::Error)]
pub enum OpenPgpError {
    /// An input beyond its limit.
    #[error("the {what} is {found}, more than the limit of {limit}")]
    TooLarge {
        /// Which input.
        what: &'static str,
        /// Its size or number.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// Bytes that are not UTF-8.
    #[error("the {what} is not UTF-8 text")]
    NotText {
        /// Which input.
        what: &'static str,
    },
    /// A file without the first line of a clear-signed message.
    #[error("the file does not begin with a clear-signed message")]
    NotClearSigned,
    /// Bytes that are not what they should be.
    #[error("the {what} is not well-formed OpenPGP")]
    Malformed {
        /// Which input.
        what: &'static str,
        /// What rPGP says.
        source: Box<pgp::errors::Error>,
    },
    /// Fingerprints are pinned, but the keys themselves are nowhere.
    #[error("none of the pinned keys is at hand: {}", pinned.join(", "))]
    NoKey {
        /// The pinned fingerprints.
        pinned: Vec<String>,
    },
    /// No signature counts.
    #[error("no good signature by a pinned key ({}); found {}", pinned.join(", "), list(rejections))]
    NotSigned {
        /// The signatures that are there.
        rejections: Vec<Rejection>,
        /// The pinned fingerprints.
        pinned: Vec<String>,
    },
}

fn list(rejections: &[Rejection]) -> String {
    if rejections.is_empty() {
        return "no signature at all".to_owned();
    }
    rejections.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Explain for OpenPgpError {
    fn exit(&self) -> Exit {
        Exit::Verification
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoKey { .. } => Some("put the key file beside the catalogue and name it under `keys`".to_owned()),
            Self::NotSigned { .. } => Some(
                "if the publisher has a new key, check its fingerprint and set it under `trust` in the cluster file"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
