//! One repository on its mirrors: the release file, its proof, and the indices that it vouches for.
//!
//! Each mirror is asked for all of it, because mirrors are rarely at the same state; only the index files, which have a digest
//! by then, may come from any of them. A mirror that fails in any way is left for the next with a note.

use std::sync::Arc;

use jiff::Timestamp;

use super::release::{Expectation, ListedFile, Release, ReleaseError};
use crate::arch::Arch;
use crate::lock::Proof;
use crate::mirrors::Origin;
use crate::net::address::join;
use crate::net::{Download, Net, Source};
use crate::openpgp::{self, Keyring, Signed};
use crate::report::{Event, Reporter};
use crate::resolve::attempt::{MirrorError, RepositoryError, blocking, first_good, is_absent};
use crate::resolve::authority::{Authority, verify_with_published_keys};
use crate::resolve::compression::Compression;
use crate::resolve::index::Index;
use crate::resolve::shelve::{Kind, MAX_INDEX, remembered, shelve};
use crate::store::Store;

/// Where in a repository the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// Below `dists/<suite>`, in components.
    Suite {
        /// The suite.
        suite: String,
        /// Its components.
        components: Vec<String>,
    },
    /// At the base.
    Flat,
}

/// What is wanted of a repository.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Name of the source, for messages and the lock.
    pub source: String,
    /// Name of this part of it in messages and the lock: the suite, or `v1.34`.
    pub part: String,
    /// Where its files are.
    pub layout: Layout,
    /// The architecture of the packages.
    pub arch: Arch,
    /// Its mirrors in order of trial.
    pub origins: Vec<Origin>,
    /// What proves it.
    pub authority: Authority,
    /// `Date` of the release file that the lock was made from.
    pub seen: Option<Timestamp>,
}

/// A repository whose indices are proven.
#[derive(Debug, Clone)]
pub struct Repository {
    /// `Date` of its release file.
    pub date: Timestamp,
    /// How that was proven.
    pub proof: Proof,
    /// One index for each component and kind of architecture, in order.
    pub indices: Vec<Arc<Index>>,
}

impl Wanted {
    /// Gets the repository from the first mirror that has it whole and proven. `at` is now.
    ///
    /// # Errors
    /// No mirror; all failed, each with its reason; a store that cannot be used; offline.
    pub async fn load(&self, net: &Net, store: &Store, at: Timestamp) -> Result<Repository, RepositoryError> {
        let load = async |origin: &Origin| self.load_from(origin, net, store, at).await;
        first_good(&self.source, &self.part, &self.origins, net.reporter(), load).await
    }

    async fn load_from(
        &self,
        origin: &Origin,
        net: &Net,
        store: &Store,
        at: Timestamp,
    ) -> Result<Repository, MirrorError> {
        let (text, proof) = match &self.authority {
            Authority::Nobody => (self.unsigned(origin, net).await?, Proof::Unsigned),
            Authority::Keys { keyring, path } => {
                let signed = self.signed(origin, keyring, path.as_deref(), net, at).await?;
                if signed.expired {
                    self.warn(net.reporter(), format!("its signing key {} has expired since", signed.fingerprint));
                }
                (signed.text, Proof::Signature(signed.fingerprint))
            }
        };
        let release = Release::parse(&text)?;
        let suite = match &self.layout {
            Layout::Suite { suite, .. } => Some(suite.as_str()),
            Layout::Flat => None,
        };
        release.check(&Expectation { suite, at, seen: self.seen })?;
        let mut indices = Vec::new();
        for (directory, optional) in self.directories(&release) {
            indices.extend(self.index(origin, &release, &directory, optional, net, store).await?);
        }
        Ok(Repository { date: release.date, proof, indices })
    }

    fn warn(&self, reporter: &dyn Reporter, what: String) {
        reporter.report(Event::Warning { text: format!("repository {} {}: {what}", self.source, self.part) });
    }

    /// The release file with its signature, inside or beside it.
    async fn signed(
        &self,
        origin: &Origin,
        keyring: &Keyring,
        key_path: Option<&str>,
        net: &Net,
        at: Timestamp,
    ) -> Result<Signed, MirrorError> {
        let (release, signature) = match self.read(origin, "InRelease", openpgp::MAX_CLEARSIGNED, net).await {
            Ok(file) => (file, None),
            Err(MirrorError::Net(error)) if is_absent(&error) => {
                let release = self.read(origin, "Release", openpgp::MAX_TEXT, net).await?;
                let signature = self.read(origin, "Release.gpg", openpgp::MAX_SIGNATURE, net).await.map_err(
                    |error| match error {
                        MirrorError::Net(error) if is_absent(&error) => MirrorError::Unsigned,
                        other => other,
                    },
                )?;
                (release, Some(signature))
            }
            Err(error) => return Err(error),
        };
        let verify = |keyring: &Keyring| match &signature {
            None => keyring.verify_inrelease(&release, at),
            Some(signature) => keyring.verify_detached(&release, signature, at),
        };
        verify_with_published_keys(keyring, origin, key_path, net, verify).await
    }

    async fn unsigned(&self, origin: &Origin, net: &Net) -> Result<String, MirrorError> {
        let text = match self.read(origin, "Release", openpgp::MAX_TEXT, net).await {
            Ok(file) => String::from_utf8_lossy(&file).into_owned(),
            Err(MirrorError::Net(error)) if is_absent(&error) => {
                openpgp::unproven_text(&self.read(origin, "InRelease", openpgp::MAX_CLEARSIGNED, net).await?)?
            }
            Err(error) => return Err(error),
        };
        self.warn(net.reporter(), "its signature is not checked, as the cluster file says".to_owned());
        Ok(text)
    }

    async fn read(&self, origin: &Origin, name: &str, limit: usize, net: &Net) -> Result<Vec<u8>, MirrorError> {
        let url = join(&origin.base, &self.path(name))?;
        Ok(net.read(&url, limit as u64).await?)
    }

    /// A path below the base, from one below the release file.
    fn path(&self, below: &str) -> String {
        match &self.layout {
            Layout::Suite { suite, .. } => format!("dists/{suite}/{below}"),
            Layout::Flat => below.to_owned(),
        }
    }

    /// Where the indices are, below the release file, each with a `/` at its end; and whether it may be missing.
    fn directories(&self, release: &Release) -> Vec<(String, bool)> {
        let Layout::Suite { components, .. } = &self.layout else { return vec![(String::new(), false)] };
        let mut directories = Vec::new();
        for component in components {
            directories.push((format!("{component}/binary-{}/", self.arch), false));
            // Where packages for all architectures have an index of their own, the others need not repeat them.
            if release.separate_all {
                directories.push((format!("{component}/binary-all/"), true));
            }
        }
        directories
    }

    async fn index(
        &self,
        origin: &Origin,
        release: &Release,
        directory: &str,
        optional: bool,
        net: &Net,
        store: &Store,
    ) -> Result<Option<Arc<Index>>, MirrorError> {
        let path = format!("{directory}Packages");
        let listed: Vec<(Compression, &ListedFile)> = Compression::ALL
            .into_iter()
            .filter_map(|compression| Some((compression, release.file(&format!("{path}{}", compression.ending()))?)))
            .collect();
        for (_, file) in &listed {
            let (store, digest, arch) = (store.clone(), file.sha256, self.arch);
            if let Some(index) = blocking(move || remembered(&store, Kind::Packages, &digest, arch)).await?? {
                return Ok(Some(Arc::new(index)));
            }
        }
        let limit = release.file(&path).map_or(MAX_INDEX, |plain| plain.size.min(MAX_INDEX));
        let mut failure = None;
        for (compression, file) in listed {
            let download = self.download(origin, release, directory, file)?;
            match net.download(&download, store).await {
                Ok(blob) => {
                    let (store, arch) = (store.clone(), self.arch);
                    let read =
                        blocking(move || shelve(&store, Kind::Packages, &blob, compression, arch, limit)).await?;
                    let url = self.path(&file.path);
                    return Ok(Some(Arc::new(read.map_err(|source| MirrorError::Index { path: url, source })?)));
                }
                // A release file may list what is not kept, most often the one that is not compressed.
                Err(error) => failure = Some(failure.unwrap_or(error)),
            }
        }
        match failure {
            Some(error) => Err(error.into()),
            None if optional => Ok(None),
            None => Err(ReleaseError::NoIndex { path }.into()),
        }
    }

    fn download(
        &self,
        first: &Origin,
        release: &Release,
        directory: &str,
        file: &ListedFile,
    ) -> Result<Download, MirrorError> {
        let by_hash = self.path(&format!("{directory}by-hash/SHA256/{}", file.sha256.hex()));
        let plain = self.path(&file.path);
        let mut sources: Vec<Source> = Vec::new();
        for origin in std::iter::once(first).chain(&self.origins) {
            // By its digest, an index outlives the moment at which the mirror changes to the next state.
            for path in [&by_hash, &plain].into_iter().skip(usize::from(!release.by_hash)) {
                let url = join(&origin.base, path)?;
                if !sources.iter().any(|source| source.url == url) {
                    sources.push(Source { mirror: origin.mirror.clone(), url, authorization: None });
                }
            }
        }
        Ok(Download {
            label: format!("{} {}", self.source, plain),
            digest: file.sha256,
            size: Some(file.size),
            limit: file.size,
            origins: sources,
        })
    }
}
