//! The catalogue: data that says, for each component and operating system, where it comes from, on which mirrors,
//! signed by which keys, with which known digests.
//!
//! Built in from `profiles/catalog/`; a directory of the user's can add to it or change it, entry by entry ([`load`]).

pub(crate) mod check;
pub mod component;
pub mod condition;
pub mod digests;
pub mod feature;
pub mod limit;
pub mod load;
pub mod reference;
pub(crate) mod shelf;
pub mod source;
pub mod system;
pub mod vars;

use std::collections::BTreeMap;

use crate::kubernetes::{KubernetesVersion, VersionRequest};
use crate::target::Target;
pub use component::{Component, FileNeed, ImageNeed, Offer, PackageNeed, Packaging};
pub use condition::{Condition, Facts};
pub use digests::Digests;
pub use limit::Limit;
pub use load::load;
pub use reference::{BadReference, Reference};
pub use source::{AptLayout, AptSource, FileSource, RegistrySource, Source, YumSigned, YumSource};
pub use system::{Family, Kernel, System};
pub use vars::Vars;

/// The whole catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalog {
    /// Source name → where and by whom.
    pub sources: BTreeMap<String, Source>,
    /// Name of a key file (`profiles/catalog/keys/`) → its bytes, ASCII-armoured or binary.
    pub keys: BTreeMap<String, Vec<u8>>,
    /// Component name → what belongs to it.
    pub components: BTreeMap<String, Component>,
    /// Operating system id (`debian-12`) → what it is.
    pub systems: BTreeMap<String, System>,
    /// Published digests of plain files: name → architecture → version → digest.
    pub digests: Digests,
    /// Kubernetes version → the versions of the images that belong to it.
    pub kubernetes: crate::kubernetes::Releases,
    /// Combinations that khimg refuses, each with its reason.
    pub limits: Vec<Limit>,
}

impl Catalog {
    /// What conditions may name.
    pub fn known_facts(&self) -> condition::Known {
        check::known_facts(self.systems.keys(), self.components.iter())
    }

    /// The variables of bases, suites and paths on `target`: `{arch}`, `{machine}`, `{minor}` (`1.34`) and, where the catalogue
    /// knows the operating system, `{codename}`, `{distribution}` and `{el}`.
    pub fn vars(&self, target: &Target, kubernetes: VersionRequest) -> Vars {
        let vars = Vars::default()
            .with("arch", target.arch)
            .with("machine", target.arch.machine())
            .with("minor", format_args!("1.{}", kubernetes.minor));
        match self.systems.get(&target.os) {
            Some(system) => system.vars(vars),
            None => vars,
        }
    }

    /// `vars` with what follows from an exact version: `{kubernetes}`, `{etcd}`, `{coredns}`, `{pause}`. Requirements leave these
    /// open. `None` for a minor whose images the catalogue does not know.
    pub fn release_vars(&self, vars: Vars, version: KubernetesVersion) -> Option<Vars> {
        let images = self.kubernetes.images(version)?;
        Some(
            vars.with("kubernetes", version)
                .with("etcd", images.etcd)
                .with("coredns", images.coredns)
                .with("pause", images.pause),
        )
    }
}
