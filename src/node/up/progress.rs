//! How far a node is on its way into the cluster: on disk for whoever asks, and told to whoever watches.

use std::error::Error;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::exit::Explain;
use crate::node::durable;
use crate::node::error::NodeError;
use crate::node::record::write_json;
use crate::node::state::State;
use crate::report::{Event, Reporter};

/// What a node is doing about its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It carries out a step.
    Working,
    /// It can do nothing until something else happens, and looks again and again.
    Waiting,
    /// A step failed and is tried again.
    Retrying,
    /// It is what it should be.
    Ready,
}

/// How far a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// The step that this is about.
    pub step: String,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// How often the step has failed.
    #[serde(default)]
    pub failures: u32,
    /// Why it failed last, outermost cause first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reason: Vec<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What somebody should act on, although the node goes on without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Since when it has been in this phase of this step.
    pub since: Timestamp,
}

impl Progress {
    /// What the node in `state` told last; `None` where there is nothing that can be read.
    pub(in crate::node) fn read(state: &State) -> Result<Option<Self>, NodeError> {
        let path = path(state);
        match fs::read(&path) {
            // What makes no sense says as much as nothing.
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(NodeError::io("read", &path)(error)),
        }
    }
}

fn path(state: &State) -> PathBuf {
    state.membership().join("progress.json")
}

/// Tells the progress of this process.
pub(super) struct Teller {
    path: PathBuf,
    pub(super) reporter: Arc<dyn Reporter>,
    now: Mutex<Progress>,
}

impl Teller {
    pub(super) fn new(state: &State, reporter: Arc<dyn Reporter>) -> Result<Self, NodeError> {
        durable::directory(&state.membership())?;
        let now = Progress {
            phase: Phase::Working,
            step: "start".to_owned(),
            waiting_for: None,
            failures: 0,
            reason: Vec::new(),
            hint: None,
            warnings: Vec::new(),
            since: clock::now(),
        };
        let teller = Self { path: path(state), reporter, now: Mutex::new(now.clone()) };
        write_json(&teller.path, &now)?;
        Ok(teller)
    }

    /// A step begins.
    pub(super) fn working(&self, step: &str) {
        self.tell(Phase::Working, step, None, None);
    }

    /// A step cannot go on until `what` happens.
    pub(super) fn waiting(&self, step: &str, what: impl Into<String>) {
        self.tell(Phase::Waiting, step, Some(what.into()), None);
    }

    /// The step failed and will be tried again.
    pub(super) fn failed(&self, step: &str, error: &NodeError) {
        self.tell(Phase::Retrying, step, None, Some(error));
    }

    /// There is nothing left to do.
    pub(super) fn ready(&self) {
        self.tell(Phase::Ready, "ready", None, None);
    }

    /// One sentence for whoever watches.
    pub(super) fn note(&self, text: impl Into<String>) {
        self.reporter.report(Event::Note { text: text.into() });
    }

    fn tell(&self, phase: Phase, step: &str, waiting_for: Option<String>, error: Option<&NodeError>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = now.phase == phase && now.step == step;
        let next = Progress {
            phase,
            step: step.to_owned(),
            waiting_for,
            failures: if error.is_some() {
                if now.step == step { now.failures + 1 } else { 1 }
            } else if now.step == step {
                now.failures
            } else {
                0
            },
            reason: error.map(chain).unwrap_or_default(),
            hint: error.and_then(Explain::hint),
            warnings: now.warnings.clone(),
            since: if is_same { now.since } else { clock::now() },
        };
        if next == *now {
            return;
        }
        let is_news = !is_same || next.waiting_for != now.waiting_for || next.reason != now.reason;
        *now = next;
        if is_news {
            self.reporter.report(sentence(&now));
        }
        self.write(&now);
    }

    /// What somebody should act on, from now on: all of it. Whoever watches hears what is new.
    pub(super) fn warn(&self, warnings: Vec<String>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.warnings == warnings {
            return;
        }
        for text in warnings.iter().filter(|text| !now.warnings.contains(text)) {
            self.reporter.report(Event::Warning { text: text.clone() });
        }
        now.warnings = warnings;
        self.write(&now);
    }

    fn write(&self, now: &Progress) {
        // A disk that is full must not keep a node out of its cluster.
        if let Err(error) = write_json(&self.path, now) {
            self.reporter.report(Event::Warning { text: chain(&error).join(": ") });
        }
    }
}

fn sentence(now: &Progress) -> Event {
    let step = &now.step;
    match now.phase {
        Phase::Working => Event::Note { text: step.clone() },
        Phase::Waiting => {
            let what = now.waiting_for.as_deref().unwrap_or_default();
            Event::Note { text: format!("{step}: waiting for {what}") }
        }
        Phase::Ready => Event::Note { text: "this node is what it should be".to_owned() },
        Phase::Retrying => {
            let hint = now.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
            Event::Warning { text: format!("{step}: {}{hint}; trying again", now.reason.join(": ")) }
        }
    }
}

/// The message and its causes, outermost first.
fn chain(error: &NodeError) -> Vec<String> {
    let mut told = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push(error.to_string());
        cause = error.source();
    }
    told
}
