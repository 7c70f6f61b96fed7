//! What makes one signature packet acceptable, whoever made it.

use jiff::{SignedDuration, Timestamp};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::types::{Duration, KeyDetails};

use super::MAX_AHEAD;

/// The key that a signature names, for messages.
pub fn issuer(signature: &Signature) -> String {
    if let Some(fingerprint) = signature.issuer_fingerprint().first() {
        return hex::encode_upper(fingerprint.as_bytes());
    }
    signature.issuer_key_id().first().map_or_else(|| "unknown key".to_owned(), |id| hex::encode_upper(id.as_ref()))
}

/// Whether a signature may be by `key`: it names it, or names nobody.
pub fn may_be_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    let ids = signature.issuer_key_id();
    let fingerprints = signature.issuer_fingerprint();
    (ids.is_empty() && fingerprints.is_empty())
        || ids.iter().any(|id| **id == key.legacy_key_id())
        || fingerprints.iter().any(|fingerprint| **fingerprint == key.fingerprint())
}

/// SHA-256 or better.
pub fn strong_hash(signature: &Signature) -> bool {
    use HashAlgorithm::{Sha3_256, Sha3_512, Sha256, Sha384, Sha512};
    matches!(signature.hash_alg(), Some(Sha256 | Sha384 | Sha512 | Sha3_256 | Sha3_512))
}

/// The rules for a signature over data; says when it was made.
pub fn check_data_signature(signature: &Signature, at: Timestamp) -> Result<Timestamp, String> {
    if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
        return Err("it is not a signature over a document".to_owned());
    }
    if !strong_hash(signature) {
        let hash = signature.hash_alg().map_or_else(|| "an unknown hash".to_owned(), |hash| hash.to_string());
        return Err(format!("it uses {hash}, weaker than SHA-256"));
    }
    no_unknown_critical(signature)?;
    let created = created(signature).ok_or("it does not say when it was made")?;
    if created > later(at, MAX_AHEAD) {
        return Err(format!("it was made in the future, {created}"));
    }
    if let Some(end) = end(created, signature.signature_expiration_time()).filter(|end| *end <= at) {
        return Err(format!("the signature expired {end}"));
    }
    Ok(created)
}

/// Refuses a signature with a critical part that we do not understand (RFC 9580 §5.2.3.7).
pub fn no_unknown_critical(signature: &Signature) -> Result<(), String> {
    let config = signature.config().ok_or("its version is unknown")?;
    for part in config.hashed_subpackets() {
        let unknown = matches!(
            part.data,
            SubpacketData::Other(..) | SubpacketData::Experimental(..) | SubpacketData::Notation(_)
        );
        if part.is_critical && unknown {
            return Err("it has a critical part that khimg does not understand".to_owned());
        }
    }
    Ok(())
}

/// When a signature was made, from its hashed part.
pub fn created(signature: &Signature) -> Option<Timestamp> {
    Timestamp::from_second(i64::from(signature.created()?.as_secs())).ok()
}

/// When something ends that began at `start`; `None` where it never does.
pub fn end(start: Timestamp, after: Option<Duration>) -> Option<Timestamp> {
    let seconds = std::time::Duration::from(after?).as_secs();
    (seconds != 0).then(|| later(start, SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))))
}

fn later(start: Timestamp, by: SignedDuration) -> Timestamp {
    start.checked_add(by).unwrap_or(Timestamp::MAX)
}
