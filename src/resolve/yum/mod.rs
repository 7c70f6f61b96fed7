//! rpm package repositories: from a `repomd.xml`, or from packages that are each signed, to the exact set that a role needs.

mod candidates;
pub mod capability;
pub mod closure;
pub mod evr;
pub mod filelists;
pub mod modules;
pub mod primary;
pub mod repomd;
pub mod repository;
mod rich;
mod search;
mod xml;
