//! One blob from many mirrors.
//!
//! Mirrors are tried in their order. One that fails midway is left for the next, which continues at the same byte: the
//! digest says in the end whether the pieces belong together. If they do not, the blob is fetched once more from one
//! mirror alone, so that a lying mirror can spoil its own delivery only. A mirror that is wrong all by itself is out.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::task::{JoinError, JoinSet};
use url::Url;

use super::address::shown;
use super::attempt::Work;
use super::race::Race;
use super::{Failure, Net, NetError};
use crate::digest::Digest;
use crate::store::{Claim, Partial, Store, StoreError, Verified};

/// How long to wait before asking whether somebody else has finished the same blob.
const ELSEWHERE: Duration = Duration::from_millis(50);

/// A blob that is wanted.
#[derive(Debug, Clone)]
pub struct Download {
    /// What it is, for people.
    pub label: String,
    /// What its bytes must be.
    pub digest: Digest,
    /// How many there are, where known.
    pub size: Option<u64>,
    /// How many there may be, where not.
    pub limit: u64,
    /// Where it may be had, in order of trial.
    pub origins: Vec<Source>,
}

/// A place that serves a blob.
#[derive(Debug, Clone)]
pub struct Source {
    /// The mirror's name, for messages.
    pub mirror: String,
    /// The blob's address there: http, https or file.
    pub url: Url,
    /// What to show at the door.
    pub authorization: Option<Authorization>,
}

/// The value of an `Authorization` header, such as `Bearer …`. Never printed.
#[derive(Clone)]
pub struct Authorization(Arc<str>);

impl Authorization {
    /// From the header's whole value.
    pub fn new(value: &str) -> Self {
        Self(value.into())
    }

    pub(super) fn header(&self) -> Result<HeaderValue, Failure> {
        let mut value =
            HeaderValue::from_str(&self.0).map_err(|_| Failure::BadUrl("its authorization is not a header's value"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authorization(…)")
    }
}

impl Net {
    /// Brings a blob into the store, from wherever it may be had; nothing is asked if it is there already.
    ///
    /// # Errors
    /// All mirrors failed, each with its reason ([`NetError::Exhausted`]); offline; a store that cannot take it.
    pub async fn download(&self, download: &Download, store: &Store) -> Result<Verified, NetError> {
        let (net, download, store) = (self.clone(), download.clone(), store.clone());
        // A task of its own, so that several downloads hash on several processors whatever their callers await; it ends with
        // the caller's future.
        joined(async move { net.bring(&download, &store).await }).await
    }

    async fn bring(&self, download: &Download, store: &Store) -> Result<Verified, NetError> {
        let stored = |source| NetError::Store { label: download.label.clone(), source };
        let partial = match self.claim(download, store).await.map_err(stored)? {
            Ok(partial) => partial,
            Err(blob) => return Ok(blob),
        };
        let complete = partial.digest() == download.digest;
        if !complete {
            self.check_origins(download)?;
        }
        let mut work = Work::new(partial, download, self.reporter());
        if !complete {
            Race::new(self, download, &mut work).run().await?;
        }
        let partial = work.into_partial();
        blocking(move || partial.finish()).await.map_err(stored)
    }

    /// Waits until nobody else is at it (`Ok`) or the blob is there (`Err`).
    async fn claim(&self, download: &Download, store: &Store) -> Result<Result<Partial, Verified>, StoreError> {
        let mut told = false;
        loop {
            let (store, digest) = (store.clone(), download.digest);
            match blocking(move || store.claim(&digest)).await? {
                Claim::Mine(partial) => return Ok(Ok(partial)),
                Claim::Done(blob) => return Ok(Err(blob)),
                Claim::Busy => {}
            }
            if !told {
                self.note(format!("waiting for {}, which is being fetched already", download.label));
                told = true;
            }
            tokio::time::sleep(ELSEWHERE).await;
        }
    }

    fn check_origins(&self, download: &Download) -> Result<(), NetError> {
        let Some(first) = download.origins.first() else {
            return Err(NetError::NoMirror { label: download.label.clone() });
        };
        if self.is_offline() && download.origins.iter().all(|origin| origin.url.scheme() != "file") {
            return Err(NetError::Offline { what: download.label.clone(), url: shown(&first.url) });
        }
        Ok(())
    }
}

/// File work that may block, away from the threads that serve sockets.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    unwrapped(tokio::task::spawn_blocking(work).await).await
}

async fn joined<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let mut task = JoinSet::new();
    task.spawn(work);
    match task.join_next().await {
        Some(result) => unwrapped(result).await,
        None => std::future::pending().await,
    }
}

async fn unwrapped<T>(result: Result<T, JoinError>) -> T {
    match result.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // Cancelled: the runtime is shutting down, and nobody is left to hear the answer.
        Err(Err(_)) => std::future::pending().await,
    }
}
