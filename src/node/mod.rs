//! What khimg does on a machine.

pub mod decision;
