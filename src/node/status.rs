//! `status.json`: where khimg is on this node and how it ended, for people and for machines that watch.

use std::error::Error;
use std::fs;
use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::data::{self, Data};
use super::error::NodeError;
use super::record::{self, Installed};
use super::state::State;
use super::up::progress::Progress;
use crate::clock;
use crate::digest::Digest;
use crate::exit::Explain;
use crate::report::{Event, Reporter};

/// How far a change came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It is under way, or was cut off.
    Working,
    /// It came to its end.
    Done,
    /// It failed; the same command may be run again.
    Failed,
}

/// The last change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// `install` or `rollback`.
    pub command: String,
    /// The bundle that the node is to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Digest>,
    /// How far it came.
    pub phase: Phase,
    /// The step that it is at, or failed in.
    pub step: String,
    /// Why it failed, outermost cause first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reason: Vec<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// When this was written.
    pub at: Timestamp,
}

/// Everything that is known of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The last change; none where there was none.
    pub last: Option<Status>,
    /// What is installed.
    pub installed: Installed,
    /// How far the node is on its way into its cluster; none where it has not begun.
    pub cluster: Option<Progress>,
    /// Where its state is, if it runs from an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
}

/// Reads what is known of a node.
///
/// # Errors
/// A record that is there and cannot be read.
pub fn read(state: &State) -> Result<Report, NodeError> {
    let path = state.status();
    let last = match fs::read(&path) {
        // A status that makes no sense says as much as none.
        Ok(text) => serde_json::from_slice(&text).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(NodeError::io("read", &path)(error)),
    };
    Ok(Report { last, installed: Installed::read(state)?, cluster: Progress::read(state)?, data: data::read() })
}

/// Tells the progress of one command, on disk and to the reporter.
pub(super) struct Journal<'a> {
    state: &'a State,
    pub(super) reporter: &'a dyn Reporter,
    status: Status,
}

impl<'a> Journal<'a> {
    pub(super) fn new(state: &'a State, reporter: &'a dyn Reporter, command: &str) -> Self {
        let status = Status {
            command: command.to_owned(),
            bundle: None,
            phase: Phase::Working,
            step: "begin".to_owned(),
            reason: Vec::new(),
            hint: None,
            at: clock::now(),
        };
        Self { state, reporter, status }
    }

    /// Names the bundle that the node is to have.
    pub(super) fn bundle(&mut self, sha256: Option<Digest>) {
        self.status.bundle = sha256;
    }

    /// Begins a step.
    pub(super) fn step(&mut self, name: &'static str) -> Result<(), NodeError> {
        self.reporter.report(Event::Stage { name });
        self.status.step = name.to_owned();
        self.put()
    }

    /// One sentence for whoever watches.
    pub(super) fn note(&self, text: String) {
        self.reporter.report(Event::Note { text });
    }

    /// One sentence that somebody should act on.
    pub(super) fn warn(&self, text: String) {
        self.reporter.report(Event::Warning { text });
    }

    /// Writes down how the command ended.
    pub(super) fn end<T>(mut self, result: Result<T, NodeError>) -> Result<T, NodeError> {
        match &result {
            // The one that is at work writes its own status.
            Err(NodeError::Busy) => return result,
            Ok(_) => self.status.phase = Phase::Done,
            Err(error) => {
                self.status.phase = Phase::Failed;
                self.status.hint = error.hint();
                let mut cause: Option<&dyn Error> = Some(error);
                while let Some(error) = cause {
                    self.status.reason.push(error.to_string());
                    cause = error.source();
                }
            }
        }
        // The failure itself matters more than that it could not be written down.
        let written = self.put();
        result.and_then(|value| written.map(|()| value))
    }

    fn put(&mut self) -> Result<(), NodeError> {
        self.status.at = clock::now();
        record::write_json(&self.state.status(), &self.status)
    }
}
