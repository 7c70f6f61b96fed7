//! What a node tells whoever gave it its seed: how far it is, in a few words.

use std::fs;

use serde::{Deserialize, Serialize};

use super::error::NodeError;
use super::state::State;
use super::status::{self, Phase, Report};
use super::up::progress;

/// Longest text of a report, in characters.
pub const LONGEST: usize = 300;

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Something is under way.
    Working,
    /// It waits for something else.
    Waiting,
    /// Something failed. It may be tried again.
    Failed,
    /// It is what it should be.
    Ready,
}

impl Condition {
    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Ready => "ready",
        }
    }
}

/// A node's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// How it is.
    pub condition: Condition,
    /// The step that this is about.
    pub step: String,
    /// What it waits for, or why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What the node in `state` has to tell: of its way into the cluster or, before that, of its installation or of stage 0.
///
/// # Errors
/// A record that is there and cannot be read.
pub fn told(state: &State) -> Result<Told, NodeError> {
    let report = status::read(state)?;
    if report.last.is_none() && report.cluster.is_none() {
        return Ok(Stage0::read(state).unwrap_or_default().told());
    }
    Ok(Told::of(&report))
}

/// What the script of that name leaves about itself.
#[derive(Debug, Default, Deserialize)]
struct Stage0 {
    state: String,
    message: String,
}

impl Stage0 {
    /// `None` where it has not begun, or left nothing that makes sense.
    fn read(state: &State) -> Option<Self> {
        serde_json::from_slice(&fs::read(state.stage0()).ok()?).ok()
    }

    fn told(self) -> Told {
        let condition = match self.state.as_str() {
            "waiting" => Condition::Waiting,
            "failed" => Condition::Failed,
            _ => Condition::Working,
        };
        Told::new(condition, "stage 0".to_owned(), self.message)
    }
}

impl Told {
    /// What somebody else's bytes tell, if they are a report.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    fn of(report: &Report) -> Self {
        let last = report.last.as_ref();
        if let Some(last) = last.filter(|last| last.phase != Phase::Done) {
            let condition = if last.phase == Phase::Failed { Condition::Failed } else { Condition::Working };
            return Self::new(condition, format!("{}: {}", last.command, last.step), last.reason.join(": "));
        }
        match &report.cluster {
            Some(cluster) => {
                let condition = match cluster.phase {
                    progress::Phase::Working => Condition::Working,
                    progress::Phase::Waiting => Condition::Waiting,
                    progress::Phase::Retrying => Condition::Failed,
                    progress::Phase::Ready => Condition::Ready,
                };
                let message = cluster.waiting_for.clone().unwrap_or_else(|| cluster.reason.join(": "));
                Self::new(condition, cluster.step.clone(), message)
            }
            None => Self::new(Condition::Working, "installed".to_owned(), String::new()),
        }
    }

    fn new(condition: Condition, step: String, message: String) -> Self {
        let cut = |text: String| text.chars().take(LONGEST).collect::<String>();
        Self { condition, step: cut(step), message: Some(cut(message)).filter(|message| !message.is_empty()) }
    }

    /// The same, fit to be shown: short, and without anything that moves a terminal's cursor.
    pub fn shown(self) -> Self {
        let clean = |text: String| text.chars().filter(|c| !c.is_control()).collect();
        Self::new(self.condition, clean(self.step), self.message.map(clean).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_are_made_harmless() {
        let text = r#"{"condition":"failed","step":"a\u001b[2Jb","message":"\r\n\u0007"}"#;
        let told: Told = serde_json::from_str(text).expect("a report");
        assert_eq!(told.shown(), Told { condition: Condition::Failed, step: "a[2Jb".to_owned(), message: None });
        let long = Told { condition: Condition::Ready, step: "é".repeat(9999), message: None };
        assert_eq!(long.shown().step.chars().count(), LONGEST);
        assert!(serde_json::from_str::<Told>(r#"{"condition":"king","step":""}"#).is_err());
    }
}
