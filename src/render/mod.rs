//! Files as data: everything that a node gets, by its path on the node, before any archive is made.
//!
//! ```text
//! profile ─▶ layers ─▶ role's tree  ─▶ bundle (public, the same on all nodes of a role)
//!               └────▶ node's trees ─▶ seed   (public and secret, of one node)
//! ```
//!
//! A role's files cannot hold a node's name or a secret: their templates see neither.

mod balancer;
mod context;
mod error;
mod generated;
mod images;
pub mod layer;
mod modules;
pub mod node_file;
mod overlay;
mod pods;
mod template;
pub mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use minijinja::Value;
use minijinja::value::Serde;
use serde::Serialize;

use crate::catalog::{Catalog, Facts};
use crate::cluster::{Cluster, KubeProxy, Node, Role, facts};
use crate::inventory::Inventory;
use crate::kubernetes::KubernetesVersion;
use crate::profile::{Part, Profile, Profiles};
use crate::secrets::Secrets;
use crate::target::Target;
use context::RoleContext;
pub use error::RenderError;
pub use generated::{CA_PATH, INIT_PATH, JOIN_PATH, REPORT_CA_PATH, REPORT_TOKEN_PATH, REPORT_URL_PATH, STORED_PATH};
use layer::Scope;
pub use node_file::{EtcdCertificate, NodeFile};
pub use overlay::{Layer, LayerEntry, OverlayError, Overlays};
use template::Engine;
use tree::{Content, Entry, Mode, TargetPath, Tree};

/// The layer that every node gets in its seed, whatever its profile: what finds and starts the bundle.
pub const STAGE0_LAYER: &str = "stage0";

/// The layer by which stage 0 asks a registry, in the seeds of a cluster that has one for a depot.
pub const REGISTRY_LAYER: &str = "stage0-registry";

/// The layer by which nodes say how far they are, in the seeds of a cluster that wants this.
pub const REPORT_LAYER: &str = "report";

/// Where a master has the manifests that a new cluster gets, in the order of their names.
pub const MANIFESTS: &str = "/etc/khimg/manifests";

/// How the names of the user's begin: after khimg's own.
const ADDON: &str = "50-";

/// The addon of the user's that a file of [`MANIFESTS`] is; nothing, if it is part of what makes a cluster.
pub fn addon(file: &str) -> Option<&str> {
    let (_, name) = file.strip_prefix(ADDON)?.split_once('-')?;
    name.strip_suffix(".yaml")
}

/// The layer of the user's manifests; there is no overlay of this name.
const ADDONS_LAYER: &str = "addons";

/// All rendered files of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// What goes into bundles: one entry for each role and target.
    pub roles: Vec<RoleFiles>,
    /// What goes into seeds: one entry for each node, in the order of the cluster file.
    pub nodes: Vec<NodeFiles>,
}

/// The files that all nodes of a role share. Public.
#[derive(Debug, Clone, PartialEq)]
pub struct RoleFiles {
    /// The role.
    pub role: Role,
    /// The base system.
    pub target: Target,
    /// Layers, lowest first, each with its files. A path that a higher layer replaces is gone from the lower one.
    pub layers: Vec<(String, Tree)>,
    /// systemd units to enable.
    pub enable: Vec<String>,
    /// systemd units to mask.
    pub mask: Vec<String>,
}

/// The files of one node beside its role's.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeFiles {
    /// The node's name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Its base system.
    pub target: Target,
    /// Files that anybody may see.
    pub public: Tree,
    /// Files that only this node may see.
    pub secret: Tree,
}

/// What to render from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// What each role is made of.
    pub profiles: &'a Profiles,
    /// What the targets are.
    pub catalog: &'a Catalog,
    /// Versions and image names.
    pub inventory: &'a Inventory,
    /// Layers of files.
    pub overlays: &'a Overlays,
    /// The cluster's secrets, or stand-ins.
    pub secrets: &'a Secrets,
    /// The manifests of the user's, by their names in the cluster file.
    pub addons: &'a BTreeMap<String, Vec<u8>>,
}

/// Renders the files of `roles` (all that the cluster has, where `None`) and of those `nodes` among them (all, where `None`).
///
/// A role that is named but has no node is rendered for the cluster's own target. Pure: the same inputs give the same
/// bytes, and nothing but the inputs is looked at.
///
/// # Errors
/// A template, a layer or a profile is wrong; the inventory lacks a version or an image; a node does not exist.
pub fn render(inputs: &Inputs<'_>, roles: Option<&[Role]>, nodes: Option<&[String]>) -> Result<Rendered, RenderError> {
    let cluster = inputs.cluster;
    for name in nodes.unwrap_or_default() {
        if !cluster.nodes.iter().any(|node| node.name == *name) {
            let known = cluster.nodes.iter().map(|node| node.name.clone()).collect();
            return Err(RenderError::UnknownNode { name: name.clone(), known });
        }
    }
    let engine = Engine::new()?;
    let mut rendered = Rendered { roles: Vec::new(), nodes: Vec::new() };
    for (role, target) in combinations(cluster, roles) {
        let stage = RoleStage::new(inputs, &engine, role, target)?;
        rendered.roles.push(stage.role_files()?);
        for node in cluster.nodes.iter().filter(|node| node.role == role && cluster.target_of(node) == target) {
            if nodes.is_none_or(|wanted| wanted.contains(&node.name)) {
                rendered.nodes.push(stage.node_files(node)?);
            }
        }
    }
    let places: BTreeMap<&str, usize> =
        cluster.nodes.iter().enumerate().map(|(place, node)| (node.name.as_str(), place)).collect();
    rendered.nodes.sort_by_key(|node| places.get(node.name.as_str()).copied());
    Ok(rendered)
}

/// Every role with every target that it occurs on, in order.
fn combinations<'a>(cluster: &'a Cluster, roles: Option<&[Role]>) -> BTreeSet<(Role, &'a Target)> {
    let mut found: BTreeSet<(Role, &Target)> =
        cluster.nodes.iter().map(|node| (node.role, cluster.target_of(node))).collect();
    if let Some(roles) = roles {
        found.retain(|(role, _)| roles.contains(role));
        for role in roles {
            if !found.iter().any(|(known, _)| known == role) {
                found.insert((*role, &cluster.target));
            }
        }
    }
    found
}

/// One role on one target, with all that its files have in common.
struct RoleStage<'a> {
    inputs: &'a Inputs<'a>,
    engine: &'a Engine,
    role: Role,
    target: &'a Target,
    profile: &'a Profile,
    facts: Facts,
    layers: Vec<(&'a str, &'a Layer)>,
    version: Option<KubernetesVersion>,
    images: images::Names,
    context: Value,
}

impl<'a> RoleStage<'a> {
    fn new(inputs: &'a Inputs<'a>, engine: &'a Engine, role: Role, target: &'a Target) -> Result<Self, RenderError> {
        let Inputs { cluster, catalog, inventory, .. } = *inputs;
        let profile = inputs.profiles.get(&role).ok_or(RenderError::NoProfile { role })?;
        let facts = facts::facts(cluster, catalog, role, target);
        let mut more = vec![STAGE0_LAYER];
        more.extend(cluster.has_registry_depot().then_some(REGISTRY_LAYER));
        more.extend(cluster.seeding.reports.as_ref().map(|_| REPORT_LAYER));
        let mut layers = Vec::new();
        for name in holding(&profile.layers, &facts).into_iter().chain(more) {
            let layer = inputs
                .overlays
                .layer(name)
                .ok_or_else(|| RenderError::UnknownLayer { role, layer: name.to_owned() })?;
            layers.push((name, layer));
        }
        let assumed =
            KubernetesVersion { minor: cluster.kubernetes.minor, patch: cluster.kubernetes.patch.unwrap_or_default() };
        let version = match role {
            Role::Master | Role::Worker => Some(inventory.kubernetes().ok_or(RenderError::NotLocked { role })?),
            Role::Lb | Role::Etcd => None,
        };
        let known = version.unwrap_or(assumed);
        if catalog.kubernetes.images(known).is_none() {
            return Err(RenderError::UnknownVersion { version: known.to_string() });
        }
        let images = images::of_role(inventory, role, target)?;
        let context = RoleContext::new((cluster, catalog, inventory), (role, target), (known, &images)).value();
        Ok(Self { inputs, engine, role, target, profile, facts, layers, version, images, context })
    }

    fn cni_bin(&self) -> &'static str {
        context::cni_bin(self.inputs.inventory, self.target)
    }

    fn role_files(&self) -> Result<RoleFiles, RenderError> {
        let mut layers: Vec<(String, Tree)> = Vec::new();
        for (name, layer) in &self.layers {
            let tree = self.layer_files(layer, Scope::Role, |_| Ok(self.context.clone()))?;
            for (path, entry) in &tree {
                let lower = layers.iter_mut().find_map(|(_, lower)| lower.0.remove(path));
                check_clobber(layer, path, entry, lower.as_ref())?;
            }
            layers.push(((*name).to_owned(), Tree(tree)));
        }
        if self.role == Role::Master {
            layers.push((ADDONS_LAYER.to_owned(), self.addons()?));
        }
        layers.retain(|(_, tree)| !tree.is_empty());
        if self.inputs.cluster.network.kube_proxy == KubeProxy::Ipvs && self.version.is_some() {
            modules::check_ipvs(self.role, &layers)?;
        }
        Ok(RoleFiles {
            role: self.role,
            target: self.target.clone(),
            layers,
            enable: holding(&self.profile.enable, &self.facts).into_iter().map(str::to_owned).collect(),
            mask: holding(&self.profile.mask, &self.facts).into_iter().map(str::to_owned).collect(),
        })
    }

    /// The manifests of the user's, numbered after khimg's own: they are applied in the order of their names.
    fn addons(&self) -> Result<Tree, RenderError> {
        let mut tree = Tree::default();
        for (index, addon) in self.inputs.cluster.addons.iter().enumerate() {
            let missing = || RenderError::NoAddon { name: addon.name.clone() };
            let bytes = self.inputs.addons.get(&addon.name).cloned().ok_or_else(missing)?;
            let path = TargetPath::from_str(&format!("{MANIFESTS}/{ADDON}{index:02}-{}.yaml", addon.name))?;
            let origin = format!("the addon {}", addon.name);
            tree.0.insert(path, Entry { mode: Mode::Plain, content: Content::Bytes(bytes), origin });
        }
        Ok(tree)
    }

    fn node_files(&self, node: &Node) -> Result<NodeFiles, RenderError> {
        let Inputs { cluster, secrets, .. } = *self.inputs;
        let public = context::with_node(&self.context, cluster, node)?;
        let secret = context::with_secrets(&public, secrets);
        let generated = generated::files((cluster, secrets), node, self.version, (&self.images, self.cni_bin()))?;
        let mut files = NodeFiles {
            name: node.name.clone(),
            role: self.role,
            target: self.target.clone(),
            public: generated.public,
            secret: generated.secret,
        };
        for (_, layer) in &self.layers {
            let tree = self.layer_files(layer, Scope::Node, |is_secret| {
                Ok(if is_secret { secret.clone() } else { public.clone() })
            })?;
            for (path, entry) in tree {
                let lower = files.public.0.remove(&path).or_else(|| files.secret.0.remove(&path));
                check_clobber(layer, &path, &entry, lower.as_ref())?;
                let is_secret = layer.files.get(&path).is_some_and(|file| file.declaration.secret);
                let into = if is_secret { &mut files.secret } else { &mut files.public };
                into.0.insert(path, entry);
            }
        }
        Ok(files)
    }

    /// The files of one layer and scope whose conditions hold, rendered.
    fn layer_files(
        &self,
        layer: &Layer,
        scope: Scope,
        context: impl Fn(bool) -> Result<Value, RenderError>,
    ) -> Result<BTreeMap<TargetPath, Entry>, RenderError> {
        let mut files = BTreeMap::new();
        for (path, file) in &layer.files {
            let declaration = &file.declaration;
            if declaration.scope != scope || !declaration.when.holds(&self.facts) {
                continue;
            }
            let bytes = if file.template {
                let source = std::str::from_utf8(&file.bytes)
                    .map_err(|_| RenderError::NotText { origin: file.origin.clone() })?;
                self.engine.render(&file.origin, source, &context(declaration.secret)?)?.into_bytes()
            } else {
                file.bytes.clone()
            };
            let entry = Entry { mode: declaration.mode(), content: Content::Bytes(bytes), origin: file.origin.clone() };
            files.insert(path.clone(), entry);
        }
        Ok(files)
    }
}

/// A file may replace a lower one only if it says so, and may say so only if there is one.
fn check_clobber(layer: &Layer, path: &TargetPath, entry: &Entry, lower: Option<&Entry>) -> Result<(), RenderError> {
    let replaces = layer.files.get(path).is_some_and(|file| file.declaration.replaces);
    match lower {
        Some(lower) if !replaces => Err(RenderError::Clobber {
            origin: entry.origin.clone(),
            lower: lower.origin.clone(),
            path: path.to_string(),
        }),
        None if replaces => Err(RenderError::NothingToReplace { origin: entry.origin.clone(), path: path.to_string() }),
        _ => Ok(()),
    }
}

/// The names of the parts whose conditions hold, in order.
fn holding<'a>(parts: &'a [Part], facts: &Facts) -> Vec<&'a str> {
    parts.iter().filter(|part| part.when.holds(facts)).map(|part| part.name.as_str()).collect()
}

/// A shipped file that is no node's, such as another server's configuration, filled with `context`.
///
/// # Errors
/// The template is wrong, or asks for what the context does not have.
pub fn fill(file: &LayerEntry, context: &impl Serialize) -> Result<String, RenderError> {
    let source = std::str::from_utf8(&file.bytes).map_err(|_| RenderError::NotText { origin: file.origin.clone() })?;
    Engine::new()?.render(&file.origin, source, &Value::from(Serde(context)))
}

impl Rendered {
    /// Every file that the node `name` gets, its role's and its own, at its path. A node's file stands above its role's.
    pub fn all_files(&self, name: &str) -> Option<Tree> {
        let node = self.nodes.iter().find(|node| node.name == name)?;
        let role = self.roles.iter().find(|role| role.role == node.role && role.target == node.target)?;
        let mut all = Tree::default();
        for (_, tree) in &role.layers {
            all.0.extend(tree.0.clone());
        }
        all.0.extend(node.public.0.clone());
        all.0.extend(node.secret.0.clone());
        Some(all)
    }
}
