//! Whom the user trusts for a source: key files are read here, fingerprints brought into one form.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Check, Refusal, source::unknown_source};
use crate::catalog::Source;
use crate::cluster::Trust;
use crate::cluster::file::{ClusterFile, TrustFile, TrustedKeys};
use crate::config::{read_text, segment};

pub(super) fn check(check: &mut Check<'_>, file: &ClusterFile) -> Option<BTreeMap<String, Trust>> {
    let mut all = Some(BTreeMap::new());
    for (source, trust) in &file.trust {
        let at = format!("/trust/{}", segment(source));
        match check.catalog.sources.get(source) {
            None => unknown_source(check, &at, source),
            Some(Source::Apt(_) | Source::Yum(_)) => {}
            Some(Source::File(_) | Source::Registry(_)) => {
                let message =
                    format!("{source} is not a package repository: its bytes are proven by digest, not by signature");
                check.bad_key(&at, message, "remove it".to_owned());
            }
        }
        let trust = match trust {
            TrustFile::Unsigned(_) => Some(Trust::Unsigned),
            TrustFile::Keys(keys) => trusted(check, &at, keys),
        };
        all = all.zip(trust).map(|(mut all, trust)| {
            all.insert(source.clone(), trust);
            all
        });
    }
    all
}

fn trusted(check: &mut Check<'_>, at: &str, keys: &TrustedKeys) -> Option<Trust> {
    let mut fingerprints = Vec::new();
    for (index, text) in keys.fingerprints.iter().enumerate() {
        fingerprints.push(check.accept(&format!("{at}/fingerprints/{index}"), fingerprint(text)));
    }
    let mut armored = Vec::new();
    for (index, name) in keys.keys.iter().enumerate() {
        let key = key_file(check.dir, name);
        armored.push(check.accept(&format!("{at}/keys/{index}"), key));
    }
    let fingerprints = fingerprints.into_iter().collect::<Option<_>>()?;
    let armored = armored.into_iter().collect::<Option<_>>()?;
    Some(Trust::Keys { fingerprints, armored })
}

/// A full fingerprint in upper case and without spaces: 40 hex digits for keys of version 4, 64 for version 6 (RFC 9580 §5.5.4).
fn fingerprint(text: &str) -> Result<String, Refusal> {
    let bare: String = text.strip_prefix("0x").unwrap_or(text).chars().filter(|c| *c != ' ' && *c != ':').collect();
    let hex = bare.bytes().all(|byte| byte.is_ascii_hexdigit());
    let help = "write all 40 hex digits (64 for a version 6 key) as `gpg --show-keys` prints them";
    match bare.len() {
        40 | 64 if hex => Ok(bare.to_ascii_uppercase()),
        8 | 16 if hex => {
            Err(Refusal::new(format!("{text:?} is a key id, not a fingerprint: key ids can be forged"), help))
        }
        _ => Err(Refusal::new(format!("{text:?} is not a fingerprint"), help)),
    }
}

fn key_file(dir: &Path, name: &str) -> Result<String, Refusal> {
    let path = dir.join(name);
    let text = read_text(&path).map_err(|problem| {
        let help =
            format!("put the key at {}, or correct the name: it is relative to the cluster file", path.display());
        Refusal::new(problem.message(), help)
    })?;
    // Whether it is a good key, the verifier says; this is about files that are something else altogether.
    if text.contains("-----BEGIN PGP PRIVATE KEY BLOCK-----") {
        return Err(Refusal::new(
            format!("{} holds a private key", path.display()),
            "export the public key: `gpg --armor --export`",
        ));
    }
    if !text.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
        let help = "use an ASCII-armoured file, as `gpg --armor --export` writes it";
        return Err(Refusal::new(format!("{} holds no OpenPGP public key", path.display()), help));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints() {
        let spaced = "0123 4567 89ab cdef 0123  4567 89AB CDEF 0123 4567";
        assert_eq!(fingerprint(spaced), Ok("0123456789ABCDEF0123456789ABCDEF01234567".to_owned()));
        for bad in [
            "",
            "01234567",
            "0x0123456789ABCDEF",
            "g123456789ABCDEF0123456789ABCDEF01234567",
            "0123456789ABCDEF0123456789ABCDEF0123456",
        ] {
            assert!(fingerprint(bad).is_err(), "{bad}");
        }
    }
}
