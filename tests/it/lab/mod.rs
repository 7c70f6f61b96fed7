//! Whole machines. One lab at a time; the long ones take their steps in one lab after another and say how long each took.

mod agreement;
mod availability;
mod classic;
mod client;
mod disks;
mod formed;
mod forms;
mod image;
mod late;
mod machines;
mod partitions;
mod remains;
mod service;
mod upkeep;
mod watch;
