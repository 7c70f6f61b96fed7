//! The main job on the real thing: `khimg build` from real repositories and a real registry.

mod airgap;
mod closed;
mod faults;
mod images;
mod interrupted;
mod offline;
mod packages;
mod places;
mod reproducible;
mod roles;
mod sources;
mod systems;
