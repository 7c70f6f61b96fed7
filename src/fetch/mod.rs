//! `fetch`: from a lock to proven bytes on this machine.
//!
//! What the store has is left alone, the rest is fetched in parallel, and the result is ordered by digest, never by who was
//! first.

mod error;
mod plan;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};

use crate::catalog::Catalog;
use crate::cluster::Role;
use crate::digest::Digest;
use crate::lock::Lock;
use crate::mirrors::Mirrors;
use crate::net::Net;
use crate::report::Event;
use crate::store::{Store, Verified};
pub use error::{Failed, FetchError};
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

/// Brings everything that `lock` names for `roles` (all where `None`) into `store`.
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
    roles: Option<&[Role]>,
) -> Result<Fetched, FetchError> {
    let plan = Plan::new(lock, catalog, mirrors, roles)?;
    let mut blobs = BTreeMap::new();
    let mut missing = Vec::new();
    for wanted in plan.downloads {
        match stored(store, &wanted.digest, wanted.size)? {
            Some(blob) => {
                let reason = "in the store".to_owned();
                net.reporter().report(Event::Skipped { label: wanted.label, reason });
                blobs.insert(blob.digest(), blob);
            }
            None => missing.push(wanted),
        }
    }
    let served_locally = |url: &url::Url| url.scheme() == "file";
    let (possible, offline): (Vec<_>, Vec<_>) = missing
        .into_iter()
        .partition(|wanted| !net.is_offline() || wanted.origins.iter().any(|source| served_locally(&source.url)));
    if !offline.is_empty() {
        return Err(FetchError::Offline { missing: offline.into_iter().map(|wanted| wanted.label).collect() });
    }
    let mut new = BTreeSet::new();
    let mut failures = Vec::new();
    // More at once than the network's own limits allow, so that a busy host does not keep others waiting.
    let mut results = stream::iter(possible.iter().enumerate())
        .map(async |(index, wanted)| (index, net.download(wanted, store).await))
        .buffer_unordered(net.jobs() * 4);
    while let Some((index, result)) = results.next().await {
        match result {
            Ok(blob) => {
                new.insert(blob.digest());
                blobs.insert(blob.digest(), blob);
            }
            Err(source) => failures.push((index, source)),
        }
    }
    if failures.is_empty() {
        return Ok(Fetched { blobs, new });
    }
    failures.sort_by_key(|(index, _)| *index);
    Err(FetchError::Failed(Failed { failures: failures.into_iter().map(|(_, source)| source).collect() }))
}

/// A blob of the store whose size is right; one that is not was damaged, and makes room for a new one.
fn stored(store: &Store, digest: &Digest, size: Option<u64>) -> Result<Option<Verified>, FetchError> {
    let Some(blob) = store.get(digest)? else { return Ok(None) };
    if size.is_none_or(|size| size == blob.size()) {
        return Ok(Some(blob));
    }
    Ok(store.reprove(blob)?)
}
