//! Kernel modules that a role's files must load.

use super::error::RenderError;
use super::tree::Tree;
use crate::cluster::Role;

/// What kube-proxy asks the kernel for in the mode `ipvs` (kubernetes/kubernetes, pkg/proxy/ipvs/README.md). Without them it
/// falls back to iptables, up to 1.34 without a word.
const IPVS: [&str; 4] = ["ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_sh"];

/// Nothing, if the files of `role` load them all.
pub(super) fn check_ipvs(role: Role, layers: &[(String, Tree)]) -> Result<(), RenderError> {
    let files = layers.iter().flat_map(|(_, tree)| tree.iter());
    let loading = files.filter(|(path, _)| path.as_str().starts_with("/etc/modules-load.d/"));
    let texts: Vec<&[u8]> = loading.filter_map(|(_, entry)| entry.bytes()).collect();
    let loads = |module: &&str| {
        let mut lines = texts.iter().flat_map(|text| text.split(|byte| *byte == b'\n'));
        lines.any(|line| line.trim_ascii() == module.as_bytes())
    };
    let missing: Vec<&str> = IPVS.into_iter().filter(|module| !loads(module)).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(RenderError::NoModules { role, modules: missing.join(", ") }),
    }
}
