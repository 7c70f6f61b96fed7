//! From a cluster, profiles and the catalogue to what each role needs. Pure: no network, no clock, no disk.

use std::collections::BTreeSet;

use super::{
    AddonRequirement, FileRequirement, ImageRequirement, PackageRequirement, Profile, Profiles, Requirements,
    RoleRequirements, holding,
};
use crate::catalog::Packaging;
use crate::catalog::vars::UnknownVariable;
use crate::catalog::{Catalog, Component, Facts, Vars};
use crate::cluster::{Cluster, Role, facts};
use crate::exit::{Exit, Explain};
use crate::kubernetes::quirks;
use crate::kubernetes::{KubernetesVersion, Runtime, VersionRequest};
use crate::target::Target;

/// What the names of Kubernetes' own images begin with.
const KUBERNETES_REGISTRY: &str = "registry.k8s.io/";

/// Why it cannot be said what a role needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequireError {
    /// There is no profile of this role.
    #[error("there is no profile for the role {0}")]
    NoProfile(Role),
    /// A profile names a component that the catalogue does not have.
    #[error("the profile of {role} names the component {component:?}, which the catalogue does not have")]
    UnknownComponent {
        /// The role.
        role: Role,
        /// The component.
        component: String,
    },
    /// The cluster file chooses for a component that the catalogue does not have.
    #[error("the cluster file chooses for the component {component:?}, which the catalogue does not have")]
    UnknownChoice {
        /// The component.
        component: String,
    },
    /// The operating system is not in the catalogue.
    #[error("the catalogue does not have the operating system {os:?}")]
    UnknownSystem {
        /// The operating system.
        os: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// The catalogue does not say what images of it are made of.
    #[error("no image can be made of {what}")]
    NoImage {
        /// The operating system, with the kernel if that is what is missing.
        what: String,
        /// Operating systems of which images can be made.
        possible: Vec<String>,
    },
    /// The catalogue has this component in one form only, of no version of its own.
    #[error("the catalogue has nothing to choose for {component}")]
    NothingToChoose {
        /// The component.
        component: String,
    },
    /// The catalogue does not offer the component here, or not in the form that the cluster file wants.
    #[error("the catalogue has no {} for Kubernetes {kubernetes} on {target}", form(.component, *.wanted))]
    NotOffered {
        /// The component.
        component: String,
        /// The form that was asked for, if one was.
        wanted: Option<Packaging>,
        /// The Kubernetes version asked for.
        kubernetes: String,
        /// The base system.
        target: Target,
        /// The forms in which it could be had.
        offered: Vec<&'static str>,
    },
    /// Conditions leave nothing of a component that the profile wants.
    #[error("the catalogue has nothing of {component} for the role {role} with Kubernetes {kubernetes} on {target}")]
    Nothing {
        /// The component.
        component: String,
        /// The role.
        role: Role,
        /// The Kubernetes version asked for.
        kubernetes: String,
        /// The base system.
        target: Target,
    },
    /// Docker Engine is wanted, and nothing lets the kubelet talk to it.
    #[error(
        "the kubelet of Kubernetes {kubernetes} talks to Docker only through cri-dockerd, which the catalogue's component docker lacks"
    )]
    NoShim {
        /// The Kubernetes version asked for.
        kubernetes: String,
    },
    /// A plain file or an image has exactly one version.
    #[error("the version {version:?} of {component} is a pattern, but a plain file or an image needs an exact one")]
    Inexact {
        /// The component.
        component: String,
        /// The version.
        version: String,
    },
    /// A text of the catalogue with a variable that nobody knows.
    #[error("the component {component} cannot be read")]
    Variable {
        /// The component.
        component: String,
        /// The variable.
        source: UnknownVariable,
    },
}

fn form(component: &str, source: Option<Packaging>) -> String {
    match source {
        None => component.to_owned(),
        Some(Packaging::Package) => format!("package of {component}"),
        Some(Packaging::Vendor) => format!("package of {component} by its publisher"),
        Some(Packaging::File) => format!("plain file of {component}"),
        Some(Packaging::Image) => format!("image of {component}"),
    }
}

impl Explain for RequireError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoProfile(_)
            | Self::UnknownComponent { .. }
            | Self::UnknownChoice { .. }
            | Self::Inexact { .. }
            | Self::Variable { .. } => Exit::BadInput,
            Self::UnknownSystem { .. }
            | Self::NothingToChoose { .. }
            | Self::NoImage { .. }
            | Self::NotOffered { .. }
            | Self::NoShim { .. }
            | Self::Nothing { .. } => Exit::Unsupported,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoProfile(role) => format!("add {role}.yaml to the directory of profiles"),
            Self::UnknownComponent { .. } | Self::UnknownChoice { .. } => {
                "`khimg catalog list` shows the components".to_owned()
            }
            Self::UnknownSystem { known, .. } => format!("choose one of {} at `target`", known.join(", ")),
            Self::NoImage { possible, .. } => format!(
                "images can be made of {}; other machines take their bundle onto an installed system",
                possible.join(", ")
            ),
            Self::NothingToChoose { component } => {
                format!("remove `{component}` from `components` in the cluster file")
            }
            Self::NotOffered { component, wanted: Some(_), offered, .. } if !offered.is_empty() => {
                format!("write `source: {}` below `components: {component}`", offered.join("` or `source: "))
            }
            Self::NotOffered { component, .. } | Self::Nothing { component, .. } => {
                format!("add {component} for this target to a catalogue of your own (`khimg catalog export`)")
            }
            Self::NoShim { .. } => {
                "add cri-dockerd to the component docker in your catalogue, or write `runtime: containerd`".to_owned()
            }
            Self::Inexact { .. } => "write the whole version, without `*`".to_owned(),
            Self::Variable { .. } => return None,
        })
    }
}

/// What `roles` of `cluster` need; without `roles`: all roles that the cluster has nodes of.
///
/// A role without nodes is required for the cluster's own target. Variables are filled in, except for those that need the
/// exact Kubernetes version: `{kubernetes}`, `{etcd}`, `{coredns}`, `{pause}`.
///
/// # Errors
/// The first contradiction between the three.
pub fn require(
    cluster: &Cluster,
    profiles: &Profiles,
    catalog: &Catalog,
    roles: Option<&[Role]>,
) -> Result<Requirements, RequireError> {
    for (name, choice) in &cluster.components {
        let component = catalog.components.get(name);
        let component = component.ok_or_else(|| RequireError::UnknownChoice { component: name.clone() })?;
        if component.offers.is_empty() && (choice.source.is_some() || choice.version.is_some()) {
            return Err(RequireError::NothingToChoose { component: name.clone() });
        }
    }
    let mut required = Vec::new();
    for role in Role::ALL {
        let mut targets: BTreeSet<&Target> = cluster.nodes_of(role).map(|node| cluster.target_of(node)).collect();
        match roles {
            Some(wanted) if !wanted.contains(&role) => continue,
            Some(_) if targets.is_empty() => {
                targets.insert(&cluster.target);
            }
            _ => {}
        }
        for target in targets {
            let profile = profiles.get(&role).ok_or(RequireError::NoProfile(role))?;
            required.push(Need::new(cluster, catalog, role, target)?.of(profile)?);
        }
    }
    Ok(Requirements { kubernetes: cluster.kubernetes, roles: required })
}

/// One role on one target.
struct Need<'a> {
    cluster: &'a Cluster,
    catalog: &'a Catalog,
    role: Role,
    target: &'a Target,
    /// All facts, and those without `source.<component>`.
    facts: Facts,
    plain: Facts,
    vars: Vars,
}

impl<'a> Need<'a> {
    fn new(cluster: &'a Cluster, catalog: &'a Catalog, role: Role, target: &'a Target) -> Result<Self, RequireError> {
        if !catalog.systems.contains_key(&target.os) {
            let known = catalog.systems.keys().cloned().collect();
            return Err(RequireError::UnknownSystem { os: target.os.clone(), known });
        }
        // What only the exact version tells stands for itself.
        let vars = catalog
            .vars(target, cluster.kubernetes)
            .with("kubernetes", "{kubernetes}")
            .with("etcd", "{etcd}")
            .with("coredns", "{coredns}")
            .with("pause", "{pause}");
        Ok(Self {
            cluster,
            catalog,
            role,
            target,
            facts: facts::facts(cluster, catalog, role, target),
            plain: facts::offerable(cluster, catalog, role, target),
            vars,
        })
    }

    fn of(&self, profile: &Profile) -> Result<RoleRequirements, RequireError> {
        let mut all = RoleRequirements {
            role: self.role,
            target: self.target.clone(),
            packages: Vec::new(),
            files: Vec::new(),
            images: Vec::new(),
            addons: self.addons(),
        };
        for name in holding(&profile.components, &self.facts) {
            let component = self.catalog.components.get(name);
            let component = component
                .ok_or_else(|| RequireError::UnknownComponent { role: self.role, component: name.to_owned() })?;
            let found = self.component(name, component, &mut all)?;
            if !found {
                return Err(RequireError::Nothing {
                    component: name.to_owned(),
                    role: self.role,
                    kubernetes: self.cluster.kubernetes.to_string(),
                    target: self.target.clone(),
                });
            }
        }
        self.check_shim(&all)?;
        Ok(all)
    }

    /// Their pods run on any node, and masters apply them.
    fn addons(&self) -> Vec<AddonRequirement> {
        let addons = self.cluster.addons.iter().filter(|_| matches!(self.role, Role::Master | Role::Worker));
        let addons = addons.map(|addon| AddonRequirement {
            name: addon.name.clone(),
            origin: addon.origin.clone(),
            text: addon.text.clone(),
            images: addon.images.clone(),
        });
        addons.collect()
    }

    /// From 1.24 on, Docker without cri-dockerd is no container runtime.
    fn check_shim(&self, all: &RoleRequirements) -> Result<(), RequireError> {
        let VersionRequest { minor, patch } = self.cluster.kubernetes;
        let version = KubernetesVersion { minor, patch: patch.unwrap_or_default() };
        let runs_pods = matches!(self.role, Role::Master | Role::Worker);
        if self.cluster.runtime != Runtime::Docker || !runs_pods || quirks::has_dockershim(version) {
            return Ok(());
        }
        let mut names = all.files.iter().map(|file| &file.name).chain(all.packages.iter().map(|package| &package.name));
        if names.any(|name| name == "cri-dockerd") {
            return Ok(());
        }
        Err(RequireError::NoShim { kubernetes: self.cluster.kubernetes.to_string() })
    }

    /// Adds what `component` needs here; whether that is anything.
    fn component(&self, name: &str, component: &Component, all: &mut RoleRequirements) -> Result<bool, RequireError> {
        let unreadable = |source| RequireError::Variable { component: name.to_owned(), source };
        let vars = match self.version(name, component)? {
            Some(version) => {
                let version = self.vars.fill(version).map_err(unreadable)?;
                self.vars.clone().with("version", version)
            }
            None => self.vars.clone(),
        };
        let before = (all.packages.len(), all.files.len(), all.images.len());
        for need in component.packages.iter().filter(|need| need.when.holds(&self.facts)) {
            let version = need.version.as_deref().map(|version| vars.fill(version)).transpose().map_err(unreadable)?;
            all.packages.push(PackageRequirement {
                component: name.to_owned(),
                name: need.name.clone(),
                version: version.filter(|version| version != "*"),
                sources: need.sources.clone(),
            });
        }
        for need in component.files.iter().filter(|need| need.when.holds(&self.facts)) {
            let version = vars.fill(&need.version).map_err(unreadable)?;
            if version.contains('*') {
                return Err(RequireError::Inexact { component: name.to_owned(), version });
            }
            let vars = vars.clone().with("version", &version);
            all.files.push(FileRequirement {
                component: name.to_owned(),
                name: need.name.clone(),
                source: need.source.clone(),
                path: vars.fill(&need.path).map_err(unreadable)?,
                checksums: need.checksums.as_deref().map(|path| vars.fill(path)).transpose().map_err(unreadable)?,
                install: need.install.clone(),
                version,
            });
        }
        for need in component.images.iter().filter(|need| need.when.holds(&self.facts)) {
            let tag = vars.fill(&need.tag).map_err(unreadable)?;
            if tag.contains('*') {
                return Err(RequireError::Inexact { component: name.to_owned(), version: tag });
            }
            all.images.push(ImageRequirement {
                component: name.to_owned(),
                source: need.source.clone(),
                repository: need.repository.clone(),
                tag,
                name: self.image_name(&need.name),
            });
        }
        Ok(before != (all.packages.len(), all.files.len(), all.images.len()))
    }

    /// The name of an image on a node. Kubernetes' own can begin otherwise.
    fn image_name(&self, name: &str) -> String {
        let own = name.strip_prefix(KUBERNETES_REGISTRY);
        match self.cluster.compat.image_repository.as_ref().zip(own) {
            Some((repository, path)) => format!("{repository}/{path}"),
            None => name.to_owned(),
        }
    }

    /// The version in which `component` is taken, variables and all; `None` where there is nothing to choose.
    fn version<'c>(&'c self, name: &str, component: &'c Component) -> Result<Option<&'c str>, RequireError> {
        if component.offers.is_empty() {
            return Ok(None);
        }
        let choice = self.cluster.components.get(name);
        let wanted = choice.and_then(|choice| choice.source);
        let holding = || component.offers_where(&self.plain);
        let offer = holding().find(|offer| wanted.is_none_or(|wanted| wanted == offer.source)).ok_or_else(|| {
            let offered: BTreeSet<_> = holding().map(|offer| offer.source.name()).collect();
            RequireError::NotOffered {
                component: name.to_owned(),
                wanted,
                kubernetes: self.cluster.kubernetes.to_string(),
                target: self.target.clone(),
                offered: offered.into_iter().collect(),
            }
        })?;
        Ok(Some(choice.and_then(|choice| choice.version.as_deref()).unwrap_or(&offer.version)))
    }
}
