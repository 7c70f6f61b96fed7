//! YAML files with spans: the cluster file, profiles, the catalogue, layer files.
//!
//! ```text
//! text ─▶ yaml ─▶ node (a tree with spans) ─▶ JSON ─▶ schema of the target type ─▶ serde ─▶ the type
//!           │                                                │                        │
//!           └────────────── every flaw becomes a problem with file, line, column and remedy ──────────▶ Problems
//! ```
//!
//! The schema is generated from the type that serde fills, so the two cannot drift, and it reports every error of a file
//! at once where serde stops at the first.

mod describe;
mod node;
mod problem;
mod schema;
mod snippet;
mod suggest;
mod yaml;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub(crate) use describe::listing;
use node::{Node, Value};
pub use problem::{Problem, Problems};
pub use snippet::Style;
pub use suggest::{closest, known};

use crate::input;

/// The largest file that is read, in bytes: far above any real one, far below what would hurt.
pub const MAX_SIZE: u64 = 1 << 20;

/// A text and the name under which it is known to the user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Usually a path as the user wrote it.
    pub name: String,
    /// The text, without a byte-order mark.
    pub text: String,
}

/// A YAML document that is well-formed; whether it means anything, [`decode`](Self::decode) tells.
#[derive(Debug, Clone)]
pub struct Document {
    source: Arc<Source>,
    root: Node,
    /// Keys that are there twice: known from parsing, reported along with everything else.
    flaws: Vec<Problem>,
}

impl Document {
    /// Parses `text`; `name` is what problems call it.
    ///
    /// # Errors
    /// A text over [`MAX_SIZE`] or one that is not a single YAML document.
    pub fn parse(name: &str, text: &str) -> Result<Self, Problems> {
        if text.len() as u64 > MAX_SIZE {
            return Err(Problem::new(format!("{name} is larger than {MAX_SIZE} bytes")).into());
        }
        // Editors on Windows put a byte-order mark there; without it all positions count from the first character.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
        let locate = |flaw: yaml::Flaw| {
            let mut problem = Problem::new(flaw.message).at(&source, flaw.span).with_help(flaw.help);
            if let Some((span, label)) = flaw.related {
                problem = problem.related(span, label);
            }
            problem
        };
        match yaml::parse(text) {
            Ok((root, duplicates)) => {
                let flaws = duplicates.into_iter().map(locate).collect();
                Ok(Self { source, root, flaws })
            }
            Err(flaw) => Err(locate(flaw).into()),
        }
    }

    /// Reads and parses the file at `path`.
    ///
    /// # Errors
    /// A file that cannot be read, is not UTF-8, or that [`parse`](Self::parse) refuses.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        Self::parse(&path.display().to_string(), &read_text(path)?)
    }

    /// What the document says, as a `T`.
    ///
    /// # Errors
    /// Every place where the document does not fit the schema of `T`, in the order of the file; if it fits, the first value that
    /// `T` itself refuses.
    pub fn decode<T: DeserializeOwned + JsonSchema>(&self) -> Result<T, Problems> {
        self.decode_and(Ok)
    }

    /// What `check` makes of the `T` in the document. Where the document does not quite fit the schema, `check` sees what is left
    /// without the misfits, so that its problems are told together with theirs; those that touch a misfit are left out.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and what `check` says.
    pub fn decode_and<T: DeserializeOwned + JsonSchema, U>(
        &self,
        check: impl FnOnce(T) -> Result<U, Problems>,
    ) -> Result<U, Problems> {
        let mut json = self.root.to_json();
        let schema = schemars::schema_for!(T).to_value();
        let findings = schema::check(&schema, self, &mut json);
        if findings.is_empty() && self.flaws.is_empty() {
            return check(self.deserialize(json)?);
        }
        let mut problems = self.flaws.clone();
        problems.extend(findings.iter().map(|finding| finding.to_problem(self)));
        let damage: Option<Vec<Range<usize>>> =
            findings.iter().map(|finding| self.remove(&mut json, &finding.pointer, finding.stands_alone())).collect();
        if let Some(damage) = damage
            && let Ok(rest) = self.deserialize(json)
            && let Err(further) = check(rest)
        {
            problems.extend(further.into_iter().filter(|problem| !problem.touches(&damage)));
        }
        Err(Problems::new(problems))
    }

    /// The document as plain values, for whoever has a schema of its own.
    ///
    /// # Errors
    /// Keys that are there twice.
    pub fn plain(&self) -> Result<serde_json::Value, Problems> {
        Problems::or(self.flaws.clone(), self.root.to_json())
    }

    fn deserialize<T: DeserializeOwned>(&self, json: serde_json::Value) -> Result<T, Problems> {
        serde_path_to_error::deserialize(json).map_err(|error| {
            let pointer = node::pointer_of(error.path());
            Problems::from(self.problem(&pointer, error.inner().to_string(), None))
        })
    }

    /// Takes the misfit at `pointer` out of `json`: the key, or the nearest one above. Returns the stretch of the text that means
    /// something else without it: its neighbours too, unless it stands `alone` or at the top. None if it cannot be taken out.
    fn remove(&self, json: &mut serde_json::Value, pointer: &str, alone: bool) -> Option<Range<usize>> {
        let (parent, _) = pointer.rsplit_once('/')?;
        match json.pointer_mut(parent) {
            Some(serde_json::Value::Object(map)) => {
                map.remove(&self.root.find(pointer).name?);
            }
            // Without one item the pointers to all later ones would be wrong. And what is gone already is gone.
            Some(_) => return self.remove(json, parent, alone),
            None => {}
        }
        let scope = self.root.find(if alone || parent.is_empty() { pointer } else { parent });
        let node = scope.node.span();
        Some(scope.key.map_or(node.start, |key| key.start.min(node.start))..node.end)
    }

    /// A problem with the value at `pointer` (RFC 6901), or with the nearest thing around it that the file has.
    pub fn problem(&self, pointer: &str, message: impl Into<String>, help: Option<String>) -> Problem {
        let problem = Problem::new(message).at(&self.source, self.span(pointer)).with_help(help);
        if self.has(pointer) { problem } else { problem.about_default() }
    }

    /// A problem with the key at `pointer` rather than with its value.
    pub fn key_problem(&self, pointer: &str, message: impl Into<String>, help: Option<String>) -> Problem {
        Problem::new(message).at(&self.source, self.key_span(pointer)).with_help(help)
    }

    /// Where to point for the value at `pointer`: bytes of the text, within one line unless it is a block scalar.
    pub fn span(&self, pointer: &str) -> Range<usize> {
        let found = self.root.find(pointer);
        match (found.node.value(), found.key) {
            // A mapping or list that begins below its key says less than the key.
            (Value::List(_) | Value::Map(_), Some(key)) => key,
            // Nothing at all was written after the colon.
            (Value::Null, Some(key)) if found.node.span().is_empty() => key,
            _ => self.first_line(found.node.span()),
        }
    }

    /// Where to point for the key at `pointer`.
    pub fn key_span(&self, pointer: &str) -> Range<usize> {
        self.root.find(pointer).key.unwrap_or_else(|| self.span(pointer))
    }

    /// Whether the file itself has something at `pointer`, rather than leaving it to a default.
    pub fn has(&self, pointer: &str) -> bool {
        self.root.find(pointer).exact
    }

    /// The name under which the document is known to the user.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    fn first_line(&self, span: Range<usize>) -> Range<usize> {
        let text = self.source.text.get(span.clone()).unwrap_or_default();
        let line = text.split(['\n', '\r']).next().unwrap_or_default().trim_end();
        span.start..span.start + line.len()
    }

    /// The text of a scalar as it stands in the file.
    fn written(&self, node: &Node) -> Option<&str> {
        self.source.text.get(node.written()).filter(|text| !text.is_empty())
    }
}

/// Reads a text file of bounded size.
///
/// # Errors
/// A file that cannot be read, is larger than [`MAX_SIZE`] or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Problem> {
    let shown = path.display();
    let bytes = input::read(path, MAX_SIZE).map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => Problem::new(format!("{shown} is larger than {MAX_SIZE} bytes")),
        _ => Problem::unreadable(path, &error),
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count();
        Problem::new(format!("{shown} is not UTF-8: line {line} has a byte that no character begins with"))
            .with_help(Some("save the file as UTF-8".to_owned()))
    })
}

/// `key` as one segment of a JSON pointer (RFC 6901 §3).
pub fn segment(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
