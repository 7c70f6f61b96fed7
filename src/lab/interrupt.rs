//! The user's wish to stop, looked at between steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::LabError;

/// Shared between whoever hears the user and whoever works.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks the work to stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Ends the work if somebody asked.
    pub(super) fn check(&self) -> Result<(), LabError> {
        if self.is_set() { Err(LabError::Interrupted) } else { Ok(()) }
    }
}
