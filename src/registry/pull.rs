//! From a lock to the store: an image's manifest, configuration and layers, in parallel, each from any place that has it.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::StatusCode;
use tokio::task::JoinSet;

use super::tokens::Authorization;
use super::{Place, Registry, RegistryError};
use crate::digest::Digest;
use crate::lock::{Blob, Image};
use crate::net::address::shown as shown_url;
use crate::net::{self, Download, Failure, NetError, Source};
use crate::store::{Store, Verified};

/// How often one blob may outlive its token.
const RENEWALS: u32 = 8;

/// What blobs belong to.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// What it is called in messages.
    pub name: &'a str,
    /// The manifest that names the blobs.
    pub manifest: Digest,
}

impl Registry<'_> {
    /// Brings everything that `image` pins into `store` but its index, which no node needs; asks nobody for what is there.
    ///
    /// # Errors
    /// No place has the manifest; no place has one of the blobs; the store failed.
    pub async fn download(&self, image: &Image, places: &[Place], store: &Store) -> Result<(), RegistryError> {
        let mut missing = Vec::new();
        let mut seen = BTreeSet::new();
        for blob in image.layers.iter().chain([&image.config]) {
            if seen.insert(blob.sha256) && !is_there(blob, store)? {
                missing.push(blob);
            }
        }
        if missing.is_empty() && is_there(&image.manifest, store)? {
            return Ok(());
        }
        let places = self.admit(image, places, store).await?;
        // The largest first, so that no long one is left for the end.
        missing.sort_by(|a, b| b.size.cmp(&a.size).then(a.sha256.cmp(&b.sha256)));
        let document = Document { name: &image.name, manifest: image.manifest.sha256 };
        stream::iter(missing)
            .map(|blob| self.fetch(document, blob, places, store))
            .buffer_unordered(self.net.jobs())
            .try_for_each(async |_| Ok(()))
            .await
    }

    /// The places from the first one on that has the manifest. Asking for it also teaches how that place wants to be asked,
    /// and is the cheapest way to learn that it lacks the image.
    async fn admit<'p>(&self, image: &Image, places: &'p [Place], store: &Store) -> Result<&'p [Place], RegistryError> {
        let mut attempts = Vec::new();
        for (number, place) in places.iter().enumerate() {
            match self.manifest(place, &image.manifest.sha256.to_string()).await {
                Ok(fetched) => {
                    store.insert_bytes(&fetched.bytes)?;
                    return Ok(places.get(number..).unwrap_or_default());
                }
                Err(error) => attempts.push((place.mirror.clone(), error)),
            }
        }
        Err(RegistryError::all_failed(format!("{} ({})", image.name, image.manifest.sha256), attempts))
    }

    /// Brings one blob of `document` into `store`, from any of `places`; asks nobody if it is there.
    ///
    /// # Errors
    /// No place has it; the store failed.
    pub async fn fetch(
        &self,
        document: Document<'_>,
        blob: &Blob,
        places: &[Place],
        store: &Store,
    ) -> Result<Verified, RegistryError> {
        let mut shown: Vec<Option<Authorization>> = Vec::with_capacity(places.len());
        for place in places {
            shown.push(self.known(place, document).await);
        }
        let mut renewals = 0;
        loop {
            let error = match self.transfer(download(document, blob, places, &shown), store).await {
                Ok(verified) => return Ok(verified),
                Err(error) => error,
            };
            // A place that nobody had asked yet, or a token that ran out meanwhile: get in again and go on where it stopped.
            let NetError::Exhausted { attempts, .. } = &error else { return Err(error.into()) };
            let mut renewed = false;
            for (place, shown) in places.iter().zip(&mut shown) {
                let url = shown_url(&place.blob(&blob.sha256));
                if !attempts.iter().any(|attempt| attempt.url == url && wants_login(&attempt.failure)) {
                    continue;
                }
                let before = shown.take();
                *shown = self.enter(place, document).await;
                renewed |= shown.is_some() && *shown != before;
            }
            renewals += 1;
            if !renewed || renewals > RENEWALS {
                return Err(error.into());
            }
        }
    }

    /// What to show at a place, as far as it is known without asking there.
    async fn known(&self, place: &Place, document: Document<'_>) -> Option<Authorization> {
        let url = place.manifest(&document.manifest.to_string()).ok()?;
        // A failure here is no more than that; the blob's own request tells what is wrong.
        self.authorization(place, &url, None).await.ok().flatten()
    }

    /// Asks for something small, which answers any challenge, and returns what was shown in the end.
    async fn enter(&self, place: &Place, document: Document<'_>) -> Option<Authorization> {
        self.manifest(place, &document.manifest.to_string()).await.ok()?;
        self.known(place, document).await
    }

    /// On a thread of its own, because blobs are hashed as they come; ended with the caller.
    async fn transfer(&self, download: Download, store: &Store) -> Result<Verified, NetError> {
        let (net, store) = (self.net.clone(), store.clone());
        let mut task = JoinSet::new();
        let label = download.label.clone();
        task.spawn(async move { net.download(&download, &store).await });
        match task.join_next().await {
            Some(Ok(result)) => result,
            // Only a panic or the end of the runtime leads here.
            Some(Err(_)) | None => Err(NetError::NoMirror { label }),
        }
    }
}

fn download(document: Document<'_>, blob: &Blob, places: &[Place], shown: &[Option<Authorization>]) -> Download {
    let origins = places.iter().zip(shown).map(|(place, shown)| Source {
        mirror: place.mirror.clone(),
        url: place.blob(&blob.sha256),
        authorization: shown.as_ref().map(|shown| net::Authorization::new(shown.expose())),
    });
    Download {
        label: format!("{} {}", document.name, blob.sha256.short()),
        digest: blob.sha256,
        size: Some(blob.size),
        limit: blob.size,
        origins: origins.collect(),
    }
}

fn wants_login(failure: &Failure) -> bool {
    matches!(failure, Failure::Status { status, .. } if *status == StatusCode::UNAUTHORIZED)
}

/// Whether the store has it, whole as far as its size tells.
fn is_there(blob: &Blob, store: &Store) -> Result<bool, RegistryError> {
    let found = store.get(&blob.sha256)?;
    match found {
        Some(found) if found.size() != blob.size => {
            Err(RegistryError::LockedSize { digest: blob.sha256, expected: blob.size, actual: found.size() })
        }
        found => Ok(found.is_some()),
    }
}
