//! Manifests of the user's: pinned by digest, with every image that they start.

mod manifest;

use url::Url;

use super::Upgrade;
use crate::catalog::{BadReference, Catalog, Reference};
use crate::cluster::addon::{AddonOrigin, LIMIT};
use crate::digest::Digest;
use crate::exit::{Exit, Explain};
use crate::lock::{Addon, Lock};
use crate::net::{Net, NetError};
use crate::profile::{AddonRequirement, ImageRequirement, Requirements};
use crate::store::{Store, StoreError};
pub use manifest::ManifestError;

/// A manifest that cannot be pinned.
#[derive(Debug, thiserror::Error)]
pub enum AddonError {
    /// It cannot be fetched.
    #[error("the manifest of the addon {name} cannot be fetched")]
    Net {
        /// The addon.
        name: String,
        /// Why not.
        source: Box<NetError>,
    },
    /// Its address is none.
    #[error("the manifest of the addon {name} has no usable address: {url}")]
    Address {
        /// The addon.
        name: String,
        /// The address.
        url: String,
    },
    /// It is not what it should be.
    #[error("the manifest of the addon {name} cannot be used")]
    Manifest {
        /// The addon.
        name: String,
        /// Why not.
        source: ManifestError,
    },
    /// It names an image that cannot be carried.
    #[error("the addon {name} cannot be carried")]
    Image {
        /// The addon.
        name: String,
        /// Why not.
        source: BadReference,
    },
    /// No source has the images of a registry.
    #[error("the addon {name} starts {image}, and the catalogue has no source for images of {host}")]
    NoSource {
        /// The addon.
        name: String,
        /// The image.
        image: String,
        /// Its registry.
        host: String,
    },
    /// The store cannot keep it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Explain for AddonError {
    fn exit(&self) -> Exit {
        match self {
            Self::Net { source, .. } => source.exit(),
            Self::Address { .. } | Self::Manifest { .. } | Self::Image { .. } | Self::NoSource { .. } => Exit::BadInput,
            Self::Store(source) => source.exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Net { source, .. } => source.hint(),
            Self::Address { .. } => Some("correct its `url` in the cluster file".to_owned()),
            Self::Manifest { source, .. } => Some(source.remedy()),
            Self::Image { source, .. } => Some(source.remedy()),
            Self::NoSource { host, .. } => {
                Some(format!("add a registry with `host: {host}` to sources.yaml in your own catalogue directory"))
            }
            Self::Store(source) => source.hint(),
        }
    }
}

/// Pins every addon of `requirements`, and adds the images that they start to what their roles need. What `previous` pinned stays,
/// unless `upgrade` frees it.
///
/// # Errors
/// The first addon that cannot be pinned.
pub async fn all(
    requirements: &mut Requirements,
    catalog: &Catalog,
    net: &Net,
    store: &Store,
    previous: Option<&Lock>,
    upgrade: &Upgrade,
) -> Result<Vec<Addon>, AddonError> {
    let mut pinned: Vec<Addon> = Vec::new();
    for role in &mut requirements.roles {
        for need in &role.addons {
            let known = pinned.iter().find(|addon| addon.name == need.name).cloned();
            let kept = previous.and_then(|lock| lock.addons.iter().find(|addon| addon.answers(need)).cloned());
            let addon = match known.or(kept.filter(|_| !upgrade.frees(&need.component()))) {
                Some(addon) => addon,
                None => pin(need, net, store).await?,
            };
            role.images.extend(images(need, &addon, catalog)?);
            if !pinned.contains(&addon) {
                pinned.push(addon);
            }
        }
    }
    Ok(pinned)
}

async fn pin(need: &AddonRequirement, net: &Net, store: &Store) -> Result<Addon, AddonError> {
    let name = || need.name.clone();
    let bytes = match (&need.origin, &need.text) {
        (_, Some(text)) => text.clone().into_bytes(),
        (AddonOrigin::Url(url), None) => {
            let parsed = Url::parse(url).map_err(|_| AddonError::Address { name: name(), url: url.clone() })?;
            let failed = |source| AddonError::Net { name: name(), source: Box::new(source) };
            let bytes = net.read(&parsed, LIMIT).await.map_err(failed)?;
            store.insert_bytes(&bytes)?;
            bytes
        }
        (AddonOrigin::File { path, .. }, None) => {
            return Err(AddonError::Address { name: name(), url: path.clone() });
        }
    };
    let failed = |source| AddonError::Manifest { name: name(), source };
    let mut images = manifest::images(&bytes).map_err(failed)?;
    for image in &need.images {
        let further = image.parse::<Reference>().map_err(|source| AddonError::Image { name: name(), source })?;
        images.insert(further.to_string());
    }
    Ok(Addon {
        name: name(),
        origin: need.origin.clone(),
        size: bytes.len() as u64,
        sha256: Digest::of(&bytes),
        images: images.into_iter().collect(),
    })
}

/// What the images of `addon` are as requirements of a role.
fn images(need: &AddonRequirement, addon: &Addon, catalog: &Catalog) -> Result<Vec<ImageRequirement>, AddonError> {
    let mut images = Vec::new();
    for image in &addon.images {
        let name = || need.name.clone();
        let reference = image.parse::<Reference>().map_err(|source| AddonError::Image { name: name(), source })?;
        let source = catalog.source_of(&reference);
        let source = source.ok_or_else(|| AddonError::NoSource {
            name: name(),
            image: image.clone(),
            host: reference.host.clone(),
        })?;
        images.push(ImageRequirement {
            component: need.component(),
            source: source.to_owned(),
            name: format!("{}/{}", reference.host, reference.repository),
            repository: reference.repository,
            tag: reference.tag,
        });
    }
    Ok(images)
}
