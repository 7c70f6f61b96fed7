//! Container images: from a tag to an index, a manifest, a configuration and layers.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::Upgrade;
use super::release::release;
use crate::arch::Arch;
use crate::catalog::vars::UnknownVariable;
use crate::catalog::{Catalog, Vars};
use crate::exit::{Exit, Explain};
use crate::kubernetes::KubernetesVersion;
use crate::lock::{Image, Lock, Proof, Why};
use crate::mirrors::Mirrors;
use crate::profile::{ImageRequirement, Requirements};
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
        source: Box<RegistryError>,
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

/// Pins the images of all roles. What `previous` pinned stays, unless `upgrade` frees it: a tag that has moved since is not
/// looked at again. Ordered by role; the same image of several roles is looked up once and listed for each.
///
/// # Errors
/// The first image, in that order, that cannot be pinned.
#[expect(clippy::too_many_arguments, reason = "the stage's own arguments and what it found out before")]
pub async fn all(
    requirements: &Requirements,
    kubernetes: Option<KubernetesVersion>,
    catalog: &Catalog,
    mirrors: &Mirrors,
    registry: &Registry<'_>,
    store: &Store,
    previous: Option<&Lock>,
    upgrade: &Upgrade,
) -> Result<Vec<Image>, ImageError> {
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    for role in &requirements.roles {
        let vars = release(catalog, role, requirements, kubernetes);
        for need in &role.images {
            let why = Why { role: role.role, component: need.component.clone(), chain: vec![need.name.clone()] };
            let known = wanted.iter_mut().find(|known| known.arch == role.target.arch && same(known.need, need));
            match known {
                Some(known) => known.why.push(why),
                None => wanted.push(Wanted { need, arch: role.target.arch, vars: vars.clone(), why: vec![why] }),
            }
        }
    }
    let kept = previous.map(|lock| lock.images.as_slice()).unwrap_or_default();
    stream::iter(wanted)
        .map(async |Wanted { need, arch, vars, why }| {
            let named = Named::new(need, arch, &vars)?;
            let free = why.iter().any(|why| upgrade.frees(&why.component));
            let image = match kept.iter().find(|image| !free && named.is(image, need, arch)) {
                Some(image) => image.clone(),
                None => pin(named, need, arch, catalog, mirrors, registry, store).await?,
            };
            Ok(Image { why, ..image })
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// How many images are looked up at once; the network has limits of its own for each host.
const AT_ONCE: usize = 16;

/// An image that some roles want.
struct Wanted<'a> {
    need: &'a ImageRequirement,
    arch: Arch,
    vars: Vars,
    why: Vec<Why>,
}

/// Whether two components ask for the same; who asks is another matter.
fn same(one: &ImageRequirement, other: &ImageRequirement) -> bool {
    let key =
        |need: &ImageRequirement| (need.source.clone(), need.repository.clone(), need.tag.clone(), need.name.clone());
    key(one) == key(other)
}

/// The texts of a requirement, filled in.
struct Named {
    vars: Vars,
    tag: String,
    repository: String,
    name: String,
}

impl Named {
    fn new(need: &ImageRequirement, arch: Arch, vars: &Vars) -> Result<Self, ImageError> {
        let unknown = |source| ImageError::Variable { component: need.component.clone(), source };
        let vars = vars.clone().with("arch", arch);
        let tag = vars.fill(&need.tag).map_err(unknown)?;
        let repository = vars.fill(&need.repository).map_err(unknown)?;
        let name = format!("{}:{tag}", vars.fill(&need.name).map_err(unknown)?);
        Ok(Self { vars, tag, repository, name })
    }

    fn is(&self, image: &Image, need: &ImageRequirement, arch: Arch) -> bool {
        (image.arch, &image.name, &image.source) == (arch, &self.name, &need.source)
            && (&image.repository, &image.tag) == (&self.repository, &self.tag)
    }
}

async fn pin(
    named: Named,
    need: &ImageRequirement,
    arch: Arch,
    catalog: &Catalog,
    mirrors: &Mirrors,
    registry: &Registry<'_>,
    store: &Store,
) -> Result<Image, ImageError> {
    let Named { vars, tag, repository, name } = named;
    let unknown = |source| ImageError::Variable { component: need.component.clone(), source };
    let failed = |source| ImageError::Registry {
        component: need.component.clone(),
        image: name.clone(),
        source: Box::new(source),
    };
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
