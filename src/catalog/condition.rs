//! When something is needed: `when: {runtime: containerd, endpoint: [stacked, dedicated], kubernetes: ">=1.24, <1.29"}`.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kubernetes::VersionRequest;

/// What is known of a cluster and a target when conditions are judged: `runtime` → `containerd`, `kubernetes` → `1.34`.
/// Made by [`crate::cluster::facts`].
pub type Facts = BTreeMap<String, String>;

/// The facts that have a fixed set of values. Beside them: `os` (an operating system of the catalogue), `kubernetes` (a range of
/// minor versions) and `source.<component>` (`package`, `vendor`, `file` or `image`).
const ENUMERATED: [(&str, &[&str]); 12] = [
    ("role", &["master", "worker", "lb", "etcd"]),
    ("family", &["debian", "rhel"]),
    ("arch", &["amd64", "arm64"]),
    ("runtime", &["containerd", "docker"]),
    ("endpoint", &["stacked", "vip-only", "dedicated", "single-lb", "external"]),
    ("etcd", &["stacked", "external"]),
    ("bootstrap", &["symmetric", "init-join"]),
    ("cni", &["flannel", "calico", "cilium", "bridge", "none"]),
    ("dns", &["coredns", "none"]),
    // Who says what CoreDNS may do; `bounded`: also how much may be open at once.
    ("dnsSettings", &["kubeadm", "own", "bounded"]),
    ("kubeProxy", &["iptables", "ipvs"]),
    // Only where the cluster file asks for one.
    ("kubeadmApi", &["v1beta1", "v1beta2", "v1beta3", "v1beta4"]),
];

/// The fact whose condition is a range of minor versions.
const KUBERNETES: &str = "kubernetes";

/// All of its entries must hold; an empty condition always holds.
///
/// An entry is the name of a fact and the value that it must have, or a list of values, one of which it must have. The value
/// of `kubernetes` is a range of minor versions instead: comparisons joined by commas, such as `>=1.24, <1.29`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Condition(pub BTreeMap<String, OneOrMany>);

/// A value or a list of them, one of which must be equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// Equal to this.
    One(String),
    /// Equal to one of these.
    Many(Vec<String>),
}

impl OneOrMany {
    /// The values, in the order of the file.
    pub fn values(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// What is wrong with one entry of a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// No such fact.
    #[error("{0:?} is no fact that a condition can ask for")]
    UnknownFact(String),
    /// The fact never has this value.
    #[error("`{fact}` is never {value:?}")]
    UnknownValue {
        /// The fact.
        fact: String,
        /// The value that was asked for.
        value: String,
        /// What it can be.
        known: Vec<String>,
    },
    /// Not a range of minor versions.
    #[error("{0:?} is not a range of Kubernetes minor versions such as \">=1.24, <1.29\"")]
    BadRange(String),
    /// An empty list never holds.
    #[error("`{0}` has no value, so the condition never holds")]
    Empty(String),
}

impl ConditionError {
    /// What could be written instead.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::UnknownFact(_) => {
                let names: Vec<_> = ENUMERATED.iter().map(|(name, _)| *name).collect();
                Some(format!("known are {}, os, kubernetes and source.<component>", names.join(", ")))
            }
            Self::UnknownValue { fact, known, .. } if known.is_empty() => {
                Some(format!("nothing gives `{fact}` a value: the component has no `offers`"))
            }
            Self::UnknownValue { known, .. } => Some(format!("known are {}", known.join(", "))),
            Self::BadRange(_) => {
                Some("compare with <, <=, =, >= or > to versions such as 1.24, joined by commas".to_owned())
            }
            Self::Empty(_) => Some("remove the entry, or name at least one value".to_owned()),
        }
    }
}

/// What the rest of a catalogue offers for conditions to name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Operating systems.
    pub systems: BTreeSet<String>,
    /// Component → the forms in which it is offered (`package`, `vendor`, `file`, `image`).
    pub sources: BTreeMap<String, BTreeSet<String>>,
}

impl Condition {
    /// Whether it always holds.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every entry holds. An entry on a fact that is not there does not hold.
    pub fn holds(&self, facts: &Facts) -> bool {
        self.0.iter().all(|(name, wanted)| {
            facts.get(name).is_some_and(|actual| {
                wanted.values().iter().any(|value| match name.as_str() {
                    KUBERNETES => in_range(value, actual).unwrap_or(false),
                    _ => value == actual,
                })
            })
        })
    }

    /// Everything wrong with it: the entry's name and the flaw, in order.
    pub fn flaws(&self, known: &Known) -> Vec<(String, ConditionError)> {
        let mut flaws = Vec::new();
        for (fact, wanted) in &self.0 {
            if wanted.values().is_empty() {
                flaws.push((fact.clone(), ConditionError::Empty(fact.clone())));
            }
            flaws.extend(wanted.values().iter().filter_map(|value| Some((fact.clone(), flaw(fact, value, known)?))));
        }
        // Each value of an unknown fact says the same.
        flaws.dedup();
        flaws
    }
}

fn flaw(fact: &str, value: &str, known: &Known) -> Option<ConditionError> {
    let among = |values: &mut dyn Iterator<Item = &str>| {
        let all: Vec<String> = values.map(str::to_owned).collect();
        (!all.iter().any(|known| known == value)).then(|| ConditionError::UnknownValue {
            fact: fact.to_owned(),
            value: value.to_owned(),
            known: all,
        })
    };
    if fact == KUBERNETES {
        return comparisons(value).is_none().then(|| ConditionError::BadRange(value.to_owned()));
    }
    if fact == "os" {
        return among(&mut known.systems.iter().map(String::as_str));
    }
    if let Some(offered) = fact.strip_prefix("source.").and_then(|component| known.sources.get(component)) {
        return among(&mut offered.iter().map(String::as_str));
    }
    match ENUMERATED.iter().find(|(name, _)| *name == fact) {
        Some((_, values)) => among(&mut values.iter().copied()),
        None => Some(ConditionError::UnknownFact(fact.to_owned())),
    }
}

/// How a minor version must compare.
#[derive(Clone, Copy)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    Greater,
}

/// Whether the version `actual` lies in `range`; only its minor counts. `None` if either is malformed.
fn in_range(range: &str, actual: &str) -> Option<bool> {
    let minor = actual.parse::<VersionRequest>().ok()?.minor;
    let all = comparisons(range)?;
    Some(all.into_iter().all(|(comparison, bound)| match comparison {
        Comparison::Less => minor < bound,
        Comparison::AtMost => minor <= bound,
        Comparison::Equal => minor == bound,
        Comparison::AtLeast => minor >= bound,
        Comparison::Greater => minor > bound,
    }))
}

/// The parts of a range. Patches are refused: the patch is not known before the lock, and what a role needs must not depend
/// on what the lock finds.
fn comparisons(range: &str) -> Option<Vec<(Comparison, u16)>> {
    range.split(',').map(|part| comparison(part.trim())).collect()
}

fn comparison(part: &str) -> Option<(Comparison, u16)> {
    const OPERATORS: [(&str, Comparison); 5] = [
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
        ("=", Comparison::Equal),
    ];
    let found = OPERATORS.iter().find_map(|(sign, comparison)| Some((*comparison, part.strip_prefix(sign)?)));
    let (comparison, version) = found.unwrap_or((Comparison::Equal, part));
    let version: VersionRequest = version.trim().parse().ok()?;
    version.patch.is_none().then_some((comparison, version.minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(yaml: &str) -> Condition {
        serde_saphyr::from_str(yaml).expect("a condition")
    }

    #[test]
    fn holds() {
        let facts: Facts = [("runtime", "containerd"), ("kubernetes", "1.24"), ("endpoint", "stacked")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let table = [
            ("{}", true),
            ("{runtime: containerd}", true),
            ("{runtime: docker}", false),
            ("{runtime: containerd, endpoint: [vip-only, stacked]}", true),
            ("{runtime: docker, endpoint: [vip-only, stacked]}", false),
            ("{runtime: []}", false),
            ("{cni: flannel}", false),
            ("{kubernetes: '1.24'}", true),
            ("{kubernetes: '=1.24'}", true),
            ("{kubernetes: '1.25'}", false),
            ("{kubernetes: '<1.24'}", false),
            ("{kubernetes: '<=1.24'}", true),
            ("{kubernetes: '>=1.24'}", true),
            ("{kubernetes: '>1.24'}", false),
            ("{kubernetes: '>1.9'}", true),
            ("{kubernetes: '>=1.14, <1.29'}", true),
            ("{kubernetes: '>=1.14, <1.24'}", false),
            ("{kubernetes: ['<1.20', '>=1.24']}", true),
            ("{kubernetes: ['<1.20', '>=1.25']}", false),
            ("{kubernetes: 'soon'}", false),
        ];
        for (text, expected) in table {
            assert_eq!(condition(text).holds(&facts), expected, "{text}");
        }
    }

    #[test]
    fn a_patch_of_the_fact_does_not_count() {
        let facts: Facts = [("kubernetes".to_owned(), "1.24.9".to_owned())].into();
        assert!(condition("{kubernetes: '1.24'}").holds(&facts));
        assert!(condition("{kubernetes: '<=1.24'}").holds(&facts));
    }

    #[test]
    fn flaws_are_all_told() {
        let known = Known {
            systems: ["debian-12".to_owned()].into(),
            sources: [("kubernetes".to_owned(), ["package".to_owned(), "file".to_owned()].into())].into(),
        };
        let table = [
            (
                "{runtime: containerd, os: debian-12, cni: none, source.kubernetes: file, kubernetes: '>=1.14, <1.29'}",
                vec![],
            ),
            ("{runtim: containerd}", vec!["\"runtim\" is no fact that a condition can ask for"]),
            ("{runtim: [a, b]}", vec!["\"runtim\" is no fact that a condition can ask for"]),
            ("{runtime: [containerd, podman]}", vec!["`runtime` is never \"podman\""]),
            (
                "{os: debian-11, source.etcd: file, source.kubernetes: snap}",
                vec![
                    "`os` is never \"debian-11\"",
                    "\"source.etcd\" is no fact that a condition can ask for",
                    "`source.kubernetes` is never \"snap\"",
                ],
            ),
            (
                "{kubernetes: '>=1.24.1'}",
                vec!["\">=1.24.1\" is not a range of Kubernetes minor versions such as \">=1.24, <1.29\""],
            ),
            (
                "{kubernetes: '>=1.24,'}",
                vec!["\">=1.24,\" is not a range of Kubernetes minor versions such as \">=1.24, <1.29\""],
            ),
            ("{role: []}", vec!["`role` has no value, so the condition never holds"]),
        ];
        for (text, expected) in table {
            let flaws: Vec<_> = condition(text).flaws(&known).into_iter().map(|(_, flaw)| flaw.to_string()).collect();
            assert_eq!(flaws, expected, "{text}");
        }
    }
}
