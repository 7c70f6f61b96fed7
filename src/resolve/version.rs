//! Versions of packages, each package manager's in its own order.

use std::cmp::Ordering;

use super::{apt, yum};

/// Whose rules versions follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// deb-version(7).
    Deb,
    /// rpm-version(7).
    Rpm,
}

impl Scheme {
    /// Compares two versions as the package manager does.
    pub fn compare(self, a: &str, b: &str) -> Ordering {
        match self {
            Self::Deb => apt::version::compare(a, b),
            Self::Rpm => yum::evr::compare(a, b),
        }
    }

    /// Whether `version` is what `pattern` asks for: equal, or with a trailing `*` in the pattern, beginning like it up to a
    /// border between a number and something else. So `1.30.1*` takes `1.30.1-1.1` and not `1.30.14-1.1`. The epoch of an rpm
    /// counts only where the pattern has one.
    pub fn matches(self, pattern: &str, version: &str) -> bool {
        let version = match self {
            Self::Rpm if !pattern.contains(':') => yum::evr::without_epoch(version),
            _ => version,
        };
        let Some(prefix) = pattern.strip_suffix('*') else {
            return match self {
                Self::Deb => self.compare(pattern, version).is_eq(),
                Self::Rpm => yum::evr::compare_as_asked(version, pattern).is_eq(),
            };
        };
        let Some(rest) = version.strip_prefix(prefix) else { return false };
        let digit = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_digit());
        !(digit(prefix.bytes().last()) && digit(rest.bytes().next()))
    }
}

/// How a version must stand to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Before it.
    Less,
    /// Before it or equal.
    LessOrEqual,
    /// Equal.
    Equal,
    /// Equal or after it.
    GreaterOrEqual,
    /// After it.
    Greater,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let deb = |pattern, version| Scheme::Deb.matches(pattern, version);
        assert!(deb("1.30.1*", "1.30.1-1.1"));
        assert!(!deb("1.30.1*", "1.30.14-1.1"));
        assert!(deb("1.20.*", "1.20.15-00"));
        assert!(deb("5:20.10*", "5:20.10.24~3-0~debian-bookworm"));
        assert!(!deb("20.10*", "5:20.10.24~3-0~debian-bookworm"));
        assert!(deb("1.20.2-00", "1.20.2-00"));
        assert!(!deb("1.20.2", "1.20.2-00.1"));
        assert!(deb("*", "anything"));
        let rpm = |pattern, version| Scheme::Rpm.matches(pattern, version);
        assert!(rpm("18.09.*", "3:18.09.9-3.el7") && rpm("3:18.09.*", "3:18.09.9-3.el7"));
        assert!(!rpm("2:18.09.*", "3:18.09.9-3.el7") && !rpm("3:18.09.*", "18.09.9-3.el7"));
        assert!(rpm("1.14.0-*", "1.14.0-0") && rpm("1.14.0", "1.14.0-0") && !rpm("1.14.0-*", "1.14.01-0"));
    }
}
