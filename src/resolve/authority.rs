//! Who proves what a repository serves.

use super::attempt::MirrorError;
use crate::mirrors::Origin;
use crate::net::Net;
use crate::net::address::join;
use crate::openpgp::{Keyring, OpenPgpError, Signed};

/// Largest key file that a mirror may publish.
const MAX_KEY: u64 = 1 << 20;

/// What a repository is proven with.
#[derive(Debug, Clone)]
pub enum Authority {
    /// A signature over its list of files by one of these keys.
    Keys {
        /// The keys at hand, and the fingerprints that count.
        keyring: Keyring,
        /// Where below its base a mirror publishes the keys.
        path: Option<String>,
    },
    /// Nothing, by the user's explicit word.
    Nobody,
}

/// What `verify` makes of `keyring`, and of the keys that the mirror publishes at `path` where the ones at hand do not do: it may
/// have the key, or a copy of it that expires later. Whose key it is does not change by that.
///
/// # Errors
/// The verification that failed; a published file that holds no keys.
pub async fn verify_with_published_keys(
    keyring: &Keyring,
    origin: &Origin,
    path: Option<&str>,
    net: &Net,
    verify: impl Fn(&Keyring) -> Result<Signed, OpenPgpError>,
) -> Result<Signed, MirrorError> {
    let error = match verify(keyring) {
        Ok(signed) => return Ok(signed),
        Err(error) => error,
    };
    let Some(path) = path else { return Err(error.into()) };
    let Ok(bytes) = net.read(&join(&origin.base, path)?, MAX_KEY).await else { return Err(error.into()) };
    let mut keyring = keyring.clone();
    if keyring.add(&bytes)? == 0 {
        return Err(error.into());
    }
    Ok(verify(&keyring)?)
}
