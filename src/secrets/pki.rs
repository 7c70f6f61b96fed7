//! Certificate authorities and key pairs, as kubeadm wants to find them under `/etc/kubernetes/pki`.

use jiff::civil::Date;
use jiff::{Span, ToSpan, tz::TimeZone};
use rand::RngExt;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, RsaKeySize,
};
use serde::{Deserialize, Serialize};

use super::{Secret, SecretsError};
use crate::digest::Digest;

/// How long an authority is valid: 10 years, as kubeadm's own.
const YEARS: i32 = 10;

/// A certificate whose key has never been kept, so that dry runs can be checked by real programs.
pub(super) const STAND_IN_CERTIFICATE: &str = include_str!("stand-in.crt");

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAlgorithm {
    /// ECDSA over NIST P-256.
    EcdsaP256,
    /// RSA with 2048 bits.
    Rsa2048,
}

impl KeyAlgorithm {
    fn generate(self) -> Result<rcgen::KeyPair, rcgen::Error> {
        match self {
            Self::EcdsaP256 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::Rsa2048 => rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
        }
    }
}

/// A certificate authority.
#[derive(Debug, Clone)]
pub struct Authority {
    /// Its certificate, PEM.
    pub certificate: String,
    /// Its private key, PKCS#8 PEM.
    pub key: Secret<String>,
}

impl Authority {
    /// A new self-signed authority with this common name.
    ///
    /// Like kubeadm's (cmd/kubeadm/app/util/pkiutil, 1.20): `CA:TRUE`, digital signature, key encipherment, certificate
    /// signing. 10 years.
    ///
    /// # Errors
    /// The cryptography library refuses.
    pub fn generate(common_name: &str, algorithm: KeyAlgorithm) -> Result<Self, SecretsError> {
        let failed = |source| SecretsError::Generate { what: format!("the authority {common_name:?}"), source };
        let key = algorithm.generate().map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::KeyCertSign];
        set_validity(&mut params, YEARS.years());
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self { certificate: certificate.pem(), key: Secret::new(key.serialize_pem()) })
    }

    /// A certificate that this authority signs, with a new key, for a server, a client or both; valid for a year, or for
    /// a day if it is an administrator's.
    ///
    /// For the certificates of etcd's members and of the API server towards them (kubernetes/website,
    /// setup-ha-etcd-with-kubeadm). Everything else kubeadm issues itself.
    ///
    /// # Errors
    /// The authority's key is a stand-in, a name is not one, or the cryptography library refuses.
    pub fn issue(&self, common_name: &str, names: &[String], usage: Usage) -> Result<Self, SecretsError> {
        let failed = |source| SecretsError::Generate { what: format!("the certificate of {common_name:?}"), source };
        let signer = rcgen::KeyPair::from_pem(self.key.expose()).map_err(failed)?;
        let issuer = rcgen::Issuer::from_ca_cert_pem(&self.certificate, signer).map_err(failed)?;
        let key = KeyAlgorithm::EcdsaP256.generate().map_err(failed)?;
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name = named(common_name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = match usage {
            Usage::Client | Usage::Administrator => vec![ExtendedKeyUsagePurpose::ClientAuth],
            // etcd's gateway calls its own server with the server's certificate.
            Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        };
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, 1.year());
        if usage == Usage::Administrator {
            params.distinguished_name.push(DnType::OrganizationName, DnValue::Utf8String("system:masters".to_owned()));
            set_validity(&mut params, 1.day());
        }
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
        Ok(Self { certificate: certificate.pem(), key: Secret::new(key.serialize_pem()) })
    }

    /// The kind of its key.
    ///
    /// # Errors
    /// The key is a stand-in.
    pub(super) fn algorithm(&self) -> Result<KeyAlgorithm, SecretsError> {
        let failed = |source| SecretsError::Generate { what: "an authority like the one before".to_owned(), source };
        let key = rcgen::KeyPair::from_pem(self.key.expose()).map_err(failed)?;
        let is_rsa = key.is_compatible(&rcgen::PKCS_RSA_SHA256);
        Ok(if is_rsa { KeyAlgorithm::Rsa2048 } else { KeyAlgorithm::EcdsaP256 })
    }

    /// Why this is no authority whose key fits its certificate; `None` if it is one.
    pub(super) fn fault(&self) -> Option<String> {
        let Ok(key) = rcgen::KeyPair::from_pem(self.key.expose()) else {
            return Some("the key is not a PKCS#8 private key".to_owned());
        };
        let inspected = with_certificate(&self.certificate, |certificate| {
            (certificate.is_ca(), certificate.public_key().raw == rcgen::PublicKeyData::subject_public_key_info(&key))
        });
        match inspected {
            Err(reason) => Some(reason),
            Ok((false, _)) => Some("the certificate is not that of an authority".to_owned()),
            Ok((true, false)) => Some("the key does not belong to the certificate".to_owned()),
            Ok((true, true)) => None,
        }
    }
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// To show to servers.
    Client,
    /// To show to clients, and to other members.
    Server,
    /// To show to API servers, by whoever may do everything there (`system:masters`); for a day.
    Administrator,
}

fn named(common_name: &str) -> rcgen::DistinguishedName {
    let mut name = rcgen::DistinguishedName::new();
    name.push(DnType::CommonName, DnValue::Utf8String(common_name.to_owned()));
    name
}

/// From yesterday, because a node's clock may lag, for so long from today.
fn set_validity(params: &mut CertificateParams, time: Span) {
    // Dates of jiff are valid in the calendar, so rcgen cannot refuse them.
    let parts = |date: Date| (i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs());
    let today = crate::clock::now().to_zoned(TimeZone::UTC).date();
    let (first, last) = (parts(today.saturating_sub(1.day())), parts(today.saturating_add(time)));
    params.not_before = rcgen::date_time_ymd(first.0, first.1, first.2);
    params.not_after = rcgen::date_time_ymd(last.0, last.1, last.2);
}

/// A key pair without a certificate.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// The public key, PKIX PEM.
    pub public: String,
    /// The private key, PKCS#8 PEM.
    pub private: Secret<String>,
}

impl KeyPair {
    /// A new key pair.
    ///
    /// # Errors
    /// The cryptography library refuses.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, SecretsError> {
        let key = algorithm
            .generate()
            .map_err(|source| SecretsError::Generate { what: "the key pair of service accounts".to_owned(), source })?;
        Ok(Self { public: key.public_key_pem(), private: Secret::new(key.serialize_pem()) })
    }

    /// Why these two do not belong together; `None` if they do.
    pub(super) fn fault(&self) -> Option<String> {
        match rcgen::KeyPair::from_pem(self.private.expose()) {
            Err(_) => Some("the private key is not a PKCS#8 private key".to_owned()),
            Ok(key) if key.public_key_pem() != self.public => {
                Some("the public key does not belong to the private key".to_owned())
            }
            Ok(_) => None,
        }
    }
}

/// The pin of a CA certificate: `sha256:` and the hex digest of its DER `SubjectPublicKeyInfo`
/// (Kubernetes documentation, "kubeadm join"; RFC 7469).
///
/// # Errors
/// `pem` is not a certificate.
pub fn certificate_hash(pem: &str) -> Result<String, SecretsError> {
    with_certificate(pem, |certificate| Digest::of(certificate.public_key().raw).to_string())
        .map_err(|reason| SecretsError::Certificate { owner: "the cluster's CA".to_owned(), reason })
}

fn with_certificate<T>(
    pem: &str,
    look: impl FnOnce(&x509_parser::certificate::X509Certificate<'_>) -> T,
) -> Result<T, String> {
    let (_, block) =
        x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| "it is not a PEM certificate".to_owned())?;
    let certificate = block.parse_x509().map_err(|_| "it is not an X.509 certificate".to_owned())?;
    Ok(look(&certificate))
}

/// Random text of `[a-z0-9]`, from the generator of the operating system by way of a stream cipher.
pub(super) fn random_text(length: usize) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut rng = rand::rng();
    (0..length).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect()
}
