//! Debian package repositories: from a release file signed by a pinned key to the exact set of packages that a role needs.

mod candidates;
pub mod closure;
pub mod reduce;
pub mod relation;
pub mod release;
pub mod repository;
pub mod stanza;
pub mod system;
pub mod version;
