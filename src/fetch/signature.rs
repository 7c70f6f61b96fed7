//! Packages that carry their own signature: the proof of an rpm repository whose lists nobody signed.
//!
//! What lists such a package may have been made by anybody. So a package counts only if a pinned key signed it *and* it is the one
//! that the lock names: another version, signed as well, under the name of this one would be a way back to an old hole.

use std::io::{self, Read};

use jiff::Timestamp;

use super::rpm::{BadRpm, Rpm};
use crate::digest::Digest;
use crate::lock::{Package, Proof};
use crate::openpgp::{Keyring, OpenPgpError, Signer};
use crate::store::{Store, StoreError, Verified};

/// Name of what the store remembers of packages that were proven.
const KIND: &str = "rpm-signature-1";

/// Why a package's own signature does not count.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file is no package.
    #[error(transparent)]
    Rpm(#[from] BadRpm),
    /// It is another package than the lock says.
    #[error("it is {found} in truth")]
    Other {
        /// Name, version and architecture that the package has.
        found: String,
    },
    /// It has no signature.
    #[error("it is not signed")]
    Unsigned,
    /// It is signed, but by nobody who counts.
    #[error(transparent)]
    OpenPgp(#[from] OpenPgpError),
    /// The signed header does not fit the payload, or does not vouch for it.
    #[error("its header is signed, but does not fit the rest of it")]
    Payload,
}

/// Whether a package is the one that the lock names and one of the keys that the lock names signed it. What was proven once is
/// remembered. `Some` is the signer, where it was proven now.
///
/// # Errors
/// It is not; the store.
pub fn check(
    package: &Package,
    blob: &Verified,
    keyring: &Keyring,
    store: &Store,
    at: Timestamp,
) -> Result<Option<Signer>, SignatureError> {
    let key = key(package);
    if store.memo(KIND, &key) == Some(blob.digest()) {
        return Ok(None);
    }
    let rpm = Rpm::read(blob.open()?)?;
    if (&rpm.name, &rpm.version, &rpm.arch) != (&package.name, &package.version, &package.arch) {
        let found = format!("{} {} {}", rpm.name, rpm.version, rpm.arch);
        return Err(SignatureError::Other { found });
    }
    let signer = signer(&rpm, blob, keyring, at)?;
    store.remember(KIND, &key, &blob.digest())?;
    Ok(Some(signer))
}

/// Who vouches for all of the package: by a signature over all of it, or by one over a header that names the payload's digest.
fn signer(rpm: &Rpm, blob: &Verified, keyring: &Keyring, at: Timestamp) -> Result<Signer, SignatureError> {
    let from = |start: u64| -> io::Result<Box<dyn Read>> {
        let mut file = blob.open().map_err(io::Error::other)?;
        io::copy(&mut file.by_ref().take(start), &mut io::sink())?;
        Ok(Box::new(file))
    };
    let mut failure = SignatureError::Unsigned;
    for signature in &rpm.over_header {
        let header = || -> io::Result<Box<dyn Read>> { Ok(Box::new(io::Cursor::new(rpm.header.clone()))) };
        match keyring.verify_file(&header, signature, at) {
            Ok(signer) => {
                let payload = from(rpm.payload_start()).and_then(Digest::of_reader).map_err(BadRpm::Read)?;
                if rpm.payload == Some(payload.0) {
                    return Ok(signer);
                }
                failure = SignatureError::Payload;
            }
            Err(error) => failure = error.into(),
        }
    }
    for signature in &rpm.over_all {
        match keyring.verify_file(&|| from(rpm.start), signature, at) {
            Ok(signer) => return Ok(signer),
            // Of a good header it is the payload that does not fit.
            Err(error) if !matches!(failure, SignatureError::Payload) => failure = error.into(),
            Err(_) => {}
        }
    }
    Err(failure)
}

/// Everything that was looked at.
fn key(package: &Package) -> Digest {
    let Package { name, version, arch, sha256, proof, .. } = package;
    let by = match proof {
        Proof::Package(fingerprints) => fingerprints.join(" "),
        _ => String::new(),
    };
    Digest::of(format!("{name} {version} {arch} {sha256} {by}").as_bytes())
}
