//! Combinations of good values that the catalogue refuses.

use std::collections::BTreeSet;

use super::Check;
use crate::catalog::Limit;
use crate::cluster::{Cluster, Role, facts};
use crate::target::Target;

/// Judges every limit for every role and target that occurs, and tells each one once.
pub(super) fn check(check: &mut Check<'_>, cluster: &Cluster) {
    let kinds: BTreeSet<(Role, &Target)> =
        cluster.nodes.iter().map(|node| (node.role, cluster.target_of(node))).collect();
    let kinds: Vec<_> = kinds
        .into_iter()
        .map(|(role, target)| (role, target, facts::facts(cluster, check.catalog, role, target)))
        .collect();
    let catalog = check.catalog;
    for limit in &catalog.limits {
        if let Some((role, target, _)) = kinds.iter().find(|(_, _, facts)| limit.when.holds(facts)) {
            tell(check, cluster, limit, *role, target);
        }
    }
}

fn tell(check: &mut Check<'_>, cluster: &Cluster, limit: &Limit, role: Role, target: &Target) {
    let mut pointers = limit.when.0.keys().map(|fact| place(cluster, fact, role, target)).collect::<Vec<_>>();
    pointers.sort();
    let mut spans = pointers.iter().map(|(_, pointer)| pointer).filter(|pointer| check.document.has(pointer));
    let first = spans.next().cloned().unwrap_or_default();
    let mut problem = check.document.problem(&first, limit.reason.as_str(), Some(limit.remedy.clone())).unsupported();
    for other in spans.filter(|other| **other != first) {
        problem = problem.related(check.document.span(other), "together with this");
    }
    // An unknown version, for one, has been told already.
    if !check.problems.iter().any(|known| known.span() == problem.span()) {
        check.problems.push(problem);
    }
}

/// Where the file says what `fact` asks, and how well the place stands for a combination: the lower, the better.
fn place(cluster: &Cluster, fact: &str, role: Role, target: &Target) -> (u8, String) {
    let written = |node: &&crate::cluster::Node| node.role == role && cluster.target_of(node) == target;
    let index = cluster.nodes.iter().position(|node| written(&node)).unwrap_or_default();
    let of_target = |key: &str| match cluster.nodes.get(index).and_then(|node| node.target.as_ref()) {
        Some(_) => format!("/nodes/{index}/target/{key}"),
        None => format!("/target/{key}"),
    };
    match fact {
        "runtime" => (0, "/runtime".to_owned()),
        "cni" | "dns" | "kubeProxy" => (0, format!("/network/{fact}")),
        "endpoint" => (0, "/endpoint/mode".to_owned()),
        "etcd" => (0, "/etcd/mode".to_owned()),
        "bootstrap" => (0, "/bootstrap".to_owned()),
        "dnsSettings" => (0, "/network/coredns".to_owned()),
        "kubeadmApi" => (0, "/compat/kubeadmApi".to_owned()),
        "kubernetes" => (2, "/kubernetes".to_owned()),
        "os" | "family" => (3, of_target("os")),
        "arch" => (3, of_target("arch")),
        "role" => (4, format!("/nodes/{index}/role")),
        _ => match fact.strip_prefix("source.") {
            Some(component) => (1, format!("/components/{}/source", crate::config::segment(component))),
            None => (5, String::new()),
        },
    }
}
