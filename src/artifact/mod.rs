//! A depot in a registry: bundles as OCI artifacts, one blob for each layer, so that a newer version sends only what changed.
//!
//! ```text
//! index at the tag ─┬▶ manifest of bundles/master-….tar.zst ─▶ contents, layer, layer, …, end
//!                   ├▶ manifest of bundles/worker-….tar.zst ─▶ (layers that both have are one blob)
//!                   └▶ manifest of all other public files    ─▶ one blob each
//! ```
//!
//! The blobs of a bundle's manifest, one behind the other, are the bundle. Sources: OCI image specification 1.1 ("Guidelines for Artifact
//! Usage") and distribution specification 1.1.

mod document;
mod error;
mod pull;
mod push;
mod reference;

pub use error::ArtifactError;
pub use pull::{Pulled, pull};
pub use push::{Pushed, push};
pub use reference::Reference;
