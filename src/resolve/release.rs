//! What the texts of plain files and images may name.

use crate::catalog::{Catalog, Vars};
use crate::kubernetes::KubernetesVersion;
use crate::profile::{Requirements, RoleRequirements};

/// The variables for `role`. Those of the Kubernetes release are missing where there is none, or where the catalogue does not
/// know its images: then a text that needs one of them says so, and no other.
pub(super) fn release(
    catalog: &Catalog,
    role: &RoleRequirements,
    requirements: &Requirements,
    kubernetes: Option<KubernetesVersion>,
) -> Vars {
    let vars = catalog.vars(&role.target, requirements.kubernetes);
    let Some(version) = kubernetes else { return vars };
    let vars = vars.with("kubernetes", version);
    catalog.release_vars(vars.clone(), version).unwrap_or(vars)
}
