//! One repository on its mirrors: `repomd.xml`, its proof, and the lists that it vouches for.
//!
//! As with apt, each mirror is asked for all of it; only the lists, which have a digest by then, may come from any.

use std::sync::Arc;

use jiff::Timestamp;

use super::filelists::{self, Owners};
use super::modules::Modules;
use super::repomd::{Data, Repomd, RepomdError};
use crate::arch::Arch;
use crate::lock::Proof;
use crate::mirrors::Origin;
use crate::net::address::join;
use crate::net::{Download, Net, Source};
use crate::openpgp::{self, Keyring, Signed};
use crate::report::Event;
use crate::resolve::attempt::{MirrorError, RepositoryError, blocking, first_good, is_absent};
use crate::resolve::authority::{Authority, verify_with_published_keys};
use crate::resolve::compression::Compression;
use crate::resolve::index::Index;
use crate::resolve::shelve::{Kind, MAX_INDEX, ShelveError, remembered, shelve};
use crate::store::{Store, Verified};

/// Largest list as it is served, where nothing tells its size. Fedora's largest has 80 MB.
const MAX_SERVED: u64 = 256 << 20;

/// What leads from a signature to the packages.
#[derive(Debug, Clone)]
pub enum Chain {
    /// `repomd.xml` is signed, and digests lead on from there.
    Metadata(Authority),
    /// Nothing that lists packages is signed, but each package is, by one of the keys with these fingerprints. That counts when
    /// it is fetched.
    Packages(Vec<String>),
}

/// What is wanted of a repository.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Name of the source, for messages and the lock.
    pub source: String,
    /// Path of the repository below the source's base, without a `/` at either end; its name in messages and the lock.
    pub part: String,
    /// The architecture of the packages.
    pub arch: Arch,
    /// Mirrors of the source in order of trial.
    pub origins: Vec<Origin>,
    /// What proves it.
    pub trust: Chain,
    /// The time of the `repomd.xml` that the lock was made from.
    pub seen: Option<Timestamp>,
}

/// A repository whose package list is proven, or whose packages prove themselves.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Its path below the source's base.
    pub part: String,
    /// The time of its `repomd.xml`.
    pub date: Timestamp,
    /// How the digests in it are proven.
    pub proof: Proof,
    /// Its packages.
    pub index: Arc<Index>,
    /// What its modules hide of them, and of those of other repositories.
    pub modules: Arc<Modules>,
    filelists: Option<Data>,
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
        let text = self.read(origin, "repodata/repomd.xml", openpgp::MAX_TEXT, net).await?;
        let warn = |what: String| {
            let text = format!("repository {} {}: {what}", self.source, self.part);
            net.reporter().report(Event::Warning { text });
        };
        let (text, proof) = match &self.trust {
            Chain::Metadata(Authority::Nobody) => {
                warn("its signature is not checked, as the cluster file says".to_owned());
                (text, Proof::Unsigned)
            }
            Chain::Packages(fingerprints) => (text, Proof::Package(fingerprints.clone())),
            Chain::Metadata(Authority::Keys { keyring, path }) => {
                let signed = self.signed(origin, &text, keyring, path.as_deref(), net, at).await?;
                if signed.expired {
                    warn(format!("its signing key {} has expired since", signed.fingerprint));
                }
                (signed.text.into_bytes(), Proof::Signature(signed.fingerprint))
            }
        };
        let repomd = Repomd::parse(&text)?;
        repomd.check(at, self.seen)?;
        let list = repomd.list("primary").ok_or(RepomdError::NoList { kind: "primary" })?;
        let index = self.index(origin, list, net, store).await?;
        let modules = match repomd.list("modules") {
            Some(list) => self.modules(origin, list, net, store).await?,
            None => Arc::default(),
        };
        let part = self.part.clone();
        Ok(Repository { part, date: repomd.date, proof, index, modules, filelists: repomd.list("filelists").cloned() })
    }

    async fn signed(
        &self,
        origin: &Origin,
        text: &[u8],
        keyring: &Keyring,
        key_path: Option<&str>,
        net: &Net,
        at: Timestamp,
    ) -> Result<Signed, MirrorError> {
        let read = self.read(origin, "repodata/repomd.xml.asc", openpgp::MAX_SIGNATURE, net).await;
        let signature = match read {
            Err(MirrorError::Net(error)) if is_absent(&error) => return Err(MirrorError::UnsignedRepomd),
            other => other?,
        };
        let verify = |keyring: &Keyring| keyring.verify_detached(text, &signature, at);
        verify_with_published_keys(keyring, origin, key_path, net, verify).await
    }

    async fn read(&self, origin: &Origin, name: &str, limit: usize, net: &Net) -> Result<Vec<u8>, MirrorError> {
        let url = join(&origin.base, &self.path(name))?;
        Ok(net.read(&url, limit as u64).await?)
    }

    /// A path below the source's base, from one below the repository.
    fn path(&self, below: &str) -> String {
        format!("{}/{below}", self.part)
    }

    async fn index(&self, origin: &Origin, list: &Data, net: &Net, store: &Store) -> Result<Arc<Index>, MirrorError> {
        let (kept, digest, arch) = (store.clone(), list.sha256, self.arch);
        if let Some(index) = blocking(move || remembered(&kept, Kind::Primary, &digest, arch)).await?? {
            return Ok(Arc::new(index));
        }
        let (compression, blob) = self.list(Some(origin), list, net, store).await?;
        let (store, limit) = (store.clone(), open_limit(list));
        let read = blocking(move || shelve(&store, Kind::Primary, &blob, compression, arch, limit)).await?;
        let path = self.path(&list.path);
        Ok(Arc::new(read.map_err(|source| MirrorError::Index { path, source })?))
    }

    async fn modules(
        &self,
        origin: &Origin,
        list: &Data,
        net: &Net,
        store: &Store,
    ) -> Result<Arc<Modules>, MirrorError> {
        let (compression, blob) = self.list(Some(origin), list, net, store).await?;
        let limit = open_limit(list);
        let read =
            blocking(move || -> Result<Modules, ShelveError> { Ok(Modules::parse(compression.open(&blob, limit)?)?) });
        let path = self.path(&list.path);
        Ok(Arc::new(read.await?.map_err(|source| MirrorError::Index { path, source })?))
    }

    /// Adds the owners of those paths that `owners` asks for.
    ///
    /// # Errors
    /// As with [`Wanted::load`]; a repository whose list of files is missing or does not count.
    pub async fn find_owners(
        &self,
        repository: &Repository,
        mut owners: Owners,
        net: &Net,
        store: &Store,
    ) -> Result<Owners, RepositoryError> {
        let Some(list) = &repository.filelists else { return Ok(owners) };
        let failed = |error: MirrorError| {
            if error.is_local() {
                return RepositoryError::Local(error);
            }
            let (source_name, part) = (self.source.clone(), self.part.clone());
            RepositoryError::Lists { source_name, part, source: Box::new(error) }
        };
        let (compression, blob) = self.list(None, list, net, store).await.map_err(failed)?;
        let limit = open_limit(list);
        let found = blocking(move || {
            let plain = compression.open(&blob, limit)?;
            filelists::find(plain, &mut owners).map_err(|error| ShelveError::Primary(error.into()))?;
            Ok(owners)
        });
        let path = self.path(&list.path);
        let found = found.await.map_err(failed)?;
        found.map_err(|source| failed(MirrorError::Index { path, source }))
    }

    /// A list, downloaded: from `first`, or else from any other mirror.
    async fn list(
        &self,
        first: Option<&Origin>,
        list: &Data,
        net: &Net,
        store: &Store,
    ) -> Result<(Compression, Verified), MirrorError> {
        let path = self.path(&list.path);
        let compression = Compression::of(&path).ok_or_else(|| RepomdError::Compression { path: path.clone() })?;
        let mut sources: Vec<Source> = Vec::new();
        for origin in first.into_iter().chain(&self.origins) {
            let url = join(&origin.base, &path)?;
            if !sources.iter().any(|source| source.url == url) {
                sources.push(Source { mirror: origin.mirror.clone(), url, authorization: None });
            }
        }
        let download = Download {
            label: format!("{} {path}", self.source),
            digest: list.sha256,
            size: list.size,
            limit: list.size.unwrap_or(MAX_SERVED).min(MAX_SERVED),
            origins: sources,
        };
        Ok((compression, net.download(&download, store).await?))
    }
}

fn open_limit(list: &Data) -> u64 {
    list.open_size.map_or(MAX_INDEX, |size| size.min(MAX_INDEX))
}
