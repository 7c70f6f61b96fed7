//! Container registries: images by tag, pinned; their blobs, proven; archives of them for nodes.
//!
//! ```text
//! resolve   tag ─▶ index ─▶ manifest ─▶ configuration     every digest checked, each place in turn
//! pull      manifest, configuration, layers ─▶ store       in parallel, resumed, each place in turn
//! archive   store ─▶ one tar for containerd and docker
//! push      blobs that are missing there, then the manifest that names them
//! ```
//!
//! The protocol is that of the OCI distribution specification 1.1, which Docker's registry v2 became.

pub mod archive;
mod challenge;
mod client;
pub mod credentials;
mod error;
pub mod manifest;
mod pin;
mod place;
mod pull;
mod push;
mod tokens;

pub use archive::{ArchiveError, ImageArchive};
pub use client::Registry;
pub use credentials::{Credentials, CredentialsError};
pub use error::RegistryError;
pub use pin::Pinned;
pub use place::Place;
pub use pull::Document;
pub use push::{Content, Sent};
