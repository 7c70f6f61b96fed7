//! What images of machines need of their operating system, before any version has been looked up.

use serde::Serialize;

use super::RequireError;
use crate::catalog::Catalog;
use crate::cluster::Cluster;
use crate::digest::Digest;
use crate::target::Target;

/// The packages of an operating system that images are made of, beside its base and the roles' bundles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SystemRequirement {
    /// The operating system.
    pub target: Target,
    /// What belongs to its base: priorities and names.
    pub base: (Vec<String>, Vec<String>),
    /// What is installed beside the base.
    pub packages: Vec<String>,
    /// What images are written with.
    pub tools: Vec<String>,
}

impl SystemRequirement {
    /// Its digest; a lock records it to know whether it is stale.
    pub fn digest(&self) -> Digest {
        // Lists of texts: nothing that JSON could not hold.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// What images of `target` need.
///
/// # Errors
/// The catalogue does not say what images of it are made of, or not with that kernel.
pub fn system(cluster: &Cluster, catalog: &Catalog, target: &Target) -> Result<SystemRequirement, RequireError> {
    let no_image = |what: String| {
        let possible = catalog.systems.iter().filter(|(_, system)| system.image.is_some());
        RequireError::NoImage { what, possible: possible.map(|(name, _)| name.clone()).collect() }
    };
    let unknown =
        || RequireError::UnknownSystem { os: target.os.clone(), known: catalog.systems.keys().cloned().collect() };
    let system = catalog.systems.get(&target.os).ok_or_else(unknown)?;
    let parts = system.image.as_ref().ok_or_else(|| no_image(target.to_string()))?;
    let choice = &cluster.image;
    let kernel = parts.kernels.get(&choice.kernel);
    let kernel = kernel.ok_or_else(|| no_image(format!("{target} with the kernel {}", choice.kernel.name())))?;
    let tools = parts.tools.get(&target.arch).ok_or_else(|| no_image(target.to_string()))?;
    let vars = catalog.vars(target, cluster.kubernetes);
    let filled = |names: &[String]| -> Result<Vec<String>, RequireError> {
        let names = names.iter().map(|name| vars.fill(name));
        let names = names.collect::<Result<Vec<_>, _>>();
        names.map_err(|source| RequireError::Variable { component: format!("image of {}", target.os), source })
    };
    Ok(SystemRequirement {
        target: target.clone(),
        base: (system.base.priorities.clone(), system.base.packages.clone()),
        packages: filled(&[&parts.packages[..], kernel, &choice.packages].concat())?,
        tools: filled(tools)?,
    })
}
