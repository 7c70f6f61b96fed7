//! Every file that a node gets: the golden trees, what must never be in them, and what the real programs say of them.

mod fixture;
mod golden;
mod layers;
mod programs;
mod secrecy;
mod seeds;
mod stage0;
