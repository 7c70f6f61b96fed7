//! The operating system of images, pinned.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Lock, LockError, Package, Repository};
use crate::digest::Digest;
use crate::profile::SystemRequirement;
use crate::target::Target;

/// What images of machines are made of beside their bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperatingSystem {
    /// Which one.
    pub target: Target,
    /// The digest of what was asked for ([`SystemRequirement::digest`]).
    pub input: Digest,
    /// Everything that is installed but for the bundle's own packages, ordered by name.
    pub packages: Vec<Package>,
    /// What images are written with and their bootloader, ordered by name: nothing of it is installed.
    pub tools: Vec<Package>,
}

impl OperatingSystem {
    /// Every package of it.
    pub fn all(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().chain(&self.tools)
    }
}

impl Lock {
    /// The operating system of images for `requirement`, if it is locked as it is asked for now and no role carries one of its
    /// packages in another version.
    pub fn system(&self, requirement: &SystemRequirement) -> Option<&OperatingSystem> {
        let found = self.systems.iter().find(|system| system.target == requirement.target)?;
        let other = |package: &&Package| {
            package.target == found.target
                && found.all().any(|own| own.name == package.name && own.version != package.version)
        };
        let fits = found.input == requirement.digest() && !self.packages.iter().any(|package| other(&package));
        fits.then_some(found)
    }

    /// The same with another operating system in the place of the one for its target, and the states of its repositories.
    ///
    /// # Errors
    /// [`LockError::Apart`], where a role carries a package in another version.
    pub fn with_system(
        mut self,
        system: OperatingSystem,
        requirement: &SystemRequirement,
        repositories: Vec<Repository>,
    ) -> Result<Self, LockError> {
        self.systems.retain(|other| other.target != system.target);
        self.systems.push(system);
        self.repositories.extend(repositories);
        self.normalise();
        match self.system(requirement) {
            Some(_) => Ok(self),
            None => Err(LockError::Apart { target: requirement.target.clone() }),
        }
    }

    /// Only the packages of one operating system, to be fetched.
    pub fn of_system(&self, system: &OperatingSystem) -> Self {
        Self {
            packages: system.all().cloned().collect(),
            files: Vec::new(),
            images: Vec::new(),
            addons: Vec::new(),
            systems: Vec::new(),
            ..self.clone()
        }
    }
}
