//! An operating system that nodes can run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An operating system that nodes can run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct System {
    /// The family, which decides the package manager: `debian` or `rhel`.
    pub family: String,
    /// `{codename}` in the family's repositories.
    pub codename: String,
    /// Sources that serve its own packages.
    pub sources: Vec<String>,
    /// What is installed on every such machine before khimg comes.
    pub base: Base,
    /// Packages that such a machine has in a lab beside the base: what starts it and reads its seed.
    #[serde(default)]
    pub rehearsal: Vec<String>,
}

/// What is declared to be on a machine already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Base {
    /// Packages of these priorities belong to it (Debian Policy §2.5), and all that are `Essential`.
    pub priorities: Vec<String>,
    /// Further packages, by name.
    pub packages: Vec<String>,
}
