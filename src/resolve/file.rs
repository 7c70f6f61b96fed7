//! Plain files: from a version to a digest, by the catalogue or by the publisher's checksum file.

mod checksums;

use crate::arch::Arch;
use crate::catalog::vars::UnknownVariable;
use crate::catalog::{Catalog, Vars};
use crate::digest::Digest;
use crate::exit::{Exit, Explain};
use crate::lock::{File, Proof};
use crate::mirrors::{Mirrors, Origin};
use crate::net::address::{self, JoinError};
use crate::net::{Net, NetError};
use crate::profile::FileRequirement;
pub use checksums::ChecksumError;

/// A file that cannot be pinned.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The catalogue's text cannot be completed.
    #[error("component {component} asks for a file that cannot be named")]
    Variable {
        /// The component that asks.
        component: String,
        /// Which variable is missing.
        source: UnknownVariable,
    },
    /// A path that leads out of the source.
    #[error("component {component} asks for {path:?}, which is no path below a source")]
    Path {
        /// The component that asks.
        component: String,
        /// The path.
        path: String,
    },
    /// Nobody says what its bytes should be.
    #[error(
        "nothing is known of {name} {version} for {arch}: no digest in the catalogue and no checksum file of its publisher"
    )]
    Unknown {
        /// The file.
        name: String,
        /// Its version.
        version: String,
        /// Its architecture.
        arch: Arch,
    },
    /// No mirror serves the source.
    #[error("no mirror of this cluster serves {origin}, where the checksums of {name} {version} are")]
    NoMirror {
        /// The file.
        name: String,
        /// Its version.
        version: String,
        /// Name of the source.
        origin: String,
    },
    /// Every mirror's checksum file failed.
    #[error("no mirror has usable checksums of {name} {version} for {arch}:{}", list(attempts))]
    Checksums {
        /// The file.
        name: String,
        /// Its version.
        version: String,
        /// Its architecture.
        arch: Arch,
        /// What went wrong where, in order of trial; never empty.
        attempts: Vec<Attempt>,
    },
}

/// What went wrong with one mirror's checksum file.
#[derive(Debug)]
pub enum Attempt {
    /// It could not be read.
    Net(String, NetError),
    /// It was read and does not help.
    Content(String, String, ChecksumError),
    /// The mirror's base and the path do not make an address.
    Address(String, JoinError),
}

fn list(attempts: &[Attempt]) -> String {
    attempts.iter().fold(String::new(), |text, attempt| match attempt {
        Attempt::Net(mirror, error) => {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{text}\n  {mirror}: {error}{cause}")
        }
        Attempt::Content(mirror, url, error) => format!("{text}\n  {mirror}: {url}: {error}"),
        Attempt::Address(mirror, error) => format!("{text}\n  {mirror}: {error}"),
    })
}

impl Explain for FileError {
    fn exit(&self) -> Exit {
        match self {
            Self::Variable { .. } | Self::Path { .. } | Self::NoMirror { .. } => Exit::BadInput,
            Self::Unknown { .. } => Exit::Unsupported,
            // A file that came and does not say what it should weighs more than one that did not come.
            Self::Checksums { attempts, .. } => {
                if attempts.iter().any(|attempt| matches!(attempt, Attempt::Content(..))) {
                    Exit::Verification
                } else {
                    Exit::Network
                }
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Variable { .. } | Self::Path { .. } => {
                Some("correct the component in your catalogue directory".to_owned())
            }
            Self::Unknown { name, version, arch } | Self::Checksums { name, version, arch, .. } => Some(format!(
                "if you know its sha256, pin it in your own catalogue directory: digests/{name}.yaml, under {arch} and \"{version}\""
            )),
            Self::NoMirror { origin, .. } => {
                Some(format!("add a mirror that serves {origin} to `mirrors:` in the cluster file"))
            }
        }
    }
}

/// Pins what `need` asks for on `arch`. `vars` holds the versions of the Kubernetes release. The caller adds who needs it (`why`).
///
/// # Errors
/// A variable without a value; a version that neither the catalogue nor a checksum file knows.
pub async fn resolve(
    need: &FileRequirement,
    arch: Arch,
    vars: &Vars,
    catalog: &Catalog,
    mirrors: &Mirrors,
    net: &Net,
) -> Result<File, FileError> {
    let unknown = |source| FileError::Variable { component: need.component.clone(), source };
    let vars = vars.clone().with("arch", arch).with("machine", arch.machine());
    let version = vars.fill(&need.version).map_err(unknown)?;
    let vars = vars.with("version", &version);
    let path = below(need, vars.fill(&need.path).map_err(unknown)?)?;
    let known = catalog.digests.get(&need.name).and_then(|archs| archs.get(&arch)).and_then(|all| all.get(&version));
    let (sha256, proof) = if let Some(digest) = known {
        (*digest, Proof::Catalogue)
    } else {
        let name = || (need.name.clone(), version.clone());
        let Some(checksums) = &need.checksums else {
            let (name, version) = name();
            return Err(FileError::Unknown { name, version, arch });
        };
        let checksums = below(need, vars.fill(checksums).map_err(unknown)?)?;
        let origins = mirrors.origins(catalog, &need.source, &vars).map_err(unknown)?;
        if origins.is_empty() {
            let (name, version) = name();
            return Err(FileError::NoMirror { name, version, origin: need.source.clone() });
        }
        let digest = published(net, &origins, &checksums, &path).await.map_err(|attempts| {
            let (name, version) = name();
            FileError::Checksums { name, version, arch, attempts }
        })?;
        (digest, Proof::Publisher(checksums))
    };
    Ok(File {
        arch,
        name: need.name.clone(),
        version,
        size: None,
        sha256,
        source: need.source.clone(),
        path,
        install: need.install.clone(),
        proof,
        why: Vec::new(),
    })
}

/// The digest of the file at `path` by the first mirror whose checksum file has it.
async fn published(net: &Net, origins: &[Origin], checksums: &str, path: &str) -> Result<Digest, Vec<Attempt>> {
    let mut attempts = Vec::new();
    for origin in origins {
        let mirror = || origin.mirror.clone();
        let url = match address::join(&origin.base, checksums) {
            Ok(url) => url,
            Err(error) => {
                attempts.push(Attempt::Address(mirror(), error));
                continue;
            }
        };
        match net.read(&url, checksums::LIMIT).await {
            Ok(text) => match checksums::find(&text, path) {
                Ok(digest) => return Ok(digest),
                Err(error) => attempts.push(Attempt::Content(mirror(), address::shown(&url), error)),
            },
            Err(error) => attempts.push(Attempt::Net(mirror(), error)),
        }
    }
    Err(attempts)
}

/// `path` if it stays below a base and holds nothing that a URL treats as more than a path.
fn below(need: &FileRequirement, path: String) -> Result<String, FileError> {
    let plain = !path.contains(['?', '#', '\\']) && !path.chars().any(char::is_control);
    let inside = path.split('/').all(|element| !matches!(element, "" | "." | ".."));
    if plain && inside { Ok(path) } else { Err(FileError::Path { component: need.component.clone(), path }) }
}
