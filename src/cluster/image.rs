//! What images of machines hold beside their bundle.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::Kernel;

/// What `khimg image` puts into images of machines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageChoice {
    /// The kernel. cloud: for virtual machines; generic: for any machine.
    #[serde(default)]
    pub kernel: Kernel,
    /// Further packages of the operating system's, such as firmware.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub packages: Vec<String>,
}
