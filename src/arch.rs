//! Machine architectures, and what each of the worlds that khimg talks to calls them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An architecture that nodes can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit x86.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

impl Arch {
    /// All of them, in order.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// The name in Debian packages, container images and Kubernetes' download paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The name in rpm packages and in `uname -m`.
    pub fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
