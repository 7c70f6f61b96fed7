//! `fetch`: from a lock to proven bytes on this machine.
//!
//! What the store has is left alone, the rest is fetched in parallel, and the result is ordered by digest, never by who was
//! first. Packages whose lists nobody signed prove themselves here, by their own signatures.

mod error;
mod plan;
mod rpm;
mod signature;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};
use rayon::prelude::*;

use crate::catalog::Catalog;
use crate::clock;
use crate::cluster::Role;
use crate::digest::Digest;
use crate::lock::{Image, Lock, Package, Proof};
use crate::mirrors::Mirrors;
use crate::net::Net;
use crate::openpgp::Signer;
use crate::registry::{Credentials, Registry};
use crate::report::Event;
use crate::store::{Store, StoreError, Verified};
pub use error::{Failed, Failure, FetchError};
use plan::Plan;

/// Every blob that was asked for, proven.
#[derive(Debug, Clone)]
pub struct Fetched {
    blobs: BTreeMap<Digest, Verified>,
    new: BTreeSet<Digest>,
}

impl Fetched {
    /// A blob of the lock.
    ///
    /// # Errors
    /// [`FetchError::NotFetched`] for one that the lock does not name for the roles that were asked for.
    pub fn blob(&self, digest: &Digest) -> Result<&Verified, FetchError> {
        self.blobs.get(digest).ok_or(FetchError::NotFetched { digest: *digest })
    }

    /// These and those of another run.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.blobs.extend(other.blobs);
        self.new.extend(other.new);
        self
    }

    /// All blobs, ordered by digest.
    pub fn blobs(&self) -> impl Iterator<Item = &Verified> {
        self.blobs.values()
    }

    /// How many blobs were not in the store before, and how many bytes these have.
    pub fn new_blobs(&self) -> (usize, u64) {
        let bytes = self.blobs.values().filter(|blob| self.new.contains(&blob.digest())).map(Verified::size).sum();
        (self.new.len(), bytes)
    }
}

/// Brings everything that `lock` names for `roles` (all where `None`) into `store`; `credentials` are for registries that ask.
///
/// Goes on after a failure, so that one error names everything that is missing and the next try begins with all the rest.
///
/// # Errors
/// Something that no mirror could serve; offline with something missing; a base or path in the catalogue or lock that is none.
pub async fn fetch(
    lock: &Lock,
    catalog: &Catalog,
    mirrors: &Mirrors,
    net: &Net,
    store: &Store,
    credentials: &Credentials,
    roles: Option<&[Role]>,
) -> Result<Fetched, FetchError> {
    let plan = Plan::new(lock, catalog, mirrors, roles)?;
    let mut work = Work::default();
    let mut downloads = Vec::new();
    for wanted in &plan.downloads {
        let local = wanted.origins.iter().any(|source| source.url.scheme() == "file");
        if work.lacks(store, &wanted.label, &[(wanted.digest, wanted.size)], !net.is_offline() || local)? {
            downloads.push(wanted);
        }
    }
    let mut images = Vec::new();
    for (image, places) in &plan.images {
        let label = format!("{} {}", image.name, image.arch);
        if work.lacks(store, &label, &parts(image), !net.is_offline())? {
            images.push((*image, places));
        }
    }
    if !work.unreachable.is_empty() {
        return Err(FetchError::Offline { missing: work.unreachable });
    }
    if work.present > 0 {
        let label = format!("{} of {} artifacts", work.present, plan.downloads.len() + plan.images.len());
        net.reporter().report(Event::Skipped { label, reason: "in the store already".to_owned() });
    }
    let registry = Registry::new(net, credentials.clone());
    // More at once than the network's own limits allow, so that a busy host does not keep others waiting.
    let files = stream::iter(downloads.iter().enumerate())
        .map(async |(index, wanted)| (index, net.download(wanted, store).await.map(drop).map_err(Failure::Blob)))
        .buffer_unordered(net.jobs() * 4)
        .collect();
    let images = stream::iter(images.iter().enumerate())
        .map(async |(index, (image, places))| {
            (index, registry.download(image, places, store).await.map_err(Failure::Image))
        })
        .buffer_unordered(net.jobs())
        .collect();
    let (files, images) = tokio::join!(files, images);
    let failures: Vec<Failure> = failures(files).chain(failures(images)).collect();
    if !failures.is_empty() {
        return Err(FetchError::Failed(Failed { failures }));
    }
    let mut blobs = BTreeMap::new();
    for digest in work.wanted {
        let blob = store.get(&digest)?.ok_or(FetchError::NotFetched { digest })?;
        blobs.insert(digest, blob);
    }
    let fetched = Fetched { blobs, new: work.missing };
    fetched.check_signatures(&plan.signed, catalog, mirrors, net, store)?;
    Ok(fetched)
}

impl Fetched {
    /// Proves the packages that carry their own signature.
    fn check_signatures(
        &self,
        packages: &[&Package],
        catalog: &Catalog,
        mirrors: &Mirrors,
        net: &Net,
        store: &Store,
    ) -> Result<(), FetchError> {
        let (mut keyrings, mut warned) = (BTreeMap::new(), BTreeSet::new());
        for package in packages {
            if !keyrings.contains_key(&package.source) {
                let keyring = mirrors.keyring(catalog, &package.source);
                let keyring = keyring.map_err(|source| FetchError::Keys { of: package.source.clone(), source })?;
                keyrings.insert(package.source.clone(), keyring);
            }
        }
        let mut blobs = Vec::new();
        for package in packages {
            blobs.push((*package, self.blob(&package.sha256)?));
        }
        let at = clock::now();
        let check = |(package, blob): &(&Package, &Verified)| -> Result<Option<Signer>, Failure> {
            let Proof::Package(wanted) = &package.proof else { return Ok(None) };
            let label = format!("{} {} {}", package.name, package.version, package.arch);
            let source_name = package.source.clone();
            let keyring = keyrings.get(&package.source).and_then(Option::as_ref);
            match keyring.and_then(|keyring| keyring.only(wanted)) {
                None => Err(Failure::NoKey { package: label, source_name, wanted: wanted.clone() }),
                Some(keyring) => signature::check(package, blob, &keyring, store, at)
                    .map_err(|source| Failure::Signature { package: label, source_name, source: Box::new(source) }),
            }
        };
        let checked: Vec<Result<Option<Signer>, Failure>> = blobs.par_iter().map(check).collect();
        let (mut signers, mut failures) = (Vec::new(), Vec::new());
        for checked in checked {
            match checked {
                Ok(signer) => signers.push(signer),
                Err(failure) => failures.push(failure),
            }
        }
        if !failures.is_empty() {
            return Err(FetchError::Failed(Failed { failures }));
        }
        for (package, signer) in packages.iter().zip(signers) {
            if let Some(signer) = signer.filter(|signer| signer.expired)
                && warned.insert(signer.fingerprint.clone())
            {
                let text = format!(
                    "packages of {}: their signing key {} has expired since",
                    package.source, signer.fingerprint
                );
                net.reporter().report(Event::Warning { text });
            }
        }
        Ok(())
    }
}

/// What failed, in the plan's order and not in that of time.
fn failures(mut results: Vec<(usize, Result<(), Failure>)>) -> impl Iterator<Item = Failure> {
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().filter_map(|(_, result)| result.err())
}

/// Everything of an image that a node needs: not the index of all platforms.
fn parts(image: &Image) -> Vec<(Digest, Option<u64>)> {
    let parts = [&image.manifest, &image.config].into_iter().chain(&image.layers);
    parts.map(|blob| (blob.sha256, Some(blob.size))).collect()
}

/// What the store has and lacks of a plan.
#[derive(Default)]
struct Work {
    wanted: BTreeSet<Digest>,
    missing: BTreeSet<Digest>,
    /// How many artifacts are complete.
    present: usize,
    /// Labels of what is missing and cannot be had offline.
    unreachable: Vec<String>,
}

impl Work {
    /// Looks for the blobs of one artifact; whether any must be fetched.
    fn lacks(
        &mut self,
        store: &Store,
        label: &str,
        blobs: &[(Digest, Option<u64>)],
        reachable: bool,
    ) -> Result<bool, StoreError> {
        let mut lacks = false;
        for (digest, size) in blobs {
            self.wanted.insert(*digest);
            if !is_stored(store, digest, *size)? {
                self.missing.insert(*digest);
                lacks = true;
            }
        }
        match (lacks, reachable) {
            (false, _) => self.present += 1,
            (true, false) => self.unreachable.push(label.to_owned()),
            (true, true) => {}
        }
        Ok(lacks)
    }
}

/// Whether the store has a blob. One of the wrong size is looked at again; if it was damaged, it makes room for a new one.
fn is_stored(store: &Store, digest: &Digest, size: Option<u64>) -> Result<bool, StoreError> {
    let Some(blob) = store.get(digest)? else { return Ok(false) };
    Ok(size.is_none_or(|size| size == blob.size()) || store.reprove(blob)?.is_some())
}
