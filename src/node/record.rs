//! `installed.json`: what was installed, by digest, and what is half-way.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::durable;
use super::error::NodeError;
use super::state::State;
use crate::cluster::Role;
use crate::digest::Digest;
use crate::kubernetes::KubernetesVersion;
use crate::pack::contents::Units;
use crate::target::Target;

/// Version of the format.
const VERSION: u32 = 1;

/// What is on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {
    /// Version of the format.
    pub version: u32,
    /// The bundle that was begun or is being undone; the node is somewhere between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// The bundles that were installed: the present one last, before it the one to go back to.
    pub history: Vec<Generation>,
}

/// A change that has not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pending {
    /// The bundle.
    pub sha256: Digest,
    /// Which way.
    pub change: Change,
}

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Towards the bundle.
    Install,
    /// Back to what was before it.
    Undo,
}

/// One installed bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Generation {
    /// Digest of the bundle.
    pub sha256: Digest,
    /// What it makes of the node.
    pub role: Role,
    /// The base system that it is for.
    pub target: Target,
    /// Its Kubernetes version, if it carries one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesVersion>,
    /// Version of the khimg that made it.
    pub khimg: String,
    /// When it was installed.
    pub at: Timestamp,
    /// Digests of the files that it put in place, by path; of a link's target, for a link.
    pub files: BTreeMap<String, Digest>,
    /// Versions of its packages, by name.
    pub packages: BTreeMap<String, String>,
    /// Its units.
    pub units: Units,
}

impl Installed {
    /// What is on record; nothing where there is none.
    ///
    /// # Errors
    /// A record that cannot be read.
    pub fn read(state: &State) -> Result<Self, NodeError> {
        let path = state.installed();
        match fs::read(&path) {
            Ok(text) => match serde_json::from_slice::<Self>(&text) {
                Ok(record) if record.version == VERSION => Ok(record),
                Ok(record) => Err(NodeError::Record { path, reason: format!("version {} is unknown", record.version) }),
                Err(error) => Err(NodeError::Record { path, reason: error.to_string() }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { version: VERSION, pending: None, history: Vec::new() })
            }
            Err(error) => Err(NodeError::io("read", &path)(error)),
        }
    }

    /// The bundle that the node has now.
    pub fn current(&self) -> Option<&Generation> {
        self.history.last()
    }

    /// Puts the record on disk, whole.
    pub(super) fn write(&self, state: &State) -> Result<(), NodeError> {
        write_json(&state.installed(), self)
    }
}

/// Writes `value` to `path`, whole or not at all.
pub(super) fn write_json<T: Serialize>(path: &std::path::Path, value: &T) -> Result<(), NodeError> {
    durable::write(path, 0o644, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        file.write_all(b"\n")
    })
}
