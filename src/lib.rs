//! khimg turns one cluster file into a highly available Kubernetes cluster on blank machines.
//!
//! ```text
//! cluster.yaml ─▶ resolve ─▶ khimg.lock ─▶ fetch ─▶ render ─▶ pack ─▶ deliver ─▶ dist/
//! profiles/                  (pinned)      (store)  (trees)  (bundles)
//! ```
//!
//! The modules stand in the order of that picture. Each stage has one public function and one result type; only
//! [`pipeline`] connects them. Below them lie nouns that know nothing of any stage: [`digest`], [`store`], [`net`], …

// What the user wants.
pub mod config;

pub mod cloud_init;

pub mod cluster;

pub mod catalog;

pub mod profile;

pub mod kubernetes;

pub mod kubeadm;

// Which exact artifacts, from where, proven how.
pub mod mirrors;

pub mod resolve;

pub mod openpgp;

pub mod registry;

pub mod lock;

pub mod inventory;

// The whole way.
pub mod pipeline;

// Proven bytes on this machine.
pub mod net;

pub mod store;

pub mod fetch;

// Files as data, then as archives, then in place.
pub mod disk;

pub mod iso;

pub mod secrets;

pub mod render;

pub mod seed;

pub mod pack;

pub mod deliver;

pub mod inspect;

pub mod transfer;

pub mod artifact;

pub mod bill;

// On the machines.
pub mod node;

// Onto the machines.
pub mod image;

pub mod serve;

// All of it, on one machine.
pub mod lab;

// Nouns that everybody uses.
pub mod arch;

pub mod clock;

pub mod digest;

pub mod exit;

pub mod input;

pub mod report;

pub mod shipped;

pub mod target;

// Schemas of the files that people write.
pub mod schema;
