//! Profiles: what a role is made of. And, from a cluster and its profiles, what each role needs.

pub mod load;
pub mod require;
pub mod requirement;
mod system;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::{Condition, Facts};
use crate::cluster::Role;
pub use load::load;
pub use require::{RequireError, require};
pub use requirement::{
    ADDON, AddonRequirement, FileRequirement, ImageRequirement, PackageRequirement, Requirements, RoleRequirements,
};

pub use system::{SystemRequirement, system};

/// What a role is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// The role.
    pub role: Role,
    /// What it is, in one line.
    pub description: String,
    /// Components of the catalogue.
    pub components: Vec<Part>,
    /// Overlay layers, lowest first.
    pub layers: Vec<Part>,
    /// systemd units to enable at boot.
    pub enable: Vec<Part>,
    /// systemd units to mask.
    #[serde(default)]
    pub mask: Vec<Part>,
}

/// A name, and when it belongs to the role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Part {
    /// The component, layer or unit.
    pub name: String,
    /// When it belongs to the role.
    #[serde(default, skip_serializing_if = "Condition::is_empty")]
    pub when: Condition,
}

/// All profiles by role.
pub type Profiles = BTreeMap<Role, Profile>;

/// The names of those of `parts` that belong to the role, in order.
pub fn holding<'a>(parts: &'a [Part], facts: &Facts) -> impl Iterator<Item = &'a str> {
    parts.iter().filter(move |part| part.when.holds(facts)).map(|part| part.name.as_str())
}
