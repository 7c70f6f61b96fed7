//! What a signature is over.

use std::io::{self, Read};

use pgp::packet::Signature;
use pgp::types::VerifyingKey;

/// Bytes that can be read as often as there are keys to try.
pub(super) enum Data<'a> {
    /// A text in memory.
    Text(&'a [u8]),
    /// A part of a file, from its beginning each time.
    File(&'a dyn Fn() -> io::Result<Box<dyn Read>>),
}

impl Data<'_> {
    /// Whether `key` made `signature` over it.
    pub(super) fn verify(&self, signature: &Signature, key: &impl VerifyingKey) -> Result<(), String> {
        let verified = match self {
            Self::Text(text) => signature.verify(key, *text),
            Self::File(open) => {
                let file = open().map_err(|error| format!("what it is over cannot be read: {error}"))?;
                signature.verify(key, file)
            }
        };
        verified.map_err(|_| self.misfit().to_owned())
    }

    /// What is said of a signature that is not over it.
    pub(super) fn misfit(&self) -> &'static str {
        match self {
            Self::Text(_) => "the signature does not fit the text",
            Self::File(_) => "the signature does not fit the file",
        }
    }
}
