//! `layer.yaml`: what a layer of overlay files declares about each of them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tree::Mode;
use crate::catalog::Condition;

/// The name of the file at the root of each layer.
pub const FILE_NAME: &str = "layer.yaml";

/// A layer's declaration: every file of the layer, and nothing that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LayerFile {
    /// What the layer is for, in one line.
    pub description: String,
    /// Absolute path on the node → how the file gets there. Templates stand without their `.j2`.
    pub files: BTreeMap<String, Declaration>,
}

/// What is declared about one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Declaration {
    /// Permission bits; `0644` unless it says otherwise. Never read from a disk.
    #[serde(default)]
    pub mode: DeclaredMode,
    /// Whether it is the same on all nodes of a role, and so belongs to the bundle.
    #[serde(default)]
    pub scope: Scope,
    /// Whether it holds a secret: then its scope must be `node` and its mode is 0600.
    #[serde(default)]
    pub secret: bool,
    /// Whether it takes the place of a file of a lower layer. Without this word, that is an error.
    #[serde(default)]
    pub replaces: bool,
    /// When it is there at all.
    #[serde(default)]
    pub when: Condition,
}

/// Permission bits as a layer declares them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeclaredMode {
    /// Everybody may read it.
    #[default]
    #[serde(rename = "0644")]
    Plain,
    /// Everybody may run it.
    #[serde(rename = "0755")]
    Program,
    /// Only root may read it.
    #[serde(rename = "0600")]
    Private,
}

/// Where a file belongs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The same on all nodes of a role: in the bundle.
    #[default]
    Role,
    /// Different on each node: in the seed.
    Node,
}

impl Declaration {
    /// The permission bits.
    pub fn mode(&self) -> Mode {
        match self.mode {
            _ if self.secret => Mode::Private,
            DeclaredMode::Plain => Mode::Plain,
            DeclaredMode::Program => Mode::Program,
            DeclaredMode::Private => Mode::Private,
        }
    }

    /// Why this declaration contradicts itself, if it does.
    pub fn fault(&self) -> Option<&'static str> {
        match self {
            Self { secret: true, scope: Scope::Role, .. } => {
                Some("a secret must have `scope: node`, because bundles are public")
            }
            Self { secret: true, mode: DeclaredMode::Program, .. } => Some("a secret cannot have mode 0755"),
            _ => None,
        }
    }
}
