//! What khimg does on a machine.

// A small etcd: disks, logs, elections, membership.
mod etcd;

// Masters that decide for themselves on top of it, through every disaster.
mod simulation;

// A machine to install on.
mod machine;

// Bundles: on, changed, back, with power cuts.
mod install;

// The same with rpm packages.
mod rpm;

// The servers that it talks to.
mod calls;

// What nodes join with.
mod token;

// A cluster brought back from a snapshot.
mod recovery;

// Certificates that end, and are renewed.
mod renewal;
