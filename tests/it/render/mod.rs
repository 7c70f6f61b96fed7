//! Every file that a node gets: the golden trees, what must never be in them, and what the real programs say of them.

mod carriers;
mod compat;
mod docker;
mod fixture;
mod golden;
mod layers;
mod on_node;
mod programs;
mod secrecy;
mod seeds;
mod stage0;
