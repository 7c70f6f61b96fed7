//! What khimg knows of Kubernetes itself: versions, images, kubeadm's configuration, and the facts that changed between minors.

pub mod kubeadm;
pub mod quirks;
pub mod releases;

pub use releases::{ImageVersions, Releases};
