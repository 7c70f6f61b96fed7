//! Plain files: from a version to a digest, by the catalogue or by the publisher's checksum file.

mod checksums;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::Upgrade;
use super::release::release;
use crate::arch::Arch;
use crate::catalog::component::Install;
use crate::catalog::vars::UnknownVariable;
use crate::catalog::{Catalog, Vars};
use crate::digest::Digest;
use crate::exit::{Exit, Explain};
use crate::kubernetes::KubernetesVersion;
use crate::lock::{File, Lock, Proof, Why};
use crate::mirrors::{Mirrors, Origin};
use crate::net::address::{self, JoinError};
use crate::net::{Net, NetError};
use crate::profile::{FileRequirement, Requirements};
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
                let wrong = |attempt: &Attempt| match attempt {
                    Attempt::Content(..) => true,
                    Attempt::Net(_, error) => error.exit() == Exit::Verification,
                    Attempt::Address(..) => false,
                };
                if attempts.iter().any(wrong) { Exit::Verification } else { Exit::Network }
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Variable { .. } | Self::Path { .. } => {
                Some("correct the component in your catalogue directory".to_owned())
            }
            Self::Unknown { name, version, arch } | Self::Checksums { name, version, arch, .. } => Some(format!(
                "if you know its sha256, add the line `{name} {version} {arch} SHA256` to digests.txt in your own catalogue directory"
            )),
            Self::NoMirror { origin, .. } => {
                Some(format!("add a mirror that serves {origin} to `mirrors:` in the cluster file"))
            }
        }
    }
}

/// Pins the plain files of all roles. A digest of the catalogue always counts; one that `previous` had from the publisher stays,
/// unless `upgrade` frees it. Ordered by role; the same file of several roles is looked up once and listed for each.
///
/// # Errors
/// The first file, in that order, that cannot be pinned.
pub async fn all(
    requirements: &Requirements,
    kubernetes: Option<KubernetesVersion>,
    catalog: &Catalog,
    mirrors: &Mirrors,
    net: &Net,
    previous: Option<&Lock>,
    upgrade: &Upgrade,
) -> Result<Vec<File>, FileError> {
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    for role in &requirements.roles {
        let vars = release(catalog, role, requirements, kubernetes);
        for need in &role.files {
            let why = Why { role: role.role, component: need.component.clone(), chain: vec![need.name.clone()] };
            let file = named(need, role.target.arch, &vars)?;
            match wanted.iter_mut().find(|known| known.file == file) {
                Some(known) => known.why.push(why),
                None => wanted.push(Wanted { need, file, why: vec![why] }),
            }
        }
    }
    let kept = previous.map(|lock| lock.files.as_slice()).unwrap_or_default();
    stream::iter(wanted)
        .map(async |Wanted { need, file, why }| {
            let free = why.iter().any(|why| upgrade.frees(&why.component));
            let known = catalog.digests.get(&need.name).and_then(|archs| archs.get(&file.arch));
            let known = known.and_then(|versions| versions.get(&file.version));
            let kept = kept.iter().find(|kept| !free && file.is(kept, need));
            let (sha256, size, proof) = match (known, kept) {
                (Some(digest), kept) => {
                    let size = kept.filter(|kept| kept.sha256 == *digest).and_then(|kept| kept.size);
                    (*digest, size, Proof::Catalogue)
                }
                (None, Some(kept)) => (kept.sha256, kept.size, kept.proof.clone()),
                (None, None) => {
                    let (digest, checksums) = look_up(need, &file, catalog, mirrors, net).await?;
                    (digest, None, Proof::Publisher(checksums))
                }
            };
            let Named { arch, version, path, .. } = file;
            let (name, source, install) = (need.name.clone(), need.source.clone(), need.install.clone());
            Ok(File { arch, name, version, size, sha256, source, path, install, proof, why })
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// How many checksum files are read at once; the network has limits of its own for each host.
const AT_ONCE: usize = 16;

/// A file that some roles want.
struct Wanted<'a> {
    need: &'a FileRequirement,
    file: Named,
    why: Vec<Why>,
}

/// The texts of a requirement, filled in.
#[derive(PartialEq, Eq)]
struct Named {
    vars: Vars,
    arch: Arch,
    name: String,
    source: String,
    version: String,
    path: String,
    install: Install,
}

impl Named {
    fn is(&self, kept: &File, need: &FileRequirement) -> bool {
        // Without a checksum file there is nothing that a digest could have come from but the catalogue, which lost it.
        need.checksums.is_some()
            && matches!(kept.proof, Proof::Publisher(_))
            && (kept.arch, &kept.name, &kept.version) == (self.arch, &self.name, &self.version)
            && (&kept.source, &kept.path) == (&self.source, &self.path)
    }
}

fn named(need: &FileRequirement, arch: Arch, vars: &Vars) -> Result<Named, FileError> {
    let unknown = |source| FileError::Variable { component: need.component.clone(), source };
    let version = vars.fill(&need.version).map_err(unknown)?;
    let vars = vars.clone().with("version", &version);
    let path = below(need, vars.fill(&need.path).map_err(unknown)?)?;
    let (name, source, install) = (need.name.clone(), need.source.clone(), need.install.clone());
    Ok(Named { vars, arch, name, source, version, path, install })
}

/// The digest by the publisher, and the path of the checksum file that says so.
async fn look_up(
    need: &FileRequirement,
    file: &Named,
    catalog: &Catalog,
    mirrors: &Mirrors,
    net: &Net,
) -> Result<(Digest, String), FileError> {
    let (name, version, arch) = (need.name.clone(), file.version.clone(), file.arch);
    let unknown = |source| FileError::Variable { component: need.component.clone(), source };
    let Some(checksums) = &need.checksums else { return Err(FileError::Unknown { name, version, arch }) };
    let checksums = below(need, file.vars.fill(checksums).map_err(unknown)?)?;
    let origins = mirrors.origins(catalog, &need.source, &file.vars).map_err(unknown)?;
    if origins.is_empty() {
        return Err(FileError::NoMirror { name, version, origin: need.source.clone() });
    }
    match published(net, &origins, &checksums, &file.path).await {
        Ok(digest) => Ok((digest, checksums)),
        Err(attempts) => Err(FileError::Checksums { name, version, arch, attempts }),
    }
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
