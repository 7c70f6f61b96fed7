//! Relations between packages: `a (>= 1) | b, c:any` (Debian Policy §7.1).

use std::cmp::Ordering;
use std::fmt;

use super::version;
use crate::resolve::version::Operator;

/// One package that a relation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The package's name.
    pub name: &'a str,
    /// `any` or an architecture, after a colon.
    pub qualifier: Option<&'a str>,
    /// What its version must be.
    pub version: Option<(Operator, &'a str)>,
}

/// A relation field that does not follow the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a relation between packages")]
pub struct BadRelation(pub String);

/// Debian's spelling of an operator, an old one too.
fn operator_of(text: &str) -> Option<Operator> {
    Some(match text {
        "<<" => Operator::Less,
        "<=" | "<" => Operator::LessOrEqual,
        "=" => Operator::Equal,
        ">=" | ">" => Operator::GreaterOrEqual,
        ">>" => Operator::Greater,
        _ => return None,
    })
}

/// Whether `have` stands so to `wanted`.
fn holds(operator: Operator, have: &str, wanted: &str) -> bool {
    let order = version::compare(have, wanted);
    match operator {
        Operator::Less => order == Ordering::Less,
        Operator::LessOrEqual => order != Ordering::Greater,
        Operator::Equal => order == Ordering::Equal,
        Operator::GreaterOrEqual => order != Ordering::Less,
        Operator::Greater => order == Ordering::Greater,
    }
}

impl<'a> Relation<'a> {
    /// One alternative: `name[:qualifier] [(operator version)]`.
    ///
    /// # Errors
    /// Anything else, such as the `[arch]` and `<profile>` lists that belong to source packages only.
    pub fn parse(text: &'a str) -> Result<Self, BadRelation> {
        let bad = || BadRelation(shorten(text));
        let text = text.trim();
        let (package, version) = match text.split_once('(') {
            Some((package, rest)) => {
                let inside = rest.strip_suffix(')').ok_or_else(bad)?.trim();
                let split = inside.find(|c| !matches!(c, '<' | '=' | '>')).ok_or_else(bad)?;
                let (operator, wanted) = inside.split_at(split);
                let wanted = wanted.trim_start();
                let operator = operator_of(operator).ok_or_else(bad)?;
                (package.trim_end(), Some((operator, Some(wanted).filter(|v| version::is_valid(v)).ok_or_else(bad)?)))
            }
            None => (text, None),
        };
        let (name, qualifier) = match package.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier).filter(|q| is_name(q)).map(Some).ok_or_else(bad)?),
            None => (package, None),
        };
        if is_name(name) { Ok(Self { name, qualifier, version }) } else { Err(bad()) }
    }

    /// Whether a package of this version does, as far as versions go. `None` is a virtual package without one.
    pub fn accepts(&self, have: Option<&str>) -> bool {
        match (self.version, have) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((operator, wanted)), Some(have)) => holds(operator, have, wanted),
        }
    }
}

/// Whether `text` may be a package's name. A little wider than Debian Policy §5.6.7, as dpkg is.
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.len() <= 200
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_'))
}

/// The groups of a field, each a text of alternatives; all groups must hold.
pub fn groups(field: &str) -> impl Iterator<Item = &str> {
    field.split(',').map(str::trim).filter(|group| !group.is_empty())
}

/// The alternatives of a group in order; one must hold.
///
/// # Errors
/// An alternative that does not follow the grammar.
pub fn alternatives(group: &str) -> Result<Vec<Relation<'_>>, BadRelation> {
    group.split('|').map(Relation::parse).collect()
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(qualifier) = self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some((operator, version)) = self.version {
            let operator = match operator {
                Operator::Less => "<<",
                Operator::LessOrEqual => "<=",
                Operator::Equal => "=",
                Operator::GreaterOrEqual => ">=",
                Operator::Greater => ">>",
            };
            write!(f, " ({operator} {version})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parses() {
        let found: Vec<_> = groups("a (>= 1:2-3) | b:any,, c:amd64(<<4) , d").map(alternatives).collect();
        let text = |group: &Result<Vec<Relation<'_>>, BadRelation>| {
            group.as_ref().expect("sound").iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
        };
        assert_eq!(found.iter().map(text).collect::<Vec<_>>(), ["a (>= 1:2-3) | b:any", "c:amd64 (<< 4)", "d"]);
        for bad in
            ["", "a (", "a (>= )", "a (~ 1)", "a [amd64]", "a <!nocheck>", "a b", "-a", "a:", "a (>= 1) x", "a ()"]
        {
            assert!(Relation::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn versions() {
        let accepts = |relation: &str, have| Relation::parse(relation).expect("sound").accepts(have);
        assert!(accepts("a", None) && accepts("a", Some("1")));
        assert!(!accepts("a (= 1)", None));
        assert!(accepts("a (>= 1)", Some("1")) && !accepts("a (>> 1)", Some("1")));
        assert!(accepts("a (<< 2)", Some("2~rc1")) && accepts("a (<= 2)", Some("2")));
    }

    proptest! {
        #[test]
        fn never_panics_and_round_trips(text in "[ -~]{0,60}") {
            for group in groups(&text) {
                for relation in alternatives(group).into_iter().flatten() {
                    let printed = relation.to_string();
                    prop_assert_eq!(Relation::parse(&printed), Ok(relation));
                }
            }
        }
    }
}
