//! Which versions of etcd, CoreDNS and pause belong to which patch release of Kubernetes. Data: `profiles/catalog/kubernetes.yaml`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kubernetes::KubernetesVersion;

/// All that is known, by minor and by the first patch from which it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Releases(pub Vec<Release>);

/// The image versions from one patch release on, until the next entry of the same minor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// First version for which this holds, such as `1.23.14`.
    pub from: String,
    /// Tag of the etcd image.
    pub etcd: String,
    /// Tag of the CoreDNS image.
    pub coredns: String,
    /// Tag of the pause image.
    pub pause: String,
}

/// Tags of the images that belong to one exact Kubernetes version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageVersions {
    /// Tag of the etcd image.
    pub etcd: String,
    /// Tag of the CoreDNS image.
    pub coredns: String,
    /// Tag of the pause image.
    pub pause: String,
}

impl Releases {
    /// The image versions of `version`; `None` for a minor that the catalogue does not know.
    pub fn images(&self, version: KubernetesVersion) -> Option<ImageVersions> {
        let found = self.0.iter().filter_map(|release| {
            let from: KubernetesVersion = release.from.parse().ok()?;
            (from.minor == version.minor && from <= version).then_some((from, release))
        });
        found.max_by_key(|(from, _)| *from).map(|(_, release)| ImageVersions {
            etcd: release.etcd.clone(),
            coredns: release.coredns.clone(),
            pause: release.pause.clone(),
        })
    }
}
