//! From the file as written to a [`Cluster`] that can be trusted. Nothing stops at the first error: every check adds its problems to
//! one list, and only a file without any becomes a cluster.
//!
//! Each check has its noun: names, versions, addresses, the endpoint, networks, roles, sources, limits.

mod addon;
mod address;
mod compat;
mod endpoint;
mod image;
mod limit;
mod name;
mod network;
mod role;
mod seeding;
mod source;
mod trust;
mod version;

use std::path::Path;

use super::file::{ClusterFile, NodeFile, TargetFile, default};
use super::{Cluster, Node, Target};
use crate::catalog::Catalog;
use crate::config::{Document, Problem, Problems, known};

/// Checks `file`, which was decoded from `document`, against itself and against `catalog`; key files are read relative to `dir`.
///
/// # Errors
/// Every problem of the file at once: bad values with exit code 2, good values that do not go together with exit code 3.
pub fn check(file: &ClusterFile, document: &Document, dir: &Path, catalog: &Catalog) -> Result<Cluster, Problems> {
    let mut check = Check { document, catalog, dir, problems: Vec::new() };
    let cluster = check.cluster(file);
    if let Some(cluster) = &cluster {
        limit::check(&mut check, cluster);
    }
    let unexplained = check.problems.is_empty() && cluster.is_none();
    if unexplained {
        check.bad("", "the cluster file is wrong in a way that no check explains", None);
    }
    match cluster {
        Some(cluster) => Problems::or(check.problems, cluster),
        None => Err(Problems::new(check.problems)),
    }
}

/// What all checks share: where to look, and where to complain.
struct Check<'a> {
    document: &'a Document,
    catalog: &'a Catalog,
    dir: &'a Path,
    problems: Vec<Problem>,
}

impl Check<'_> {
    /// A bad value at `pointer`.
    fn bad(&mut self, pointer: &str, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.problems.push(self.document.problem(pointer, message, help.into()));
    }

    /// A bad key at `pointer`.
    fn bad_key(&mut self, pointer: &str, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.problems.push(self.document.key_problem(pointer, message, help.into()));
    }

    /// A value at `pointer` that clashes with the one at `other`.
    fn clash(
        &mut self,
        pointer: &str,
        other: &str,
        label: &str,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        let mut problem = self.document.problem(pointer, message, help.into());
        if self.document.has(other) {
            problem = problem.related(self.document.span(other), label);
        }
        self.problems.push(problem);
    }

    /// Good values that do not work together, or not yet.
    fn unsupported(&mut self, pointer: &str, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.problems.push(self.document.problem(pointer, message, help.into()).unsupported());
    }

    /// `value`, or nothing and a problem at `pointer` where it is an error.
    fn accept<T>(&mut self, pointer: &str, value: Result<T, Refusal>) -> Option<T> {
        value.map_err(|refusal| self.bad(pointer, refusal.message, refusal.help)).ok()
    }

    fn cluster(&mut self, file: &ClusterFile) -> Option<Cluster> {
        let name = self.accept("/name", name::dns_label(&file.name));
        let kubernetes = version::kubernetes(self, &file.kubernetes);
        let target = self.target("/target", &file.target, None);
        let interface = self.accept("/endpoint/interface", name::interface(&file.endpoint.interface));
        let nodes: Vec<Option<Node>> =
            file.nodes.iter().enumerate().map(|(index, node)| self.node(index, node, file, &target)).collect();
        address::check_nodes(self, file);
        role::check(self, file);
        let endpoint = endpoint::check(self, file, interface);
        let network = network::check(self, file);
        let compat = compat::check(self, file);
        source::check(self, file);
        let trust = trust::check(self, file);
        let addons = addon::check(self, file);
        let depots = source::depots(self, &file.depots);
        let seeding = seeding::check(self, file);
        let image = image::check(self, file);
        let join_until = self.accept("/joinUntil", version::join_until(&file.join_until));
        let token_life = self.accept("/tokenLife", version::token_life(&file.token_life));
        Some(Cluster {
            name: name?,
            kubernetes: kubernetes?,
            target,
            runtime: file.runtime,
            endpoint: endpoint?,
            etcd: file.etcd.mode,
            bootstrap: file.bootstrap,
            network: network?,
            mirrors: file.mirrors.clone(),
            mirror_definitions: file.mirror_definitions.clone(),
            trust: trust?,
            components: file.components.clone(),
            compat: compat?,
            addons: addons?,
            depots: depots?,
            seeding: seeding?,
            image: image?,
            join_until: join_until?,
            token_life: token_life?,
            nodes: nodes.into_iter().collect::<Option<_>>()?,
        })
    }

    /// A base system; what is not written comes from `base`, or else from the defaults.
    fn target(&mut self, pointer: &str, file: &TargetFile, base: Option<&Target>) -> Target {
        let os = file.os.clone().or(base.map(|base| base.os.clone())).unwrap_or_else(default::os);
        let arch = file.arch.or(base.map(|base| base.arch)).unwrap_or_else(default::arch);
        let inherited = file.os.is_none() && base.is_some();
        if !inherited && !self.catalog.systems.contains_key(&os) {
            let help = known(&os, "operating systems", self.catalog.systems.keys().map(String::as_str));
            self.bad(&format!("{pointer}/os"), format!("the catalogue has no operating system {os:?}"), help);
        }
        Target { os, arch }
    }

    fn node(&mut self, index: usize, node: &NodeFile, file: &ClusterFile, target: &Target) -> Option<Node> {
        let at = |key: &str| format!("/nodes/{index}/{key}");
        let name = self.accept(&at("name"), name::dns_label(&node.name));
        let address = self.accept(&at("address"), address::node(&node.address));
        let gateway = match &node.gateway {
            Some(text) => self.accept(&at("gateway"), address::plain(text)).map(Some),
            None => Some(None),
        };
        let mut nameservers = Some(Vec::new());
        for (number, text) in node.nameservers.iter().enumerate() {
            let server = self.accept(&at(&format!("nameservers/{number}")), address::plain(text));
            nameservers = nameservers.zip(server).map(|(mut all, one)| {
                all.push(one);
                all
            });
        }
        let mac = match &node.mac {
            Some(text) => self.accept(&at("mac"), address::mac(text)).map(Some),
            None => Some(None),
        };
        let serial = match &node.serial {
            Some(text) => self.accept(&at("serial"), name::serial(text)).map(Some),
            None => Some(None),
        };
        let uuid = match &node.uuid {
            Some(text) => self.accept(&at("uuid"), name::uuid(text)).map(Some),
            None => Some(None),
        };
        let interface = match &node.interface {
            Some(text) => self.accept(&at("interface"), name::interface(text)),
            None => Some(file.endpoint.interface.clone()),
        };
        let own = node.target.as_ref().map(|own| self.target(&at("target"), own, Some(target)));
        Some(Node {
            name: name?,
            role: node.role,
            address: address?,
            gateway: gateway?,
            nameservers: nameservers?,
            mac: mac?,
            serial: serial?,
            uuid: uuid?,
            interface: interface?,
            target: own.filter(|own| own != target),
        })
    }
}

/// Why a single value is no good, and what would be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    message: String,
    help: Option<String>,
}

impl Refusal {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()) }
    }
}
