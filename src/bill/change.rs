//! What changed from one bill to another.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::{Bill, Key, Part};
use crate::digest::Digest;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "what")]
pub enum Change {
    /// A part that only one of them has, or that both have otherwise.
    Part {
        /// Whose: a lock or a bundle.
        subject: String,
        /// Which part.
        key: Key,
        /// As it was; none if it is new.
        from: Option<Part>,
        /// As it is; none if it is gone.
        to: Option<Part>,
    },
    /// A file on the nodes.
    File {
        /// The bundle.
        subject: String,
        /// Its path on a node.
        path: String,
        /// Mode and digest, or the link's target; none if it is new.
        from: Option<String>,
        /// The same as it is now; none if it is gone.
        to: Option<String>,
    },
    /// A layer whose bytes are others.
    Layer {
        /// The bundle.
        subject: String,
        /// Its name.
        name: String,
        /// Its digest; none if it is new.
        from: Option<Digest>,
        /// Its digest now; none if it is gone.
        to: Option<Digest>,
    },
    /// A bundle that only one of them has.
    Subject {
        /// The bundle.
        subject: String,
        /// Whether it is new; otherwise it is gone.
        new: bool,
    },
}

/// Every difference between two sets of bills, ordered by subject and name.
pub fn changes(from: &[Bill], to: &[Bill]) -> Vec<Change> {
    let by_subject =
        |bills: &'_ [Bill]| bills.iter().map(|bill| (bill.subject.clone(), bill.clone())).collect::<BTreeMap<_, _>>();
    let mut changes = Vec::new();
    for (subject, pair) in paired(&by_subject(from), &by_subject(to)) {
        let (old, new) = match pair {
            (Some(old), Some(new)) => (old, new),
            (_, new) => {
                changes.push(Change::Subject { subject, new: new.is_some() });
                continue;
            }
        };
        let subject = || subject.clone();
        for (key, (from, to)) in paired(&old.parts, &new.parts) {
            changes.push(Change::Part { subject: subject(), key, from, to });
        }
        for (path, (from, to)) in paired(&old.files, &new.files) {
            changes.push(Change::File { subject: subject(), path, from, to });
        }
        for (name, (from, to)) in paired(&old.layers, &new.layers) {
            changes.push(Change::Layer { subject: subject(), name, from, to });
        }
    }
    changes
}

/// A value before and after.
type Pair<V> = (Option<V>, Option<V>);

/// Both values of every key whose values differ.
fn paired<K: Ord + Clone, V: PartialEq + Clone>(from: &BTreeMap<K, V>, to: &BTreeMap<K, V>) -> Vec<(K, Pair<V>)> {
    let keys: BTreeSet<&K> = from.keys().chain(to.keys()).collect();
    let pair = |key: &K| (key.clone(), (from.get(key).cloned(), to.get(key).cloned()));
    keys.into_iter().map(pair).filter(|(_, (from, to))| from != to).collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |sha256: &Digest| sha256.short();
        match self {
            Self::Part { subject, key, from, to } => {
                let name = format!("{subject}: {} {}", key.kind.name(), key.name);
                match (from, to) {
                    (Some(from), Some(to)) if from.version == to.version && from.sha256 == to.sha256 => {
                        write!(
                            f,
                            "{name} {}: from {} instead of {}, or proven otherwise",
                            to.version, to.source, from.source
                        )
                    }
                    (Some(from), Some(to)) if from.version == to.version => {
                        write!(f, "{name} {}: other bytes, {} → {}", to.version, short(&from.sha256), short(&to.sha256))
                    }
                    (Some(from), Some(to)) => write!(f, "{name} {} → {}", from.version, to.version),
                    (None, Some(to)) => write!(f, "{name} {} added", to.version),
                    (Some(from), None) => write!(f, "{name} {} removed", from.version),
                    (None, None) => Ok(()),
                }
            }
            Self::File { subject, path, from, to } => match (from, to) {
                (Some(_), Some(_)) => write!(f, "{subject}: {path} changed"),
                (None, _) => write!(f, "{subject}: {path} added"),
                (_, None) => write!(f, "{subject}: {path} removed"),
            },
            Self::Layer { subject, name, from, to } => match (from, to) {
                (Some(from), Some(to)) => write!(f, "{subject}: layer {name} {} → {}", short(from), short(to)),
                (None, _) => write!(f, "{subject}: layer {name} added"),
                (_, None) => write!(f, "{subject}: layer {name} removed"),
            },
            Self::Subject { subject, new } => write!(f, "{subject} {}", if *new { "added" } else { "removed" }),
        }
    }
}
