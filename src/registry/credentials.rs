//! Names and passwords for registries, as `docker login` and `podman login` leave them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::exit::{Exit, Explain};

/// No such file is larger.
const LIMIT: u64 = 1 << 20;

/// Docker Hub's key in such files, from before registries had a protocol of their own.
const DOCKER_HUB: &str = "index.docker.io";

/// Who the user is at which registry; nobody anywhere by default.
#[derive(Clone, Default)]
pub struct Credentials(BTreeMap<String, Login>);

/// A name and a password. Cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    name: String,
    password: Zeroizing<String>,
}

/// A file of credentials that cannot be used. The message never holds any of its contents.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("cannot read the registry credentials {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is too large to be one.
    #[error("{} has more than {LIMIT} bytes and so is no file of registry credentials", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not of docker's shape.
    #[error("{} is not a docker config.json: {reason} at line {line}, column {column}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What kind of mistake.
        reason: &'static str,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// One entry has no name and password that can be read.
    #[error("the entry for {host} in {} holds no name and password", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The registry.
        host: String,
    },
}

impl Explain for CredentialsError {
    fn exit(&self) -> Exit {
        match self {
            Self::Read { .. } => Exit::LocalIo,
            Self::TooLarge { .. } | Self::Malformed { .. } | Self::Entry { .. } => Exit::BadInput,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            "write the file with `docker login`, without a credential helper (no credsStore, no credHelpers)"
                .to_owned(),
        )
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    auth: Option<Zeroizing<String>>,
    username: Option<String>,
    password: Option<Zeroizing<String>>,
}

/// An entry that makes no sense; there is nothing more to say without saying too much.
struct NoLogin;

impl Credentials {
    /// Reads a docker `config.json`.
    ///
    /// # Errors
    /// A file that cannot be read, or an entry without a usable name and password.
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        let failed = |source| CredentialsError::Read { path: path.to_owned(), source };
        let mut bytes = Zeroizing::new(Vec::new());
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > LIMIT {
            return Err(CredentialsError::TooLarge { path: path.to_owned() });
        }
        Self::parse(path, &bytes)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, CredentialsError> {
        // serde_json's own text may quote a value, which may be a password.
        let file: File = serde_json::from_slice(bytes).map_err(|error| CredentialsError::Malformed {
            path: path.to_owned(),
            reason: match error.classify() {
                serde_json::error::Category::Eof => "it ends too early",
                serde_json::error::Category::Data => "a value has the wrong type",
                serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is no JSON",
            },
            line: error.line(),
            column: error.column(),
        })?;
        let mut logins = BTreeMap::new();
        for (key, auth) in file.auths {
            let host = host_of(&key).to_owned();
            match auth.login() {
                Ok(Some(login)) => drop(logins.insert(host, login)),
                Ok(None) => {}
                Err(NoLogin) => return Err(CredentialsError::Entry { path: path.to_owned(), host }),
            }
        }
        Ok(Self(logins))
    }

    /// Who the user is at `host[:port]`.
    pub(super) fn at(&self, host: &str) -> Option<&Login> {
        let hub = matches!(host, "docker.io" | "registry-1.docker.io");
        self.0.get(host).or_else(|| hub.then(|| self.0.get(DOCKER_HUB)).flatten())
    }
}

impl Auth {
    /// Nothing where the entry is empty, which means that a credential helper keeps it.
    fn login(self) -> Result<Option<Login>, NoLogin> {
        if let (Some(name), Some(password)) = (self.username, self.password) {
            return Ok(Some(Login { name, password }));
        }
        let Some(auth) = self.auth.filter(|auth| !auth.is_empty()) else { return Ok(None) };
        let bytes = Zeroizing::new(STANDARD_NO_PAD.decode(auth.trim_end_matches('=')).map_err(|_| NoLogin)?);
        let text = std::str::from_utf8(&bytes).map_err(|_| NoLogin)?;
        let (name, password) = text.split_once(':').ok_or(NoLogin)?;
        // Some writers of these files pad the password with zero bytes.
        let password = Zeroizing::new(password.trim_end_matches('\0').to_owned());
        Ok(Some(Login { name: name.to_owned(), password }))
    }
}

impl Login {
    /// The value of an `Authorization` header (RFC 7617).
    pub(super) fn basic(&self) -> Zeroizing<String> {
        let pair = Zeroizing::new(format!("{}:{}", self.name, self.password.as_str()));
        Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The host of a key such as `https://index.docker.io/v1/`.
fn host_of(key: &str) -> &str {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    key.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Credentials, CredentialsError> {
        Credentials::parse(Path::new("config.json"), text.as_bytes())
    }

    #[test]
    fn reads_the_shapes_that_tools_write() {
        let text = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "dXNlcjpwYTpzcw=="},
            "127.0.0.1:5000": {"auth": "dXNlcjpwYTpzcw"},
            "quay.io/team": {"username": "user", "password": "pa:ss"},
            "helper.example": {}
        }, "credsStore": "desktop"}"#;
        let credentials = parse(text).expect("valid");
        for host in ["registry-1.docker.io", "127.0.0.1:5000", "quay.io"] {
            let basic = credentials.at(host).map(|login| login.basic().to_string());
            assert_eq!(basic.as_deref(), Some("Basic dXNlcjpwYTpzcw=="), "{host}");
        }
        assert_eq!(credentials.at("helper.example"), None);
        assert_eq!(credentials.at("elsewhere.example"), None);
    }

    #[test]
    fn nothing_secret_is_ever_printed() {
        let credentials = parse(r#"{"auths": {"h": {"auth": "dXNlcjpwYTpzcw=="}}}"#).expect("valid");
        assert_eq!(format!("{credentials:?} {:?}", credentials.at("h")), r#"{"h"} Some(Login(…))"#);
        for text in [
            r#"{"auths": {"h": "s3cret"}}"#,
            r#"{"auths": {"h": {"auth": "s3cret!"}}}"#,
            r#"{"auths": {"h": {"auth": 3141592}}}"#,
            "s3cret",
        ] {
            let error = parse(text).expect_err("not valid");
            let told = format!("{error} {error:?}");
            assert!(!told.contains("s3cret") && !told.contains("3141592"), "{told}");
        }
    }
}
