//! JSON Schemas of the files that people write, for editors and for other programs.
//!
//! They are generated from the types that khimg reads, and committed under `profiles/schema/`; a test keeps the two equal.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use crate::catalog::{Component, Limit, Source, System};
use crate::cluster::file::ClusterFile;
use crate::kubernetes::Releases;
use crate::lock::Lock;
use crate::profile::Profile;

/// A type of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `cluster.yaml`.
    Cluster,
    /// `profiles/<role>.yaml`.
    Profile,
    /// `catalog/sources.yaml`.
    Sources,
    /// `catalog/components.yaml`.
    Components,
    /// `catalog/systems.yaml`.
    Systems,
    /// `catalog/kubernetes.yaml`.
    Kubernetes,
    /// `catalog/limits.yaml`.
    Limits,
    /// `khimg.lock`.
    Lock,
}

impl Kind {
    /// All of them, in the order in which people meet them.
    pub const ALL: [Self; 8] = [
        Self::Cluster,
        Self::Profile,
        Self::Sources,
        Self::Components,
        Self::Systems,
        Self::Kubernetes,
        Self::Limits,
        Self::Lock,
    ];

    /// The name on the command line and of the file under `profiles/schema/`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Profile => "profile",
            Self::Sources => "sources",
            Self::Components => "components",
            Self::Systems => "systems",
            Self::Kubernetes => "kubernetes",
            Self::Limits => "limits",
            Self::Lock => "lock",
        }
    }
}

/// The JSON Schema (draft 2020-12) of files of this type.
pub fn of(kind: Kind) -> Value {
    let mut schema = match kind {
        Kind::Cluster => plain::<ClusterFile>(),
        Kind::Profile => plain::<Profile>(),
        Kind::Sources => plain::<BTreeMap<String, Source>>(),
        Kind::Components => plain::<BTreeMap<String, Component>>(),
        Kind::Systems => plain::<BTreeMap<String, System>>(),
        Kind::Kubernetes => plain::<Releases>(),
        Kind::Limits => plain::<Vec<Limit>>(),
        Kind::Lock => plain::<Lock>(),
    };
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), format!("khimg {}", kind.name()).into());
    }
    schema
}

fn plain<T: JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}
