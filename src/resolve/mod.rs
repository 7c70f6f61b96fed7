//! `resolve`: from what is needed to exact artifacts with proven digests.

pub mod apt;
pub mod file;
pub mod image;
