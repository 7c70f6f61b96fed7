//! From a tag to digests.

use super::client::Fetched;
use super::manifest::{self, Config, Document};
use super::{Place, Registry, RegistryError};
use crate::arch::Arch;
use crate::digest::Digest;
use crate::lock::Blob;
use crate::net::address::shown;
use crate::store::Store;

/// An image for one platform, down to its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The multi-platform index, where the tag named one.
    pub index: Option<Blob>,
    /// The manifest.
    pub manifest: Blob,
    /// The configuration.
    pub config: Blob,
    /// The layers, lowest first.
    pub layers: Vec<Blob>,
}

impl Registry<'_> {
    /// Looks `tag` up at each of `places` in turn until one has a whole image for Linux on `arch`. What was read on the way
    /// (index, manifest, configuration) goes into `store`.
    ///
    /// # Errors
    /// Every place failed; or the store did.
    pub async fn pin(&self, places: &[Place], tag: &str, arch: Arch, store: &Store) -> Result<Pinned, RegistryError> {
        let what = format!("{} for linux/{arch}", name(places, tag));
        // The tag decides at the place that is asked; below it, every place that has the digest is as good.
        let mut attempts = Vec::new();
        for (number, place) in places.iter().enumerate() {
            let order = || {
                std::iter::once(place)
                    .chain(places.iter().enumerate().filter(|(n, _)| *n != number).map(|(_, place)| place))
            };
            match self.pin_at(place, order().collect(), tag, arch, store).await {
                Ok(pinned) => return Ok(pinned),
                Err(error) if error.is_final() => return Err(error),
                Err(error) => attempts.push((place.mirror.clone(), error)),
            }
        }
        Err(RegistryError::all_failed(what, attempts))
    }

    async fn pin_at(
        &self,
        place: &Place,
        order: Vec<&Place>,
        tag: &str,
        arch: Arch,
        store: &Store,
    ) -> Result<Pinned, RegistryError> {
        let top = self.manifest(place, tag).await?;
        let (index, fetched) = match &top.document {
            Document::Manifest(_) => (None, top),
            Document::Index(index) => {
                let wanted = manifest::choose(&top.url, index, arch)?;
                store.insert_bytes(&top.bytes)?;
                let fetched = self.manifest_at_any(&order, &wanted).await?;
                (Some(top.blob()), fetched)
            }
        };
        let Document::Manifest(image) = &fetched.document else {
            return Err(RegistryError::MediaType { url: shown(&fetched.url), media_type: fetched.media_type });
        };
        let (config, layers) = manifest::parts(&fetched.url, image)?;
        let bytes = self.config_at_any(&order, &config).await?;
        let described = Config::parse(&bytes)
            .map_err(|source| RegistryError::Malformed { url: shown(&place.blob(&config.sha256)), source })?;
        // The index may promise what the image does not keep; without an index nobody has said anything yet.
        if (described.os.as_str(), described.architecture.as_str()) != ("linux", arch.name()) {
            let offered = format!("{}/{}", described.os, described.architecture);
            return Err(RegistryError::NoPlatform { url: shown(&fetched.url), arch, offered });
        }
        if described.layers() != layers.len() {
            let (layers, described) = (layers.len(), described.layers());
            return Err(RegistryError::Layers { url: shown(&fetched.url), layers, described });
        }
        store.insert_bytes(&fetched.bytes)?;
        store.insert_bytes(&bytes)?;
        Ok(Pinned { index, manifest: fetched.blob(), config, layers })
    }

    async fn manifest_at_any(&self, order: &[&Place], wanted: &Blob) -> Result<Fetched, RegistryError> {
        let mut attempts = Vec::new();
        for place in order {
            match self.manifest(place, &wanted.sha256.to_string()).await {
                Ok(fetched) if fetched.bytes.len() as u64 == wanted.size => return Ok(fetched),
                Ok(fetched) => {
                    let actual = fetched.bytes.len() as u64;
                    return Err(RegistryError::WrongSize { url: shown(&fetched.url), expected: wanted.size, actual });
                }
                Err(error) => attempts.push((place.mirror.clone(), error)),
            }
        }
        Err(RegistryError::all_failed(format!("manifest {}", wanted.sha256), attempts))
    }

    async fn config_at_any(&self, order: &[&Place], wanted: &Blob) -> Result<Vec<u8>, RegistryError> {
        let mut attempts = Vec::new();
        for place in order {
            match self.blob(place, &wanted.sha256, wanted.size).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => attempts.push((place.mirror.clone(), error)),
            }
        }
        Err(RegistryError::all_failed(format!("configuration {}", wanted.sha256), attempts))
    }
}

impl Fetched {
    fn blob(&self) -> Blob {
        Blob { media_type: self.media_type.clone(), size: self.bytes.len() as u64, sha256: Digest::of(&self.bytes) }
    }
}

fn name(places: &[Place], tag: &str) -> String {
    places.first().map_or_else(|| tag.to_owned(), |place| format!("{}:{tag}", place.repository()))
}
