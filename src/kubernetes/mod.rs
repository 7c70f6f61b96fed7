//! What khimg knows of Kubernetes itself: versions, images, runtimes, and the facts that changed between minors.

pub mod quirks;
pub mod releases;
mod runtime;
pub mod version;

pub use quirks::KubeadmApi;
pub use releases::{ImageVersions, Releases};
pub use runtime::Runtime;
pub use version::{KubernetesVersion, VersionRequest};
