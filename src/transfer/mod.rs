//! Across an air gap: what a project needs to be built elsewhere, as one stream of proven blobs.
//!
//! ```text
//! export.json              what follows, and which files it makes
//! blobs/sha256/<hex>       artifacts of the lock, pieces of the depot, files of the project; each once
//! ```
//!
//! The stream is a tar archive, compressed with zstd, in one file or in parts of a given size. Bundles travel as their layers, so that a later
//! export against an earlier one carries only the layers and artifacts that are new. Nothing is believed on arrival: each blob
//! enters the store by its digest.

mod cargo;
mod error;
mod export;
mod import;
pub mod index;
mod parts;

pub use cargo::Cargo;
pub use error::TransferError;
pub use export::{ExportOptions, Exported, export};
pub use import::{Imported, import, read_index};
pub use index::Index;
