//! What the figures share with the integration tests.

// Of which the figures need a part.
#![allow(dead_code)]

#[path = "../it/support/base.rs"]
pub mod base;
#[path = "../it/support/daemon.rs"]
pub mod daemon;
#[path = "../it/support/empty.rs"]
pub mod empty;
#[path = "../it/support/lab.rs"]
pub mod lab;
#[path = "../it/support/sandbox.rs"]
pub mod sandbox;
#[path = "../it/support/workshop.rs"]
pub mod workshop;
