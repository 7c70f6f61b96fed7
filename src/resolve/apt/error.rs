//! Why packages do not come together.

use crate::exit::{Exit, Explain};

use super::relation::BadRelation;

/// A set of packages that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ClosureError {
    /// No source offers a package of this name.
    #[error("no source offers the package {name:?} that {asks} asks for{}", did_you_mean(near))]
    UnknownPackage {
        /// The name.
        name: String,
        /// Who asks for it.
        asks: String,
        /// Names that look like it.
        near: Vec<String>,
    },
    /// The package is there, the version is not.
    #[error("package {name} is not offered in version {wanted:?}, only in {}", few(available))]
    NoVersion {
        /// The package.
        name: String,
        /// The version or pattern that is asked for.
        wanted: String,
        /// What is offered, from high to low.
        available: Vec<String>,
    },
    /// Two components want different versions of one package.
    #[error("package {name} is asked for in two versions, {} and {}", versions[0], versions[1])]
    TwoVersions {
        /// The package.
        name: String,
        /// The versions.
        versions: [String; 2],
    },
    /// A dependency that nothing satisfies.
    #[error("{} needs {relation}, which cannot be had: {}", chain.join(" → "), tried.join("; "))]
    Unsatisfied {
        /// From the package asked for to the one that has the dependency.
        chain: Vec<String>,
        /// The dependency with all its alternatives.
        relation: String,
        /// What was tried and why it failed.
        tried: Vec<String>,
    },
    /// Packages that exclude each other.
    #[error("package {package} {version} {reason}")]
    Conflict {
        /// The package that was to be taken.
        package: String,
        /// Its version.
        version: String,
        /// With what it conflicts, where.
        reason: String,
    },
    /// A search beyond its limits.
    #[error("the dependencies of {} go on for too long", chain.first().map(String::as_str).unwrap_or_default())]
    TooDeep {
        /// How far it came.
        chain: Vec<String>,
    },
    /// A dependency field that cannot be read.
    #[error("package {package} {version} has a dependency that cannot be read")]
    BadRelation {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// What cannot be read.
        source: BadRelation,
    },
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; there is {}", near.join(", ")) }
}

fn few(versions: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown = versions.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match versions.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

impl Explain for ClosureError {
    fn exit(&self) -> Exit {
        match self {
            Self::UnknownPackage { .. } => Exit::BadInput,
            Self::BadRelation { .. } | Self::TooDeep { .. } => Exit::Verification,
            _ => Exit::Unsupported,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownPackage { .. } => Some(
                "`khimg catalog show sources` lists the sources; add one that offers it to the component".to_owned(),
            ),
            Self::NoVersion { .. } => Some("set one of these versions in the cluster file".to_owned()),
            _ => None,
        }
    }
}
