//! What each role carries, by name: all that a rendered file may know of artifacts.
//!
//! It comes from a lock or, so that files can be looked at before anything is locked, from what is required.

use std::collections::{BTreeMap, BTreeSet};

use crate::arch::Arch;
use crate::catalog::vars::UnknownVariable;
use crate::catalog::{Catalog, Component, FileNeed, PackageNeed, Vars};
use crate::cluster::Role;
use crate::kubernetes::{KubernetesVersion, VersionRequest};
use crate::lock::Lock;
use crate::profile::{ADDON, Requirements};
use crate::target::Target;

/// Names of what each role carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    kubernetes: Option<KubernetesVersion>,
    images: BTreeMap<(Role, Arch), BTreeSet<String>>,
    /// Versions, exact or as they were asked for.
    packages: BTreeMap<(Target, String), String>,
    files: BTreeMap<(Arch, String), String>,
}

impl Inventory {
    /// What `lock` pins.
    pub fn of_lock(lock: &Lock) -> Self {
        let mut inventory = Self { kubernetes: lock.kubernetes, ..Self::default() };
        for image in &lock.images {
            // What a manifest of the user's starts is no image of a component's: no rendered file names it.
            for why in image.why.iter().filter(|why| !why.component.starts_with(ADDON)) {
                inventory.images.entry((why.role, image.arch)).or_default().insert(image.name.clone());
            }
        }
        for package in &lock.packages {
            inventory.packages.insert((package.target.clone(), package.name.clone()), package.version.clone());
        }
        for file in &lock.files {
            inventory.files.insert((file.arch, file.name.clone()), file.version.clone());
        }
        inventory
    }

    /// What `requirements` will be locked to, as far as the catalogue can tell without the network: the highest patch of
    /// Kubernetes that it knows stands for one that was not asked for.
    ///
    /// # Errors
    /// An image of the catalogue that uses an unknown variable.
    pub fn of_requirements(requirements: &Requirements, catalog: &Catalog) -> Result<Self, UnknownVariable> {
        let kubernetes = expected(requirements.kubernetes, catalog);
        let mut vars = Vars::default();
        if let Some(version) = kubernetes {
            vars = vars.with("kubernetes", version);
            if let Some(images) = catalog.kubernetes.images(version) {
                vars = vars.with("etcd", images.etcd).with("coredns", images.coredns).with("pause", images.pause);
            }
        }
        let mut inventory = Self { kubernetes, ..Self::default() };
        for role in &requirements.roles {
            let vars = vars.clone().with("arch", role.target.arch);
            let images = inventory.images.entry((role.role, role.target.arch)).or_default();
            for image in &role.images {
                images.insert(format!("{}:{}", vars.fill(&image.name)?, vars.fill(&image.tag)?));
            }
            for package in &role.packages {
                let version = package.version.clone().unwrap_or_else(|| "*".to_owned());
                inventory.packages.insert((role.target.clone(), package.name.clone()), version);
            }
            for file in &role.files {
                inventory.files.insert((role.target.arch, file.name.clone()), file.version.clone());
            }
        }
        Ok(inventory)
    }

    /// The exact Kubernetes version, where it is known.
    pub fn kubernetes(&self) -> Option<KubernetesVersion> {
        self.kubernetes
    }

    /// Full names with tags of the images that `role` carries on machines of `arch`.
    pub fn images(&self, role: Role, arch: Arch) -> impl Iterator<Item = &str> {
        self.images.get(&(role, arch)).into_iter().flatten().map(String::as_str)
    }

    /// Whether a package is carried for `target`.
    pub fn has_package(&self, target: &Target, name: &str) -> bool {
        self.packages.contains_key(&(target.clone(), name.to_owned()))
    }

    /// The version of `component` on `target`: that of the first of its packages and files that is there. It is what was asked
    /// for, perhaps with a `*`, before anything is locked.
    pub fn version(&self, component: &Component, target: &Target) -> Option<&str> {
        let package = |need: &PackageNeed| self.packages.get(&(target.clone(), need.name.clone()));
        let file = |need: &FileNeed| self.files.get(&(target.arch, need.name.clone()));
        let packages = component.packages.iter().filter_map(package);
        packages.chain(component.files.iter().filter_map(file)).next().map(String::as_str)
    }
}

/// The version asked for, or the highest patch of it of which the catalogue knows kubeadm.
fn expected(request: VersionRequest, catalog: &Catalog) -> Option<KubernetesVersion> {
    if let Some(patch) = request.patch {
        return Some(KubernetesVersion { minor: request.minor, patch });
    }
    let archs = catalog.digests.get("kubeadm")?.values();
    let versions = archs.flat_map(BTreeMap::keys).filter_map(|version| version.parse().ok());
    versions.filter(|version| request.accepts(*version)).max()
}
