//! From text to a tree with spans. The only user of the YAML crate, so that it can be exchanged.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{AliasLimits, DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, Options, Spanned};

use super::node::{Entry, Node, Value};

/// How deep collections may nest; the deepest of khimg's own files has eight levels. Each level costs the YAML crate some 50 KiB of
/// stack in a debug build, and threads have 2 MiB.
const MAX_DEPTH: usize = 16;

/// How many parser events all aliases together may stand for: a bound on what a small text can grow to.
const MAX_ALIASED: usize = 100_000;

/// Something wrong with the YAML itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Flaw {
    pub span: Range<usize>,
    pub message: String,
    pub help: Option<String>,
    /// Another place that belongs to it, and what it is.
    pub related: Option<(Range<usize>, &'static str)>,
}

/// The tree of `text`, and every key that its mapping already had.
pub(super) fn parse(text: &str) -> Result<(Node, Vec<Flaw>), Flaw> {
    match read(text, DuplicateKeyPolicy::Error) {
        Ok(node) => Ok((node, Vec::new())),
        // Once more with duplicates let through, so that they are told together with everything else.
        Err(error) if matches!(error.without_snippet(), Error::DuplicateMappingKey { .. }) => {
            let node = read(text, DuplicateKeyPolicy::LastWins).map_err(|error| flaw(text, &error))?;
            let mut duplicates = Vec::new();
            collect_duplicates(&node, &mut duplicates);
            if duplicates.is_empty() {
                duplicates.push(flaw(text, &error));
            }
            Ok((node, duplicates))
        }
        Err(error) => Err(flaw(text, &error)),
    }
}

fn read(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Node, Error> {
    let options = options(duplicate_keys);
    let root: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options)?;
    Ok(place(text, root))
}

fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    let mut aliases = AliasLimits::default();
    aliases.max_total_replayed_events = MAX_ALIASED;
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
        duplicate_keys: duplicate_keys,
        merge_keys: MergeKeyPolicy::Error,
        alias_limits: aliases,
        // `yes`, `no`, `on` and `off` are texts, as YAML 1.2 has it.
        strict_booleans: true,
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    }
}

/// A value as the YAML crate hands it over.
enum Raw {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(serde_json::Number::from_f64(value).map_or_else(|| Raw::Text(value.to_string()), Raw::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

/// Turns the crate's locations into byte ranges that lie within `text`.
fn place(text: &str, raw: Spanned<Raw>) -> Node {
    let start = range(text, &raw.referenced);
    let written = range(text, &raw.defined);
    let (value, end) = match raw.value {
        Raw::Null => (Value::Null, None),
        Raw::Bool(value) => (Value::Bool(value), None),
        Raw::Number(number) => (Value::Number(number), None),
        Raw::Text(text) => (Value::Text(text), None),
        Raw::List(items) => {
            let items: Vec<Node> = items.into_iter().map(|item| place(text, item)).collect();
            let end = items.last().map(|item| item.span().end);
            (Value::List(items), Some(end))
        }
        Raw::Map(entries) => {
            let entries: Vec<Entry> = entries
                .into_iter()
                .map(|(key, value)| {
                    let key_span = range(text, &key.referenced);
                    let mut node = place(text, value);
                    // The parser places a value that is not there at the end of whatever precedes the next token.
                    if *node.value() == Value::Null && node.written().is_empty() {
                        node = Node::new(Value::Null, key_span.end..key_span.end, key_span.end..key_span.end);
                    }
                    Entry { key: key.value, key_span, node }
                })
                .collect();
            let end = entries.last().map(|entry| entry.node.span().end.max(entry.key_span.end));
            (Value::Map(entries), Some(end))
        }
    };
    // The parser gives collections the span of their first token only.
    let span = match end {
        Some(end) => start.start..closing(text, start.start, end.unwrap_or(start.end).max(start.end)),
        None => start,
    };
    Node::new(value, span, written)
}

/// The end of a collection whose last part ends at `end`, with its closing bracket if it has one.
fn closing(text: &str, start: usize, end: usize) -> usize {
    if !text.get(start..).is_some_and(|text| text.starts_with(['{', '['])) {
        return end;
    }
    let rest = text.get(end..).unwrap_or_default();
    let bracket = rest.trim_start_matches([' ', ',', ':']);
    if bracket.starts_with(['}', ']']) { end + (rest.len() - bracket.len()) + 1 } else { end }
}

fn range(text: &str, location: &Location) -> Range<usize> {
    let span = location.span();
    let bytes = span.byte_offset().zip(span.byte_len());
    let range = match bytes {
        Some((offset, length)) => {
            let offset = usize::try_from(offset).unwrap_or(text.len());
            offset..offset.saturating_add(usize::try_from(length).unwrap_or_default())
        }
        // Errors of the parser know only characters.
        None => {
            let offset = usize::try_from(span.offset()).unwrap_or(text.len());
            let mut bytes = text.char_indices().map(|(index, _)| index).skip(offset);
            let start = bytes.next().unwrap_or(text.len());
            start..start.saturating_add(1)
        }
    };
    // Whatever the crate says, never point outside the text or into a character.
    text.floor_char_boundary(range.start)..text.ceil_char_boundary(range.end.min(text.len()))
}

fn collect_duplicates(node: &Node, duplicates: &mut Vec<Flaw>) {
    match node.value() {
        Value::List(items) => items.iter().for_each(|item| collect_duplicates(item, duplicates)),
        Value::Map(entries) => {
            let mut seen = std::collections::BTreeMap::new();
            for entry in entries {
                match seen.entry(&entry.key) {
                    std::collections::btree_map::Entry::Vacant(place) => {
                        place.insert(entry.key_span.clone());
                    }
                    std::collections::btree_map::Entry::Occupied(first) => duplicates.push(Flaw {
                        span: entry.key_span.clone(),
                        message: format!("the key {:?} is there twice", entry.key),
                        help: Some("remove one of the two".to_owned()),
                        related: Some((first.get().clone(), "first here")),
                    }),
                }
                collect_duplicates(&entry.node, duplicates);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

/// The crate's error as one sentence of ours.
fn flaw(text: &str, error: &Error) -> Flaw {
    let error = error.without_snippet();
    let location = error.location();
    let span = location.map_or(0..0, |location| range(text, &location));
    let (message, help) = match error {
        Error::MultipleDocuments { .. } => {
            ("this is a second document".to_owned(), Some("one file holds one document: remove the `---`"))
        }
        Error::MergeKeyNotAllowed { .. } => (
            "merge keys (`<<`) are not part of YAML 1.2".to_owned(),
            Some("write the keys out, or use an alias for the whole value"),
        ),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            ("this alias contains itself".to_owned(), Some("write the value out"))
        }
        Error::NullIntoString { .. } | Error::Unexpected { expected: "string scalar", .. } => {
            ("a key must be a text".to_owned(), Some("put the key in quotes, or put text that holds `{` in quotes"))
        }
        Error::DuplicateMappingKey { .. } => ("this key is there twice".to_owned(), Some("remove one of the two")),
        other => {
            let shown = other.to_string();
            let place =
                location.map(|at| format!(" at line {}, column {}", at.line(), at.column())).unwrap_or_default();
            (format!("this is not valid YAML: {}", shown.replace(&place, "")), None)
        }
    };
    Flaw { span, message, help: help.map(str::to_owned), related: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_what_was_written() {
        let text = "é: {a: [1, 1.30], b: }\nc:\n  - 'x y'  # z\n  - k: v\nd: &d {e: f}\ng: *d\n";
        let (root, _) = parse(text).expect("valid");
        let shown = |pointer: &str| &text[root.find(pointer).node.span()];
        assert_eq!(shown("/é"), "{a: [1, 1.30], b: }");
        assert_eq!(shown("/é/a"), "[1, 1.30]");
        assert_eq!(shown("/é/a/1"), "1.30");
        assert_eq!(shown("/é/b"), "");
        assert_eq!(shown("/c/0"), "'x y'");
        assert_eq!(shown("/c/1"), "k: v");
        assert_eq!(shown("/g"), "*d");
        assert_eq!(shown("/g/e"), "*d");
        assert_eq!(&text[root.find("/g/e").node.written()], "f");
    }

    #[test]
    fn refuses_what_is_not_one_plain_document() {
        for (text, fragment) in [
            ("a: 1\n---\nb: 2\n", "second document"),
            ("a: {<<: {b: 1}}", "merge keys"),
            ("a: &a [*a]", "contains itself"),
            ("{a: b}: c", "a key must be a text"),
            ("a: !foo b", "unsupported tag"),
            ("a: *b", "unknown anchor"),
            ("a: [", "unclosed bracket"),
        ] {
            let flaw = parse(text).expect_err(text);
            assert!(flaw.message.contains(fragment), "{text}: {}", flaw.message);
            assert!(!flaw.message.contains("line"), "{text}: {}", flaw.message);
        }
        for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")] {
            let deep = open.repeat(10_000) + &close.repeat(10_000);
            assert!(parse(&deep).is_err(), "{open}");
        }
        assert!(parse(&(0..200).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>()).is_err());
        assert!(parse(&("[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH))).is_ok());
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let above = level - 1;
            laughs += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{above}"); 10].join(", "));
        }
        assert!(parse(&laughs).is_err());
    }

    #[test]
    fn tells_every_duplicate_key() {
        let (_, duplicates) = parse("a: 1\nb: {c: 1, c: 2}\na: 2\n1: x\n1: y\n").expect("well-formed");
        assert!(duplicates.len() >= 2, "{duplicates:?}");
        let (_, duplicates) = parse("1: x\n1: y\n").expect("well-formed");
        assert_eq!(duplicates.len(), 1);
    }
}
