//! What only the nodes of one cluster may know: its certificate authorities, its join token, its VRRP password.
//!
//! Kept as one YAML file beside the cluster file, readable by its owner alone, made once and never replaced by khimg
//! itself. Nothing of it may reach a bundle: bundles are public.

mod file;
mod pki;
mod secret;
mod token;

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::digest::Digest;
use crate::exit::{Exit, Explain};
pub use pki::{Authority, KeyAlgorithm, KeyPair, Usage, certificate_hash};
pub use secret::Secret;
pub use token::Token;

/// The name of the file, beside the cluster file.
pub const FILE_NAME: &str = "secrets.yaml";

/// Everything secret of one cluster.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Signs what the API server and its clients show. Common name `kubernetes`.
    pub ca: Authority,
    /// Signs etcd's servers, peers and clients. Common name `etcd-ca`.
    pub etcd_ca: Authority,
    /// Signs the aggregation layer's client. Common name `front-proxy-ca`.
    pub front_proxy_ca: Authority,
    /// Signs the tokens of service accounts; always RSA.
    pub service_account: KeyPair,
    /// What nodes join with.
    pub token: Token,
    /// Password of VRRP version 2, 8 characters: keepalived reads no more. Version 3 has none.
    pub vrrp_password: Secret<String>,
    /// Whether these are marks in the place of secrets, for a dry run.
    pub stand_in: bool,
}

impl Secrets {
    /// New secrets. `algorithm` is that of the three authorities; 10 years from today.
    ///
    /// # Errors
    /// The cryptography library refuses.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, SecretsError> {
        Ok(Self {
            ca: Authority::generate("kubernetes", algorithm)?,
            etcd_ca: Authority::generate("etcd-ca", algorithm)?,
            front_proxy_ca: Authority::generate("front-proxy-ca", algorithm)?,
            // kubeadm 1.20 refuses anything else here (cmd/kubeadm/app/util/pkiutil, `isn't in RSA format`).
            service_account: KeyPair::generate(KeyAlgorithm::Rsa2048)?,
            token: Token::generate(),
            vrrp_password: new_password(),
            stand_in: false,
        })
    }

    /// The secrets in the file at `path`; made with ECDSA P-256 and written if there is no such file.
    ///
    /// Two runs at once agree: the second takes what the first has written.
    ///
    /// # Errors
    /// The file can be read by others than its owner, cannot be read or written, or does not hold what it must.
    pub fn load_or_create(path: &Path) -> Result<Self, SecretsError> {
        match file::read(path)? {
            Some(secrets) => Ok(secrets),
            None => Self::create(path, KeyAlgorithm::EcdsaP256),
        }
    }

    /// The secrets in the file at `path`.
    ///
    /// # Errors
    /// As [`Self::load_or_create`], and where there is no such file.
    pub fn load(path: &Path) -> Result<Self, SecretsError> {
        file::read(path)?.ok_or_else(|| SecretsError::Missing { path: path.to_owned() })
    }

    /// Makes new secrets and writes them to `path`, unless a file appears there first: then those are the secrets.
    ///
    /// # Errors
    /// As [`Self::load_or_create`].
    pub fn create(path: &Path, algorithm: KeyAlgorithm) -> Result<Self, SecretsError> {
        let secrets = Self::generate(algorithm)?;
        if file::write_new(path, &secrets)? { Ok(secrets) } else { Self::load(path) }
    }

    /// Replaces the secrets in the file at `path` by new ones, and gives them with the place where the old ones are now: the
    /// same name with the first free number behind it. A running cluster knows nothing of this.
    ///
    /// # Errors
    /// As [`Self::load`]; the files cannot be written.
    pub fn rotate(path: &Path, rotation: Rotation) -> Result<(Self, PathBuf), SecretsError> {
        let old = Self::load(path)?;
        let new = match rotation {
            Rotation::Token => Self { token: Token::generate(), vrrp_password: new_password(), ..old },
            Rotation::Everything => Self::generate(old.ca.algorithm()?)?,
        };
        let kept = file::replace(path, &new)?;
        Ok((new, kept))
    }

    /// Marks in the place of secrets, always the same: for a dry run, which must neither need nor make any.
    ///
    /// The certificate is a real one, so that programs can check the files around it; its key has never been kept.
    pub fn stand_in() -> Self {
        let authority =
            || Authority { certificate: pki::STAND_IN_CERTIFICATE.to_owned(), key: Secret::new(mark("private key")) };
        Self {
            ca: authority(),
            etcd_ca: authority(),
            front_proxy_ca: authority(),
            service_account: KeyPair { public: mark("public key"), private: Secret::new(mark("private key")) },
            token: Token::stand_in(),
            vrrp_password: Secret::new("STAND-IN".to_owned()),
            stand_in: true,
        }
    }

    /// What `node` shows when it says how far it is. Made of a key that only masters have, so that no node can speak for another
    /// one, and the same for every seed of the node.
    pub fn report_token(&self, node: &str) -> Secret<String> {
        if self.stand_in {
            return Secret::new(mark("report token"));
        }
        let text = Zeroizing::new(format!("khimg report token\0{node}\0{}", self.ca.key.expose()));
        Secret::new(Digest::of(text.as_bytes()).hex())
    }

    /// The pin of the cluster's CA, as `kubeadm join` takes it: `sha256:` and the digest of its public key.
    ///
    /// # Errors
    /// The certificate is not one.
    pub fn ca_hash(&self) -> Result<String, SecretsError> {
        certificate_hash(&self.ca.certificate)
    }
}

/// What is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// The token and the VRRP password.
    Token,
    /// The authorities as well: another cluster.
    Everything,
}

fn new_password() -> Secret<String> {
    Secret::new(pki::random_text(8))
}

fn mark(what: &str) -> String {
    format!("khimg stand-in: the {what} stands here on a real node\n")
}

/// Why there are no secrets. No variant holds a part of one.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// There is no such file.
    #[error("the secrets file {} does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read or written.
    #[error("cannot {action} the secrets file {}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Others than its owner can read the file.
    #[error("the secrets file {} has mode {mode:04o}, so others than its owner can reach it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is no secrets file. Without the text, which may be secret.
    #[error("the secrets file {} is not as khimg writes it (line {line}, column {column})", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, from 1; 0 if unknown.
        line: u64,
        /// Column, from 1; 0 if unknown.
        column: u64,
    },
    /// One value does not fit.
    #[error("the secrets file {}: {what}", path.display())]
    Unsound {
        /// The file.
        path: PathBuf,
        /// Which value, and what is wrong with it.
        what: String,
    },
    /// A certificate that is not one.
    #[error("the certificate of {owner} cannot be read: {reason}")]
    Certificate {
        /// Whose.
        owner: String,
        /// Why not.
        reason: String,
    },
    /// The cryptography library refused.
    #[error("cannot make {what}")]
    Generate {
        /// What was to be made.
        what: String,
        /// The library's reason.
        source: rcgen::Error,
    },
}

impl Explain for SecretsError {
    fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } => Exit::LocalIo,
            Self::Missing { .. }
            | Self::Exposed { .. }
            | Self::Malformed { .. }
            | Self::Unsound { .. }
            | Self::Certificate { .. } => Exit::BadInput,
            Self::Generate { .. } => Exit::Unexpected,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Exposed { path, .. } => Some(format!("run: chmod 600 {}", path.display())),
            Self::Missing { .. } => Some("`khimg build` makes it".to_owned()),
            Self::Malformed { path, .. } | Self::Unsound { path, .. } => Some(format!(
                "restore {} from a backup; a running cluster cannot do without it, a new one can: then move it away",
                path.display()
            )),
            _ => None,
        }
    }
}
