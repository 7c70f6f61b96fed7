//! A YAML tree that remembers where each part of it stands.

use std::ops::Range;

/// One node. Spans are byte ranges of the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    value: Value,
    /// Where it is used: for an alias, the alias.
    span: Range<usize>,
    /// Where it is written: for an alias, the node behind the anchor.
    written: Range<usize>,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub key_span: Range<usize>,
    pub node: Node,
}

/// What a pointer leads to.
pub(super) struct Found<'a> {
    /// The node, or the nearest one above it.
    pub node: &'a Node,
    /// The span of the key that holds it.
    pub key: Option<Range<usize>>,
    /// That key.
    pub name: Option<String>,
    /// Whether the pointer was followed to its end.
    pub exact: bool,
}

impl Node {
    pub fn new(value: Value, span: Range<usize>, written: Range<usize>) -> Self {
        Self { value, span, written }
    }

    pub fn value(&self) -> &Value {
        &self.value
    }

    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub fn written(&self) -> Range<usize> {
        self.written.clone()
    }

    /// Follows a JSON pointer as far as it leads.
    pub fn find(&self, pointer: &str) -> Found<'_> {
        let mut found = Found { node: self, key: None, name: None, exact: true };
        for segment in pointer.split('/').skip(1) {
            let segment = segment.replace("~1", "/").replace("~0", "~");
            let next = match &found.node.value {
                Value::List(items) => {
                    let node = segment.parse().ok().and_then(|index: usize| items.get(index));
                    node.map(|node| Found { node, key: None, name: None, exact: true })
                }
                // The last one wins, as in the JSON that is decoded.
                Value::Map(entries) => entries.iter().rev().find(|entry| entry.key == segment).map(|entry| Found {
                    node: &entry.node,
                    key: Some(entry.key_span.clone()),
                    name: Some(segment),
                    exact: true,
                }),
                _ => None,
            };
            match next {
                Some(next) => found = next,
                None => {
                    found.exact = false;
                    break;
                }
            }
        }
        found
    }

    /// The same without spans.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => number.clone().into(),
            Value::Text(text) => text.clone().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.node.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

/// serde's way to a value as a JSON pointer.
pub(super) fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", super::segment(key))),
            Segment::Enum { variant } => pointer.push_str(&format!("/{}", super::segment(variant))),
            Segment::Unknown => break,
        }
    }
    pointer
}
