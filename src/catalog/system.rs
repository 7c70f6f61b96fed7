//! An operating system that nodes can run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Vars;
use crate::arch::Arch;

/// Operating systems that have their package manager in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// apt and dpkg.
    Debian,
    /// yum or dnf, and rpm.
    Rhel,
}

impl Family {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Rhel => "rhel",
        }
    }
}

/// An operating system that nodes can run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct System {
    /// The family, which decides the package manager: `debian` or `rhel`.
    pub family: Family,
    /// `{codename}`: what its own repositories call it.
    pub codename: String,
    /// `{distribution}`: what others' repositories call the distribution, such as `ubuntu`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub distribution: String,
    /// `{el}`: the release of Enterprise Linux whose packages by others it can take, such as `9`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub el: String,
    /// Sources that serve its own packages.
    pub sources: Vec<String>,
    /// The same on machines of one architecture, instead of `sources`, where they are kept elsewhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources_on: BTreeMap<Arch, Vec<String>>,
    /// What is installed on every such machine before khimg comes.
    pub base: Base,
    /// Packages that such a machine has in a lab beside the base: what starts it and reads its seed.
    #[serde(default)]
    pub rehearsal: Vec<String>,
    /// What images of it are made of; khimg can make none without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Ingredients>,
}

/// A build of the operating system's kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kernel {
    /// For virtual machines and clouds: small.
    #[default]
    Cloud,
    /// For any machine.
    Generic,
}

impl Kernel {
    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::Generic => "generic",
        }
    }
}

/// What images of an operating system are made of, beside its base: names of packages, in which `{arch}` is filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ingredients {
    /// Packages of each kernel that can be chosen.
    pub kernels: BTreeMap<Kernel, Vec<String>>,
    /// What starts a machine, reads its seed and lets one look at it.
    pub packages: Vec<String>,
    /// What the image is written with and its bootloader, by the machine's architecture: nothing of it is installed.
    pub tools: BTreeMap<Arch, Vec<String>>,
}

impl System {
    /// `vars` with those that name it in repositories.
    pub fn vars(&self, vars: Vars) -> Vars {
        let vars = vars.with("codename", &self.codename);
        vars.with("distribution", &self.distribution).with("el", &self.el)
    }

    /// The sources of its own packages on machines of this architecture.
    pub fn sources(&self, arch: Arch) -> &[String] {
        self.sources_on.get(&arch).unwrap_or(&self.sources)
    }
}

/// What is declared to be on a machine already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Base {
    /// Debian packages of these priorities belong to it (Debian Policy §2.5), and all that are `Essential`.
    #[serde(default)]
    pub priorities: Vec<String>,
    /// Further packages, by name.
    pub packages: Vec<String>,
}
