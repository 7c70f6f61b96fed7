//! What the integration tests share: a mirror with faults, and a project directory to run the program in.

// Each area takes what it needs; an area that is being rewritten must not break the others.
#![allow(dead_code)]

pub mod fault;
pub mod golden;
pub mod mirror;
pub mod sandbox;
