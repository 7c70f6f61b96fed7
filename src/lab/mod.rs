//! Lab: a delivery rehearsed on this machine. The bundles and seeds of `dist/`, as they were delivered, on machines with real
//! systemd, cloud-init and Kubernetes; each machine is a systemd-nspawn container with a disk and a cable of its own.
//!
//! ```text
//! dist/ ─▶ machine ─▶ base ─▶ disk ─┐
//!                     network ──────┼─▶ boot ─▶ status      up, fault, down move between them
//!                     cgroup ───────┘    └─▶ enter
//! ```
//!
//! Bundles and seeds are never changed for the sake of the lab. What a container needs beside them is the overlay layer `lab`,
//! put on a node's disk before its first boot.

mod base;
mod boot;
mod cgroup;
mod disk;
mod down;
mod enter;
mod error;
mod fault;
mod interrupt;
mod kernel;
mod machine;
mod mounts;
mod network;
mod outside;
mod place;
mod program;
mod record;
mod status;
mod up;

pub use down::down;
pub use enter::{command, leader};
pub use error::LabError;
pub use fault::{Fault, fault};
pub use interrupt::Interrupt;
pub use machine::Machine;
pub use place::Place;
pub use record::{Lab, Record};
pub use status::{NodeStatus, status};
pub use up::{UpOptions, up, wait_ready};
