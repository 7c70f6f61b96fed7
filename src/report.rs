//! What the library tells while it works. It never writes to a terminal itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A stage of the pipeline begins (`resolve`, `fetch`, …).
    Stage {
        /// The stage's verb.
        name: &'static str,
    },
    /// A piece of work begins.
    Started {
        /// Unique within one run.
        task: u64,
        /// What it is, for people.
        label: String,
        /// Its size in bytes, where known.
        total: Option<u64>,
    },
    /// So much of a piece of work is done.
    Progress {
        /// The task's number.
        task: u64,
        /// Bytes done so far, from the beginning.
        done: u64,
    },
    /// A piece of work is over, well or not.
    Finished {
        /// The task's number.
        task: u64,
    },
    /// Something was not needed.
    Skipped {
        /// What.
        label: String,
        /// Why not.
        reason: String,
    },
    /// Something worth a line, such as a mirror that was left for the next.
    Note {
        /// One sentence.
        text: String,
    },
    /// Something that the user should act on, though the command goes on.
    Warning {
        /// One sentence.
        text: String,
    },
}

/// A number for the next task; unique within the process.
pub fn next_task() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Receives what happens. Called from several threads.
pub trait Reporter: Send + Sync {
    /// Takes note of one event. Must not block for long.
    fn report(&self, event: Event);
}

/// A reporter that keeps silent.
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _: Event) {}
}
