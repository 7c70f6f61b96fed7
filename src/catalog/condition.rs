//! When something is needed: `when: {runtime: containerd, endpoint: [stacked, dedicated], kubernetes: ">=1.24"}`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is known of a cluster and a target when conditions are judged: `runtime` → `containerd`, `kubernetes` → `1.34`.
pub type Facts = BTreeMap<&'static str, String>;

/// All of its entries must hold; an empty condition always holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Condition(pub BTreeMap<String, OneOrMany>);

/// A value or a list of them, one of which must be equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// Equal to this.
    One(String),
    /// Equal to one of these.
    Many(Vec<String>),
}
