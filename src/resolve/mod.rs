//! `resolve`: from what is needed to exact artifacts with proven digests.

pub mod apt;
pub mod file;
pub mod image;

use crate::cluster::KubernetesVersion;
use crate::lock::{File, Image, Package, Repository};

/// Exact artifacts for everything that was required.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// The exact Kubernetes version, where a role carries Kubernetes.
    pub kubernetes: Option<KubernetesVersion>,
    /// States of the repositories that something came from.
    pub repositories: Vec<Repository>,
    /// Packages.
    pub packages: Vec<Package>,
    /// Plain files.
    pub files: Vec<File>,
    /// Images.
    pub images: Vec<Image>,
}
