//! What khimg does on a machine: bring it to the state of a bundle, and back.
//!
//! ```text
//! bundle ─▶ unpack ─▶ packages ─▶ files ─▶ units ─▶ images       each step looks first and does only what is missing
//!              │          └─ before every change: what was there is kept
//!              └─ whole and proven, or not there
//! ```
//!
//! Everything can be cut off at any point and begun again. What was installed is on record by digest; the bundle before the
//! last one stays, so that one can go back. The machine is the one whose root directory this process sees: whoever wants to
//! fill a directory changes its root first.

pub mod call;
pub mod check;
mod command;
pub mod data;
pub mod decision;
mod durable;
mod error;
pub mod etcd;
pub mod imaged;
mod images;
mod install;
pub mod kube;
pub mod kubeconfig;
mod lease;
mod packages;
mod place;
pub mod record;
pub mod recovery;
pub mod renewal;
pub mod report;
mod rotation;
pub mod snapshot;
pub mod state;
pub mod status;
pub mod token;
pub mod told;
mod units;
mod unpack;
pub mod up;
mod validity;

pub use error::NodeError;
pub use install::{Outcome, install, rollback};
pub use up::up;
