//! Why files could not be rendered.

use crate::cluster::Role;
use crate::exit::{Exit, Explain};
use crate::kubeadm::KubeadmError;
use crate::secrets::SecretsError;
use crate::target::Target;

use super::overlay::OverlayError;

/// Why files could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A template failed.
    #[error("{origin}:{line}: {reason}")]
    Template {
        /// The template.
        origin: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong, with the expression where there is one. Never a value.
        reason: String,
    },
    /// A template is not UTF-8.
    #[error("{origin} is a template but not UTF-8")]
    NotText {
        /// The template.
        origin: String,
    },
    /// Two layers have the same file.
    #[error("{origin} would replace {lower} at {path}")]
    Clobber {
        /// The file above.
        origin: String,
        /// The file below.
        lower: String,
        /// The path on the node.
        path: String,
    },
    /// A file says that it replaces another, but there is none.
    #[error("{origin} is declared to replace {path}, but no lower layer has it")]
    NothingToReplace {
        /// The file.
        origin: String,
        /// The path on the node.
        path: String,
    },
    /// A profile names a layer that does not exist.
    #[error("the profile of {role} names the layer {layer:?}, which does not exist")]
    UnknownLayer {
        /// The role.
        role: Role,
        /// The layer.
        layer: String,
    },
    /// There is no profile for a role.
    #[error("there is no profile for the role {role}")]
    NoProfile {
        /// The role.
        role: Role,
    },
    /// No such node.
    #[error("the cluster has no node {name:?}")]
    UnknownNode {
        /// The name.
        name: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// The lock does not pin the Kubernetes version.
    #[error("the lock pins no Kubernetes version, and the role {role} carries Kubernetes")]
    NotLocked {
        /// The role.
        role: Role,
    },
    /// The lock lacks an image that nodes of the target will run.
    #[error("the lock holds no {image} image for {target}")]
    NoImage {
        /// Last element of the image's name.
        image: &'static str,
        /// The base system.
        target: Target,
    },
    /// Two images of the lock would have the same name in templates.
    #[error("the lock holds two images called {name:?}: {first} and {second}")]
    TwoImages {
        /// The last element of their names.
        name: String,
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// Kubernetes of this version cannot be configured.
    #[error("the catalogue does not know Kubernetes {version}")]
    UnknownVersion {
        /// The version.
        version: String,
    },
    /// The bridge network cannot give each node a pod network of its own.
    #[error("the bridge network cannot give {node} pod addresses: {reason}")]
    PodNetwork {
        /// The node.
        node: String,
        /// Why not.
        reason: String,
    },
    /// kube-proxy is to use the kernel's virtual server, and nothing loads it.
    #[error(
        "kube-proxy's mode ipvs needs the kernel modules {modules}, and no file of the role {role} in /etc/modules-load.d loads them"
    )]
    NoModules {
        /// The role.
        role: Role,
        /// Those that are missing, with commas.
        modules: String,
    },
    /// The bytes of an addon are not there.
    #[error("the manifest of the addon {name} is not there")]
    NoAddon {
        /// The addon.
        name: String,
    },
    /// kubeadm's configuration cannot be written.
    #[error(transparent)]
    Kubeadm(#[from] KubeadmError),
    /// The overlays do not fit together.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// The secrets cannot be used.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// A document could not be serialised.
    #[error("cannot write {path} as YAML")]
    Yaml {
        /// Its path on the node.
        path: &'static str,
        /// The serializer's reason.
        source: serde_saphyr::SerializeError,
    },
    /// A path on a node that is not safe.
    #[error(transparent)]
    Path(#[from] super::tree::BadPath),
}

impl RenderError {
    pub(super) fn template(origin: &str, source: &str, error: &minijinja::Error) -> Self {
        let expression = error.range().and_then(|range| source.get(range)).map(str::trim);
        // An error's detail may repeat a value; where it stands and what kind it is, never.
        let reason = match expression {
            Some(expression) if expression.len() <= 80 && !expression.is_empty() => {
                format!("{} in `{expression}`", error.kind())
            }
            _ => error.kind().to_string(),
        };
        Self::Template { origin: origin.to_owned(), line: error.line().unwrap_or(1), reason }
    }
}

impl Explain for RenderError {
    fn exit(&self) -> Exit {
        match self {
            Self::Template { .. }
            | Self::NotText { .. }
            | Self::Clobber { .. }
            | Self::NothingToReplace { .. }
            | Self::UnknownLayer { .. }
            | Self::NoProfile { .. }
            | Self::UnknownNode { .. } => Exit::BadInput,
            Self::NotLocked { .. } | Self::NoImage { .. } | Self::TwoImages { .. } | Self::NoAddon { .. } => Exit::Lock,
            Self::Kubeadm(KubeadmError::NoImage { .. }) => Exit::Lock,
            Self::UnknownVersion { .. } | Self::PodNetwork { .. } | Self::NoModules { .. } => Exit::Unsupported,
            Self::Kubeadm(KubeadmError::Secrets(error)) | Self::Secrets(error) => error.exit(),
            Self::Overlay(error) => error.exit(),
            Self::Kubeadm(KubeadmError::Yaml { .. }) | Self::Yaml { .. } | Self::Path(_) => Exit::Unexpected,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Clobber { path, .. } => {
                Some(format!("if that is meant, write `replaces: true` beside {path} in the upper layer's layer.yaml"))
            }
            Self::NothingToReplace { .. } => {
                Some("remove `replaces: true`, or add the lower layer to the profile".to_owned())
            }
            Self::UnknownLayer { .. } => Some("`khimg overlay list` shows the layers that exist".to_owned()),
            Self::NoProfile { .. } => Some("`khimg profile list` shows the profiles that exist".to_owned()),
            Self::UnknownNode { known, .. } => Some(format!("its nodes are {}", known.join(", "))),
            Self::NotLocked { .. } | Self::TwoImages { .. } | Self::NoAddon { .. } => {
                Some("run: khimg lock".to_owned())
            }
            Self::NoImage { image, .. } => Some(format!(
                "run: khimg lock; a catalogue of your own must name an image {image} in a component of the role"
            )),
            Self::Kubeadm(KubeadmError::NoImage { .. }) => Some("run: khimg lock".to_owned()),
            Self::UnknownVersion { .. } => Some("choose another version in the cluster file".to_owned()),
            Self::PodNetwork { .. } => Some("enlarge `network.podSubnet`, or choose another `network.cni`".to_owned()),
            Self::NoModules { .. } => {
                Some("load them in your overlay of the base layer, or write `kubeProxy: iptables`".to_owned())
            }
            Self::Overlay(error) => error.hint(),
            Self::Kubeadm(KubeadmError::Secrets(error)) | Self::Secrets(error) => error.hint(),
            _ => None,
        }
    }
}
