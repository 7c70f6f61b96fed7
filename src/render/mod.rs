//! Files as data.
pub mod tree;
