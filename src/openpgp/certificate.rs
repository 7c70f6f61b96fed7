//! One pinned key with its subkeys, put together from all the copies of it that are at hand.

use jiff::Timestamp;
use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::packet::{PublicKey, Signature, SignatureType};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, PublicParams, Tag, VerifyingKey};

use super::MIN_RSA_BITS;
use super::data::Data;
use super::signature::{check_data_signature, created, end, may_be_by, no_unknown_critical, strong_hash};

/// All copies of one key. They share the primary key, and may differ in expiry, revocation and subkeys.
#[derive(Debug, Clone, Default)]
pub struct Certificate {
    copies: Vec<SignedPublicKey>,
}

/// What the owner says of a key in a signature of his own.
struct Statement<'a> {
    signature: &'a Signature,
    made: Timestamp,
}

impl Certificate {
    pub fn add(&mut self, copy: SignedPublicKey) {
        self.copies.push(copy);
    }

    /// When `signature` was made and whether the key has expired since, if this key made it over `data`;
    /// `None` if it names another key; otherwise why it does not count.
    pub fn verify(
        &self,
        signature: &Signature,
        data: &Data<'_>,
        at: Timestamp,
        frozen: bool,
    ) -> Result<Option<(Timestamp, bool)>, String> {
        let Some(primary) = self.copies.first().map(|copy| &copy.primary_key) else { return Ok(None) };
        let subkeys = || self.copies.iter().flat_map(|copy| &copy.public_subkeys);
        let by_primary = may_be_by(signature, primary);
        let named: Vec<&SignedPublicSubKey> = subkeys().filter(|subkey| may_be_by(signature, &subkey.key)).collect();
        if !by_primary && named.is_empty() {
            return Ok(None);
        }
        let made = check_data_signature(signature, at)?;
        let judge = |expiry: Option<Timestamp>| judge_expiry(expiry, made, at, frozen);
        self.check_not_revoked(primary)?;
        let own = self.newest_self_signature(primary);
        let expired = judge(own.as_ref().and_then(|own| expiry(primary, own.signature)))?;
        let mut reason = data.misfit().to_owned();
        if by_primary {
            match self.verify_by_primary(primary, own.as_ref(), signature, data, made) {
                Ok(()) => return Ok(Some((made, expired))),
                Err(why) => reason = why,
            }
        }
        for subkey in named {
            match verify_by_subkey(primary, &self.bindings(subkey), subkey, signature, data, made) {
                Ok(expiry) => return Ok(Some((made, judge(expiry)? || expired))),
                Err(why) => reason = why,
            }
        }
        Err(reason)
    }

    fn verify_by_primary(
        &self,
        primary: &PublicKey,
        own: Option<&Statement>,
        signature: &Signature,
        data: &Data<'_>,
        made: Timestamp,
    ) -> Result<(), String> {
        if own.is_some_and(|own| says_not_for_signing(own.signature)) {
            return Err("the primary key is not for signing data".to_owned());
        }
        check_and_verify(primary, signature, data, made)
    }

    fn check_not_revoked(&self, primary: &PublicKey) -> Result<(), String> {
        let mut revocations = self.copies.iter().flat_map(|copy| &copy.details.revocation_signatures);
        let revoked = revocations
            .any(|found| found.typ() == Some(SignatureType::KeyRevocation) && found.verify_key(primary).is_ok());
        if revoked { Err("the key is revoked".to_owned()) } else { Ok(()) }
    }

    /// The newest statement of the primary key about itself, whatever its hash: it can only restrict.
    fn newest_self_signature<'a>(&'a self, primary: &PublicKey) -> Option<Statement<'a>> {
        let mut newest: Option<Statement> = None;
        let mut consider = |signature: &'a Signature| {
            if let Some(made) = created(signature)
                && newest.as_ref().is_none_or(|newest| newest.made < made)
            {
                newest = Some(Statement { signature, made });
            }
        };
        for copy in &self.copies {
            for found in &copy.details.direct_signatures {
                if found.typ() == Some(SignatureType::Key) && found.verify_key(primary).is_ok() {
                    consider(found);
                }
            }
            for user in &copy.details.users {
                for found in &user.signatures {
                    let own = found.typ() != Some(SignatureType::CertRevocation) && may_be_by(found, primary);
                    if own && found.verify_certification(primary, Tag::UserId, &user.id).is_ok() {
                        consider(found);
                    }
                }
            }
        }
        newest
    }

    /// All signatures over `subkey` in all copies.
    fn bindings<'a>(&'a self, subkey: &SignedPublicSubKey) -> Vec<&'a Signature> {
        let all = self.copies.iter().flat_map(|copy| &copy.public_subkeys);
        all.filter(|other| other.key == subkey.key).flat_map(|other| &other.signatures).collect()
    }
}

/// Verifies by a subkey; says when that expires.
fn verify_by_subkey(
    primary: &PublicKey,
    bindings: &[&Signature],
    subkey: &SignedPublicSubKey,
    signature: &Signature,
    data: &Data<'_>,
    made: Timestamp,
) -> Result<Option<Timestamp>, String> {
    let good = |found: &&&Signature| found.verify_subkey_binding(primary, &subkey.key).is_ok();
    if bindings.iter().filter(|found| found.typ() == Some(SignatureType::SubkeyRevocation)).any(|found| good(&found)) {
        return Err("the subkey is revoked".to_owned());
    }
    let binding = bindings
        .iter()
        .filter(|found| found.typ() == Some(SignatureType::SubkeyBinding) && strong_hash(found))
        .filter(|found| no_unknown_critical(found).is_ok())
        .filter(good)
        .max_by_key(|found| created(found))
        .ok_or("the subkey is not bound to its primary key by a signature that counts")?;
    if !binding.key_flags().sign() {
        return Err("the subkey is not for signing data".to_owned());
    }
    let countersigned = binding
        .embedded_signature()
        .is_some_and(|back| strong_hash(back) && back.verify_primary_key_binding(&subkey.key, primary).is_ok());
    if !countersigned {
        return Err("the subkey has not countersigned its binding".to_owned());
    }
    check_and_verify(&subkey.key, signature, data, made)?;
    Ok(expiry(&subkey.key, binding))
}

fn check_and_verify(
    key: &impl VerifyingKey,
    signature: &Signature,
    data: &Data<'_>,
    made: Timestamp,
) -> Result<(), String> {
    check_strength(key.public_params())?;
    if begin(key).is_some_and(|begin| made < begin) {
        return Err("the signature is older than its key".to_owned());
    }
    data.verify(signature, key)
}

fn check_strength(params: &PublicParams) -> Result<(), String> {
    match params {
        PublicParams::RSA(_) => {
            // Key material begins with the modulus as a multi-precision integer: two bytes of its length in bits (RFC 9580 §3.2).
            let bits = params.to_bytes().ok().and_then(|bytes| Some(u16::from_be_bytes(*bytes.first_chunk()?)));
            match bits {
                Some(bits) if bits >= MIN_RSA_BITS => Ok(()),
                Some(bits) => Err(format!("RSA of {bits} bits is less than {MIN_RSA_BITS}")),
                None => Err("the key has no modulus".to_owned()),
            }
        }
        PublicParams::ECDSA(_) | PublicParams::EdDSALegacy(_) | PublicParams::Ed25519(_) | PublicParams::Ed448(_) => {
            Ok(())
        }
        _ => Err("the key's algorithm is not allowed (RSA, ECDSA, Ed25519 and Ed448 are)".to_owned()),
    }
}

fn judge_expiry(expiry: Option<Timestamp>, made: Timestamp, at: Timestamp, frozen: bool) -> Result<bool, String> {
    match expiry {
        Some(end) if end <= made => Err(format!("the key expired {end}, before the signature was made")),
        Some(end) if end <= at && !frozen => Err(format!("the key expired {end}")),
        Some(end) => Ok(end <= at),
        None => Ok(false),
    }
}

fn says_not_for_signing(own: &Signature) -> bool {
    let stated = own.config().is_some_and(|config| {
        config.hashed_subpackets().any(|part| matches!(part.data, pgp::packet::SubpacketData::KeyFlags(_)))
    });
    stated && !own.key_flags().sign()
}

fn begin(key: &impl KeyDetails) -> Option<Timestamp> {
    Timestamp::from_second(i64::from(key.created_at().as_secs())).ok()
}

/// When `key` ends, as the owner says in `statement`: seconds after the key's creation (RFC 9580 §5.2.3.13).
fn expiry(key: &impl KeyDetails, statement: &Signature) -> Option<Timestamp> {
    end(begin(key)?, statement.key_expiration_time())
}
