//! Every file that a node gets: the golden trees, what must never be in them, and what the real programs say of them.

mod carriers;
mod compat;
mod docker;
mod etcd;
pub mod fixture;
mod golden;
mod layers;
pub mod on_node;
mod programs;
mod secrecy;
pub mod seeds;
mod stage0;
mod versions;
