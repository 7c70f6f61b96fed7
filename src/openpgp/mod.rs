//! OpenPGP signatures of package repositories, under khimg's own policy. The mathematics are rPGP's, the rules are here:
//!
//! - **Who.** A key counts only if the full fingerprint of its *primary* key is pinned by the catalogue or the cluster file.
//!   Where the key's bytes come from does not matter. One good signature by one pinned key is enough; signatures by
//!   anybody else neither help nor hurt.
//! - **Subkeys** may sign if their newest binding is good, says that they sign, and is countersigned by the subkey itself.
//!   A primary key may sign unless its newest self-signature says that it does not.
//! - **Time.** Neither the key nor the signature may have expired, nor the signature be made before its key or more than
//!   [`MAX_AHEAD`] in the future. For a repository that the catalogue calls `frozen`, an expired key is good for what it signed
//!   while it was valid ([`Keyring::frozen`]); nothing else is relaxed.
//! - **Revoked** keys are refused, whatever the reason and the date of the revocation. A revocation in any copy of a key counts.
//! - **Strength.** SHA-256 or better (SHA-384, SHA-512, SHA3) for signatures over data and for bindings; never SHA-1, MD5 or
//!   RIPEMD-160. RSA of at least [`MIN_RSA_BITS`] bits, Ed25519, Ed448, ECDSA; no DSA, no Elgamal. A weak self-signature of a
//!   pinned primary key is still read for the expiry date, which can only be to the key's disadvantage: the pin, not the
//!   self-signature, is what makes us trust it.
//! - **What.** Only the text that the signature covers is ever returned; what stands around it in the file is refused.
//! - **Size.** Every input has a limit.

mod certificate;
mod data;
mod error;
mod signature;

use std::collections::BTreeMap;
use std::io::{self, Read};

use jiff::{SignedDuration, Timestamp};
use memchr::memchr_iter;
use pgp::composed::{CleartextSignedMessage, Deserializable, DetachedSignature, SignedPublicKey};
use pgp::packet::Signature;
use pgp::types::KeyDetails;

use certificate::Certificate;
use data::Data;
pub use error::{OpenPgpError, Rejection};

/// How far a signature's time may lie ahead of this machine's clock.
pub const MAX_AHEAD: SignedDuration = SignedDuration::from_mins(10);
/// The smallest RSA modulus that may sign, in bits.
pub const MIN_RSA_BITS: u16 = 2048;
/// Largest signed text, in bytes.
pub const MAX_TEXT: usize = 8 << 20;
/// Largest clear-signed file, in bytes. Debian's largest is 150 kB. Smaller than [`MAX_TEXT`], and with [`MAX_LINES`],
/// because rPGP looks through all the text again after each line.
pub const MAX_CLEARSIGNED: usize = 1 << 20;
/// Most lines of a clear-signed file. Debian's largest has 2000.
pub const MAX_LINES: usize = 20_000;
/// Largest detached signature, in bytes.
pub const MAX_SIGNATURE: usize = 64 << 10;
const MAX_SIGNATURES: usize = 16;
const MAX_KEYS: usize = 1 << 20;
const MAX_CERTIFICATES: usize = 64;

/// Text that a pinned key has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The signed text and nothing else, with `\n` at the ends of lines.
    pub text: String,
    /// Fingerprint of the primary key that signed it, upper-case hex.
    pub fingerprint: String,
    /// When it was signed.
    pub created: Timestamp,
    /// Whether the key has expired since, which only a [`Keyring::frozen`] keyring lets pass.
    pub expired: bool,
}

/// Who signed something, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Fingerprint of the primary key, upper-case hex.
    pub fingerprint: String,
    /// When it was signed.
    pub created: Timestamp,
    /// Whether the key has expired since, which only a [`Keyring::frozen`] keyring lets pass.
    pub expired: bool,
}

impl Signed {
    fn new(text: &str, by: Signer) -> Self {
        let Signer { fingerprint, created, expired } = by;
        Self { text: text.replace("\r\n", "\n"), fingerprint, created, expired }
    }
}

/// Public keys, and which of them may sign.
#[derive(Debug, Clone)]
pub struct Keyring {
    pinned: Vec<String>,
    certificates: BTreeMap<String, Certificate>,
    frozen: bool,
}

impl Keyring {
    /// The keys of `keys` whose primary fingerprints are pinned; others are dropped. Each element may hold several keys,
    /// ASCII-armoured or binary. Fingerprints are hex in either case, spaces allowed.
    ///
    /// # Errors
    /// Bytes that are no keys, and limits.
    pub fn new<K: AsRef<[u8]>>(
        keys: impl IntoIterator<Item = K>,
        pinned: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, OpenPgpError> {
        let pinned = pinned.into_iter().map(|fingerprint| normal(fingerprint.as_ref())).collect();
        let mut ring = Self { pinned, certificates: BTreeMap::new(), frozen: false };
        for key in keys {
            ring.add(key.as_ref())?;
        }
        Ok(ring)
    }

    /// The same for a repository whose publisher has stopped: keys are good for what they signed before they expired.
    #[must_use]
    pub fn frozen(mut self, frozen: bool) -> Self {
        self.frozen = frozen;
        self
    }

    /// The same with only those keys that have one of these fingerprints; `None` where there is none.
    pub fn only(&self, fingerprints: &[String]) -> Option<Self> {
        let mut ring = self.clone();
        ring.pinned.retain(|pinned| fingerprints.contains(pinned));
        ring.certificates.retain(|fingerprint, _| fingerprints.contains(fingerprint));
        (!ring.is_empty()).then_some(ring)
    }

    /// Adds keys, for instance those that a mirror publishes. Only pinned ones are kept; says how many those are.
    ///
    /// # Errors
    /// Bytes that are no keys, and limits.
    pub fn add(&mut self, keys: &[u8]) -> Result<usize, OpenPgpError> {
        limit("key file", keys.len(), MAX_KEYS)?;
        let malformed = |source| OpenPgpError::Malformed { what: "key file", source: Box::new(source) };
        let (parsed, _) = SignedPublicKey::from_reader_many(keys).map_err(malformed)?;
        let mut kept = 0;
        for (number, key) in parsed.enumerate() {
            limit("number of keys", number, MAX_CERTIFICATES)?;
            let key = key.map_err(malformed)?;
            let fingerprint = hex::encode_upper(key.fingerprint().as_bytes());
            if self.pinned.contains(&fingerprint) {
                self.certificates.entry(fingerprint).or_default().add(key);
                kept += 1;
            }
        }
        Ok(kept)
    }

    /// Whether there is at least one pinned key to verify with.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// The pinned fingerprints, upper-case hex.
    pub fn pinned(&self) -> &[String] {
        &self.pinned
    }

    /// The text of a clear-signed file (`InRelease`), if one of the pinned keys signed it by `at`.
    ///
    /// # Errors
    /// No such signature, or a file that is not exactly one clear-signed message.
    pub fn verify_inrelease(&self, file: &[u8], at: Timestamp) -> Result<Signed, OpenPgpError> {
        let message = clear_signed(file)?;
        let signed = message.signed_text();
        let by = self.verify(message.signatures(), &Data::Text(signed.as_bytes()), at)?;
        Ok(Signed::new(&signed, by))
    }

    /// `text`, if one of the pinned keys made one of the detached signatures in `signature` (`Release.gpg`) by `at`.
    ///
    /// # Errors
    /// No such signature, or bytes that are no signatures.
    pub fn verify_detached(&self, text: &[u8], signature: &[u8], at: Timestamp) -> Result<Signed, OpenPgpError> {
        limit("signed text", text.len(), MAX_TEXT)?;
        let by = self.verify(&detached(signature)?, &Data::Text(text), at)?;
        let text = std::str::from_utf8(text).map_err(|_| OpenPgpError::NotText { what: "signed text" })?;
        Ok(Signed::new(text, by))
    }

    /// Who made one of the detached signatures in `signature` by `at` over what `open` reads, each time from its beginning.
    ///
    /// # Errors
    /// No such signature, or bytes that are no signatures.
    pub fn verify_file(
        &self,
        open: &dyn Fn() -> io::Result<Box<dyn Read>>,
        signature: &[u8],
        at: Timestamp,
    ) -> Result<Signer, OpenPgpError> {
        self.verify(&detached(signature)?, &Data::File(open), at)
    }

    fn verify(&self, signatures: &[Signature], data: &Data<'_>, at: Timestamp) -> Result<Signer, OpenPgpError> {
        limit("number of signatures", signatures.len(), MAX_SIGNATURES)?;
        if self.certificates.is_empty() {
            return Err(OpenPgpError::NoKey { pinned: self.pinned.clone() });
        }
        let mut rejections = Vec::new();
        for signature in signatures {
            match self.judge(signature, data, at) {
                Ok(signed) => return Ok(signed),
                Err(rejection) => rejections.push(rejection),
            }
        }
        Err(OpenPgpError::NotSigned { rejections, pinned: self.pinned.clone() })
    }

    fn judge(&self, signature: &Signature, data: &Data<'_>, at: Timestamp) -> Result<Signer, Rejection> {
        let issuer = signature::issuer(signature);
        let reject = |reason: String| Rejection { issuer: issuer.clone(), reason };
        let mut reason = "this key is not pinned".to_owned();
        for (fingerprint, certificate) in &self.certificates {
            match certificate.verify(signature, data, at, self.frozen) {
                Ok(Some((created, expired))) => {
                    return Ok(Signer { fingerprint: fingerprint.clone(), created, expired });
                }
                Ok(None) => {}
                Err(why) => reason = why,
            }
        }
        Err(reject(reason))
    }
}

/// The text of a clear-signed file, whoever signed it: for a repository that the user trusts without a signature.
///
/// # Errors
/// A file that is not exactly one clear-signed message.
pub fn unproven_text(file: &[u8]) -> Result<String, OpenPgpError> {
    Ok(clear_signed(file)?.signed_text().replace("\r\n", "\n"))
}

/// The signatures of a file that holds nothing else.
fn detached(signature: &[u8]) -> Result<Vec<Signature>, OpenPgpError> {
    limit("detached signature", signature.len(), MAX_SIGNATURE)?;
    let malformed = |source| OpenPgpError::Malformed { what: "detached signature", source: Box::new(source) };
    let (parsed, _) = DetachedSignature::from_reader_many(signature).map_err(malformed)?;
    let mut signatures = Vec::new();
    for found in parsed {
        limit("number of signatures", signatures.len(), MAX_SIGNATURES)?;
        signatures.push(found.map_err(malformed)?.signature);
    }
    Ok(signatures)
}

fn clear_signed(file: &[u8]) -> Result<CleartextSignedMessage, OpenPgpError> {
    const WHAT: &str = "clear-signed file";
    limit(WHAT, file.len(), MAX_CLEARSIGNED)?;
    limit("number of lines", memchr_iter(b'\n', file).count(), MAX_LINES)?;
    let text = std::str::from_utf8(file).map_err(|_| OpenPgpError::NotText { what: WHAT })?;
    if !text.starts_with("-----BEGIN PGP SIGNED MESSAGE-----") {
        return Err(OpenPgpError::NotClearSigned);
    }
    let (message, _) = CleartextSignedMessage::from_string(text)
        .map_err(|source| OpenPgpError::Malformed { what: WHAT, source: Box::new(source) })?;
    Ok(message)
}

fn normal(fingerprint: &str) -> String {
    fingerprint.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_uppercase()).collect()
}

fn limit(what: &'static str, found: usize, limit: usize) -> Result<(), OpenPgpError> {
    if found > limit { Err(OpenPgpError::TooLarge { what, found, limit }) } else { Ok(()) }
}
