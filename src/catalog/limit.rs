//! Combinations of good values that khimg refuses, as data: `profiles/catalog/limits.yaml`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Condition;

/// A combination that does not work, or not yet. The cluster file's check ends with exit code 3 where one holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limit {
    /// The combination.
    pub when: Condition,
    /// Why it is refused: one sentence, lower-case start, no full stop.
    pub reason: String,
    /// What to write instead.
    pub remedy: String,
}
