//! What is wrong with a file of the user's, and where, and what to do about it.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::Source;
use super::snippet::{self, Style};
use crate::exit::{Exit, Explain};

/// One thing wrong with one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    message: String,
    help: Option<String>,
    exit: Exit,
    pub(super) place: Option<Place>,
}

/// Where in a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    pub source: Arc<Source>,
    pub span: Range<usize>,
    /// Nothing is written there: the problem is with a default.
    pub default: bool,
    /// Other places in the same text, each with what it is.
    pub related: Vec<(Range<usize>, String)>,
}

impl Problem {
    /// A bad input without a place: one sentence, lower-case start, no full stop.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: bounded(message.into()), help: None, exit: Exit::BadInput, place: None }
    }

    /// A file that cannot be read.
    pub fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, InvalidInput};
        // Refused by `input`: the disk is well, the user named the wrong thing.
        let exit = match error.kind() {
            FileTooLarge | InvalidInput => Exit::BadInput,
            _ => Exit::LocalIo,
        };
        Self { exit, ..Self::new(format!("cannot read {}: {error}", path.display())) }
    }

    pub(super) fn at(mut self, source: &Arc<Source>, span: Range<usize>) -> Self {
        self.place = Some(Place { source: Arc::clone(source), span, default: false, related: Vec::new() });
        self
    }

    pub(super) fn about_default(mut self) -> Self {
        if let Some(place) = &mut self.place {
            place.default = true;
        }
        self
    }

    /// Whether it may be there only because of what is wrong in `damage`.
    pub(super) fn touches(&self, damage: &[Range<usize>]) -> bool {
        let Some(place) = &self.place else { return false };
        let mut spans = std::iter::once(&place.span).chain(place.related.iter().map(|(span, _)| span));
        let hit = |span: &Range<usize>| damage.iter().any(|one| span.start <= one.end && one.start <= span.end);
        (place.default && !damage.is_empty()) || spans.any(hit)
    }

    /// The same with a remedy.
    #[must_use]
    pub fn with_help(mut self, help: Option<String>) -> Self {
        self.help = help.map(bounded);
        self
    }

    /// The same, as a combination of good values that khimg does not support: exit code 3 instead of 2.
    #[must_use]
    pub fn unsupported(mut self) -> Self {
        self.exit = Exit::Unsupported;
        self
    }

    /// The same with a second place in the same file; `label` says what it is.
    #[must_use]
    pub fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        if let Some(place) = &mut self.place {
            place.related.push((span, label.into()));
        }
        self
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The remedy.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The exit code of a command that fails with it alone.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// The file's name, if the problem has a place in one.
    pub fn file(&self) -> Option<&str> {
        self.place.as_ref().map(|place| place.source.name.as_str())
    }

    /// The byte range that it points to.
    pub fn span(&self) -> Option<Range<usize>> {
        self.place.as_ref().map(|place| place.span.clone())
    }

    /// Line and column, both from 1, the column in characters.
    pub fn position(&self) -> Option<(usize, usize)> {
        let place = self.place.as_ref()?;
        let before = place.source.text.get(..place.span.start)?;
        let line_start = before.rfind('\n').map_or(0, |index| index + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Some((line, before.get(line_start..)?.chars().count() + 1))
    }

    fn order(&self) -> (&str, usize) {
        self.place.as_ref().map_or(("", 0), |place| (place.source.name.as_str(), place.span.start))
    }
}

/// A sentence may quote the file, and the file may be a megabyte of one word.
fn bounded(mut text: String) -> String {
    const MOST: usize = 1000;
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST));
        text.push('…');
    }
    text
}

/// Everything wrong with the files that were read, in the order of the files. Its `Display` is the whole report: each problem
/// with its own `error:`, the place, the source line and the `hint:`.
#[derive(Debug, Clone, PartialEq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Sorts `problems` by file and position.
    pub fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.order().cmp(&b.order()));
        Self(problems)
    }

    /// `value` if there is no problem.
    ///
    /// # Errors
    /// All of `problems`, if there are any.
    pub fn or<T>(problems: Vec<Problem>, value: T) -> Result<T, Self> {
        if problems.is_empty() { Ok(value) } else { Err(Self::new(problems)) }
    }

    /// All of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// The whole report, ending with a line break.
    pub fn render(&self, style: Style) -> String {
        snippet::render(&self.0, style)
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Style::Plain).trim_end())
    }
}

impl std::error::Error for Problems {}

impl Explain for Problems {
    fn is_report(&self) -> bool {
        true
    }

    /// The code of the most basic problem: what cannot be read comes before what is wrong, and that before what is not supported.
    fn exit(&self) -> Exit {
        let rank = |exit: Exit| match exit {
            Exit::LocalIo => 0,
            Exit::BadInput => 1,
            Exit::Unsupported => 2,
            _ => 3,
        };
        self.0.iter().map(Problem::exit).min_by_key(|exit| rank(*exit)).unwrap_or(Exit::Unexpected)
    }

    /// None: each problem in the report has its own.
    fn hint(&self) -> Option<String> {
        None
    }
}
