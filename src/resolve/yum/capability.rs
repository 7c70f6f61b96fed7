//! What rpm packages need and provide: `libssl.so.10()(64bit)`, `kernel >= 3.10`, `/usr/bin/sh` (rpm-dependencies(7)).
//!
//! In a reduced index an entry is `<name>`, or `<name>\x1f<operator>\x1f<version>`; each has a tab before it.

use std::fmt;

use super::evr;
use crate::resolve::index::{Field, Package};
use crate::resolve::plan;
use crate::resolve::version::Operator;

/// Stands before each entry of a field.
pub const ENTRY: char = '\t';
/// Stands between the parts of an entry.
pub const PART: char = '\x1f';

/// A name that packages provide or need, with what its version is or must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability<'a> {
    /// The name; a path where it begins with `/`.
    pub name: &'a str,
    /// The version.
    pub version: Option<(Operator, &'a str)>,
    /// Only packages of this very name count, not those that provide it: `Obsoletes`.
    pub by_name: bool,
}

impl<'a> Capability<'a> {
    /// Reads an entry; `None` for what is none.
    pub fn parse(entry: &'a str) -> Option<Self> {
        let mut parts = entry.split(PART);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let version = match (parts.next(), parts.next()) {
            (None, None) => None,
            (Some(operator), Some(version)) => Some((operator_of(operator)?, version)),
            _ => return None,
        };
        parts.next().is_none().then_some(Self { name, version, by_name: false })
    }

    /// Whether what is provided and what is needed have a version in common. A side without a version has every one.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (Some((a, a_version)), Some((b, b_version))) = (self.version, other.version) else { return true };
        let order = evr::compare_as_asked(a_version, b_version);
        let up = |operator| matches!(operator, Operator::Greater | Operator::GreaterOrEqual);
        let down = |operator| matches!(operator, Operator::Less | Operator::LessOrEqual);
        let there = |operator| matches!(operator, Operator::Equal | Operator::GreaterOrEqual | Operator::LessOrEqual);
        match order {
            std::cmp::Ordering::Less => up(a) || down(b),
            std::cmp::Ordering::Greater => down(a) || up(b),
            std::cmp::Ordering::Equal => (there(a) && there(b)) || (up(a) && up(b)) || (down(a) && down(b)),
        }
    }

    /// Whether `package` provides it, by its name, an entry of its own, or a file.
    pub fn is_provided_by(&self, package: &Package<'_>) -> bool {
        if self.by_name {
            let own =
                Capability { name: package.name, version: Some((Operator::Equal, package.version)), by_name: true };
            return own.name == self.name && own.overlaps(self);
        }
        // Looking for the text first leaves hundreds of entries unread.
        let mentioned = |field| package.field(field).contains(self.name);
        mentioned(Field::Provides)
            && provided(package).any(|provided| provided.name == self.name && provided.overlaps(self))
            || self.name.starts_with('/')
                && mentioned(Field::Files)
                && entries(package, Field::Files).any(|path| path == self.name)
    }
}

/// The operator of an entry, written as `<`, `<=`, `=`, `>=` or `>`.
pub fn operator_of(text: &str) -> Option<Operator> {
    Some(match text {
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        "=" => Operator::Equal,
        ">=" => Operator::GreaterOrEqual,
        ">" => Operator::Greater,
        _ => return None,
    })
}

/// The entries of a field.
pub fn entries<'u>(package: &Package<'u>, field: Field) -> impl Iterator<Item = &'u str> + use<'u> {
    package.field(field).split(ENTRY).filter(|entry| !entry.is_empty())
}

/// Everything that a package provides, its own name among it. What is not well-formed provides nothing.
pub fn provided<'u>(package: &Package<'u>) -> impl Iterator<Item = Capability<'u>> + use<'u> {
    entries(package, Field::Provides).filter_map(Capability::parse)
}

impl<'u> plan::Relation<'u> for Capability<'u> {
    fn name(&self) -> &'u str {
        self.name
    }

    fn is_satisfied_by(&self, package: &Package<'_>) -> bool {
        self.is_provided_by(package)
    }

    fn provided(package: &Package<'u>) -> impl Iterator<Item = &'u str> {
        let own = package.name;
        let names = provided(package).map(|provided| provided.name).filter(move |name| *name != own);
        names.chain(entries(package, Field::Files))
    }

    /// Conflicts, and what the package takes the place of. Conflicts in brackets are left to rpm itself.
    fn against(package: &Package<'u>) -> impl Iterator<Item = Self> {
        let obsoletes = entries(package, Field::Obsoletes).filter_map(Capability::parse);
        let conflicts = entries(package, Field::Conflicts).filter_map(Capability::parse);
        conflicts.chain(obsoletes.map(|gone| Self { by_name: true, ..gone }))
    }
}

impl fmt::Display for Capability<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        let Some((operator, version)) = self.version else { return Ok(()) };
        let operator = match operator {
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Equal => "=",
            Operator::GreaterOrEqual => ">=",
            Operator::Greater => ">",
        };
        write!(f, " {operator} {version}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Capability<'_> {
        Capability::parse(text).expect("an entry")
    }

    #[test]
    fn overlap() {
        for (provided, needed, expected) in [
            ("a", "a\x1f>=\x1f1", true),
            ("a\x1f=\x1f1-1", "a", true),
            ("a\x1f=\x1f1-1", "a\x1f=\x1f1", true),
            ("a\x1f=\x1f1-1", "a\x1f>\x1f1", false),
            ("a\x1f=\x1f1-1", "a\x1f>=\x1f1-2", false),
            ("a\x1f=\x1f1:1-1", "a\x1f>=\x1f2", true),
            ("a\x1f<\x1f3", "a\x1f>\x1f2", true),
            ("a\x1f<\x1f2", "a\x1f>\x1f3", false),
            ("a\x1f<\x1f2", "a\x1f<\x1f2", true),
            ("a\x1f<\x1f2", "a\x1f=\x1f2", false),
            ("a\x1f<=\x1f2", "a\x1f>=\x1f2", true),
        ] {
            assert_eq!(entry(provided).overlaps(&entry(needed)), expected, "{provided:?} {needed:?}");
        }
        assert_eq!(entry("a b\x1f>=\x1f1-1").to_string(), "a b >= 1-1");
        assert!(
            ["", "\x1f=\x1f1", "a\x1f=", "a\x1f~\x1f1", "a\x1f=\x1f1\x1f2"]
                .iter()
                .all(|t| Capability::parse(t).is_none())
        );
    }
}
