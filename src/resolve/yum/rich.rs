//! Needs with conditions: `(a >= 1 or b)`, `(lang-pack if langs)`, `(python3 with six)` (rpm-dependencies(7), "Boolean
//! dependencies").

use super::capability::{Capability, operator_of};
use super::evr;

/// Deepest nesting of brackets. rpm itself has no limit; nobody writes more than three.
const MAX_DEPTH: usize = 16;

/// What a package needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need<'a> {
    /// Somebody provides this.
    One(Capability<'a>),
    /// All of these.
    And(Vec<Need<'a>>),
    /// One of these.
    Or(Vec<Need<'a>>),
    /// The first, if the second holds; otherwise the third.
    If(Box<[Need<'a>; 2]>, Option<Box<Need<'a>>>),
    /// The first, unless the second holds; then the third.
    Unless(Box<[Need<'a>; 2]>, Option<Box<Need<'a>>>),
    /// One package satisfies all of these.
    With(Vec<Need<'a>>),
    /// One package satisfies the first and not the second.
    Without(Box<[Need<'a>; 2]>),
}

/// A need that does not follow the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not what a package can need")]
pub struct BadNeed(pub String);

impl<'a> Need<'a> {
    /// Reads an entry of a package's needs.
    ///
    /// # Errors
    /// What does not follow the grammar.
    pub fn parse(entry: &'a str) -> Result<Self, BadNeed> {
        let bad = || BadNeed(entry.chars().take(120).collect());
        if !entry.starts_with('(') {
            return Capability::parse(entry).map(Self::One).ok_or_else(bad);
        }
        let mut words = Words { rest: entry };
        let need = words.bracket(0).ok_or_else(bad)?;
        if words.rest.is_empty() { Ok(need) } else { Err(bad()) }
    }

    /// Whether one package may not be enough, or not for ever, so that it must be looked at again.
    pub fn is_compound(&self) -> bool {
        match self {
            Self::One(_) | Self::With(_) | Self::Without(_) => false,
            Self::Or(all) => all.iter().any(Self::is_compound),
            Self::And(_) | Self::If(..) | Self::Unless(..) => true,
        }
    }

    /// Everything that is named in it, in order.
    pub fn capabilities(&self) -> Vec<Capability<'a>> {
        match self {
            Self::One(one) => vec![*one],
            Self::And(all) | Self::Or(all) | Self::With(all) => all.iter().flat_map(Self::capabilities).collect(),
            Self::If(both, other) | Self::Unless(both, other) => {
                both.iter().chain(other.as_deref()).flat_map(Self::capabilities).collect()
            }
            Self::Without(both) => both.iter().flat_map(Self::capabilities).collect(),
        }
    }
}

/// A text that is read from the left.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// `(need [word need]…)`
    fn bracket(&mut self, depth: usize) -> Option<Need<'a>> {
        self.rest = self.rest.strip_prefix('(')?;
        if depth > MAX_DEPTH {
            return None;
        }
        let mut needs = vec![self.need(depth)?];
        let mut word: Option<&str> = None;
        let mut other = None;
        loop {
            self.space();
            if let Some(rest) = self.rest.strip_prefix(')') {
                self.rest = rest;
                break;
            }
            let next = self.word()?;
            let need = self.need(depth)?;
            match (word, next) {
                (Some("if" | "unless"), "else") if other.is_none() => other = Some(Box::new(need)),
                (None, _) => {
                    word = Some(next);
                    needs.push(need);
                }
                (Some(same @ ("and" | "or" | "with")), _) if same == next && other.is_none() => needs.push(need),
                _ => return None,
            }
        }
        let two = |needs: Vec<Need<'a>>| <[Need<'a>; 2]>::try_from(needs).ok().map(Box::new);
        Some(match word {
            None => needs.pop()?,
            Some("and") => Need::And(needs),
            Some("or") => Need::Or(needs),
            Some("with") => Need::With(needs),
            Some("without") => Need::Without(two(needs)?),
            Some("if") => Need::If(two(needs)?, other),
            Some("unless") => Need::Unless(two(needs)?, other),
            Some(_) => return None,
        })
    }

    fn need(&mut self, depth: usize) -> Option<Need<'a>> {
        self.space();
        if self.rest.starts_with('(') {
            return self.bracket(depth + 1);
        }
        let name = self.word()?;
        self.space();
        let end = self.rest.find(|c| !matches!(c, '<' | '=' | '>')).unwrap_or(self.rest.len());
        let (operator, rest) = self.rest.split_at(end);
        if operator.is_empty() {
            return Some(Need::One(Capability { name, version: None, by_name: false }));
        }
        self.rest = rest;
        self.space();
        let version = self.word().filter(|version| version.is_ascii() && !evr::without_epoch(version).is_empty())?;
        Some(Need::One(Capability { name, version: Some((operator_of(operator)?, version)), by_name: false }))
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    /// Up to a space or a bracket that the word did not open.
    fn word(&mut self) -> Option<&'a str> {
        self.space();
        let mut open = 0_usize;
        let end = self.rest.find(|c| match c {
            ' ' => true,
            '(' => {
                open += 1;
                false
            }
            ')' if open == 0 => true,
            ')' => {
                open -= 1;
                false
            }
            _ => false,
        });
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        fn show(need: &Need<'_>) -> String {
            let list = |all: &[Need<'_>]| all.iter().map(show).collect::<Vec<_>>().join(", ");
            match need {
                Need::One(one) => one.to_string(),
                Need::And(all) => format!("and[{}]", list(all)),
                Need::Or(all) => format!("or[{}]", list(all)),
                Need::With(all) => format!("with[{}]", list(all)),
                Need::Without(both) => format!("without[{}]", list(&both[..])),
                Need::If(both, other) => {
                    format!("if[{}; {}]", list(&both[..]), other.iter().map(|o| show(o)).collect::<String>())
                }
                Need::Unless(both, other) => {
                    format!("unless[{}; {}]", list(&both[..]), other.iter().map(|o| show(o)).collect::<String>())
                }
            }
        }
        Need::parse(text).map_or_else(|error| error.to_string(), |need| show(&need))
    }

    #[test]
    fn parses() {
        for (text, expected) in [
            ("libc.so.6()(64bit)", "libc.so.6()(64bit)"),
            ("a\x1f>=\x1f1", "a >= 1"),
            ("(a or b)", "or[a, b]"),
            ("(a >= 1:2-3 or b < 2 or c)", "or[a >= 1:2-3, b < 2, c]"),
            ("(libx.so()(64bit) if (b and c) else d)", "if[libx.so()(64bit), and[b, c]; d]"),
            ("(a unless b)", "unless[a, b; ]"),
            ("(python(abi) with python(x)>=3)", "with[python(abi), python(x)>=3]"),
            ("(a without b)", "without[a, b]"),
            ("((a))", "a"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        for bad in [
            "()",
            "(a",
            "(a or)",
            "(a b)",
            "(a or b and c)",
            "(a if b if c)",
            "(a xor b)",
            "(a >= )",
            "(a)b",
            "(a without b without c)",
        ] {
            assert!(Need::parse(bad).is_err(), "{bad}: {}", shown(bad));
        }
        assert!(Need::parse(&format!("{}a{}", "(".repeat(40), ")".repeat(40))).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "[(]{0,3}[ -~]{0,40}[)]{0,3}") {
            let _ = Need::parse(&text);
        }
    }
}
