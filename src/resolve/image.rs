//! Container images: from a tag to an index, a manifest, a configuration and layers.

use crate::arch::Arch;
use crate::catalog::vars::UnknownVariable;
use crate::catalog::{Catalog, Vars};
use crate::exit::{Exit, Explain};
use crate::lock::{Image, Proof};
use crate::mirrors::Mirrors;
use crate::profile::ImageRequirement;
use crate::registry::{Place, Registry, RegistryError};
use crate::store::Store;

/// An image that cannot be pinned.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The catalogue's text cannot be completed.
    #[error("component {component} asks for an image that cannot be named")]
    Variable {
        /// The component that asks.
        component: String,
        /// Which variable is missing.
        source: UnknownVariable,
    },
    /// No registry serves it.
    #[error("image {image} (component {component}) cannot be pinned")]
    Registry {
        /// The component that asks.
        component: String,
        /// Full name with the tag.
        image: String,
        /// Why not.
        source: RegistryError,
    },
}

impl Explain for ImageError {
    fn exit(&self) -> Exit {
        match self {
            Self::Variable { .. } => Exit::BadInput,
            Self::Registry { source, .. } => source.exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Variable { .. } => Some("correct the component in your catalogue directory".to_owned()),
            Self::Registry { source, .. } => source.hint(),
        }
    }
}

/// Pins what `need` asks for on `arch`. `vars` holds the versions of the Kubernetes release. The caller adds who needs it (`why`).
///
/// # Errors
/// A variable without a value, or no mirror that has the image for this architecture.
pub async fn resolve(
    need: &ImageRequirement,
    arch: Arch,
    vars: &Vars,
    catalog: &Catalog,
    mirrors: &Mirrors,
    registry: &Registry<'_>,
    store: &Store,
) -> Result<Image, ImageError> {
    let unknown = |source| ImageError::Variable { component: need.component.clone(), source };
    let vars = vars.clone().with("arch", arch);
    let tag = vars.fill(&need.tag).map_err(unknown)?;
    let repository = vars.fill(&need.repository).map_err(unknown)?;
    let name = format!("{}:{tag}", vars.fill(&need.name).map_err(unknown)?);
    let failed = |source| ImageError::Registry { component: need.component.clone(), image: name.clone(), source };
    let origins = mirrors.origins(catalog, &need.source, &vars).map_err(unknown)?;
    let places = Place::all(catalog, &need.source, &repository, &origins).map_err(failed)?;
    let pinned = registry.pin(&places, &tag, arch, store).await.map_err(failed)?;
    Ok(Image {
        arch,
        name,
        source: need.source.clone(),
        repository,
        tag,
        index: pinned.index,
        manifest: pinned.manifest,
        config: pinned.config,
        layers: pinned.layers,
        proof: Proof::Tag,
        why: Vec::new(),
    })
}
