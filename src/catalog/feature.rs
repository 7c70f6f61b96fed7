//! What a version of a component can do: `since: {httpCheckSend: "2.2"}` in the catalogue, `has.haproxy.httpCheckSend` in templates.

/// A version as far as features depend on it: numbers, with a `*` above all of them.
fn numbers(version: &str) -> Option<Vec<u64>> {
    // The epoch of a package's version ("5:28.1") is the distribution's affair.
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let end = version.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '*')).unwrap_or(version.len());
    let parts = version[..end].trim_end_matches('.').split('.');
    parts.map(|part| if part == "*" { Some(u64::MAX) } else { part.parse().ok() }).collect()
}

/// Whether this is the first version of a feature: whole numbers with dots between them.
pub fn is_since(text: &str) -> bool {
    numbers(text).is_some() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Whether `version`, such as `2.6.12-1+deb12u4`, `5:28.*` or `*`, is `since` or later. One that cannot be told is the newest.
pub fn reaches(version: &str, since: &str) -> bool {
    match (numbers(version), numbers(since)) {
        (Some(version), Some(since)) => version >= since,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_reach_what_they_have() {
        for (version, since, expected) in [
            ("2.6.12-1+deb12u4", "2.2", true),
            ("1.5.18-9.el7", "2.2", false),
            ("1.8.27", "1.9", false),
            ("2.2", "2.2", true),
            ("2.10.1", "2.9", true),
            ("1.6.20~ds1-1+deb12u3", "2.0", false),
            ("5:28.5.2-1~debian.12~bookworm", "20.10", true),
            ("5:28.*", "28.4", true),
            ("3:18.09.4-3.el7", "20.10", false),
            ("1.6.*", "2.0", false),
            ("2.*", "2.0", true),
            ("*", "99", true),
            ("", "1", true),
        ] {
            assert_eq!(reaches(version, since), expected, "{version} {since}");
        }
        assert!(is_since("2.2") && !is_since("2.*") && !is_since("v2") && !is_since(""));
    }
}
