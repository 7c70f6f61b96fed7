//! Debian package repositories: from a release file signed by a pinned key to the exact set of packages that a role needs.

pub mod attempt;
pub mod closure;
pub mod error;
pub mod index;
mod plan;
pub mod relation;
pub mod release;
pub mod repository;
pub mod shelve;
pub mod stanza;
pub mod system;
pub mod universe;
pub mod version;
