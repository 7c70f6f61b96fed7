//! One integration binary. Each module covers one promise; `support` holds what they share.

// clippy.toml allows these in test functions only; here everything is a test, helpers too.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod support;

// The cluster file and every other YAML file: good and bad.
mod config;

// The catalogue, the profiles and what roles need.
mod catalog;

// The download engine and the store, against mirrors with faults.
mod fetch;

// Debian repositories: signatures, indices, closures compared with apt.
mod apt;

// rpm repositories: signatures, lists, closures compared with dnf.
mod yum;

// khimg.lock: same bytes for the same content, and what is said of a lock that cannot be used.
mod lock;

// Plain files and images from a requirement to the lock.
mod files;

// Container registries and image archives.
mod registry;

// Every file that a node gets.
mod render;

// Discs that carry seeds, read by others.
mod iso;

// Disk images, read by others and booted.
mod disk;

// Depots and seeds over the network.
mod serve;

// Bundles: same bytes, whatever the machine.
mod pack;

// Manifests of the user's.
mod addons;

// Every version, runtime, endpoint and etcd.
mod matrix;

// What bundles and locks are made of.
mod bill;

// Depots in a registry.
mod artifact;

// The main job on the real thing, from real repositories and a real registry.
mod build;

// The commands as a user types them.
mod cli;

// The direction of dependencies, and what no source file may hold.
mod layering;

// What happens on a machine: installing, going back, and becoming a cluster.
mod node;

// Whole machines on this one: `khimg lab`, and clusters that form in it. A stage of its own in `tests/run`.
mod lab;
