//! What a machine is, as far as packages are concerned.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::arch::Arch;

/// The base system that a node runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// An operating system of the catalogue, such as `debian-12`.
    pub os: String,
    /// The machine's architecture.
    pub arch: Arch,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.os, self.arch)
    }
}
