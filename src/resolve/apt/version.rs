//! The order of Debian package versions: `[epoch:]upstream[-revision]` (deb-version(7), "Sorting algorithm").
//!
//! Written by hand, because debversion 0.5 tells `1.` from `1.0` where dpkg does not, and parses with a regular expression.

use std::cmp::Ordering;

/// Compares two versions as dpkg does.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a_epoch, a_upstream, a_revision) = parts(a);
    let (b_epoch, b_upstream, b_revision) = parts(b);
    numbers(a_epoch, b_epoch)
        .then_with(|| elements(a_upstream, b_upstream))
        .then_with(|| elements(a_revision, b_revision))
}

/// Whether `text` may be a version: not empty, at most 256 bytes, of the characters that Debian Policy §5.6.12 allows (and `_`,
/// which old third-party packages use).
pub fn is_valid(text: &str) -> bool {
    (1..=256).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-' | b'~' | b':' | b'_'))
}

fn parts(version: &str) -> (&[u8], &[u8], &[u8]) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch.as_bytes(), upstream.as_bytes(), revision.as_bytes())
}

fn elements(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !(a.is_empty() && b.is_empty()) {
        let (a_text, a_rest) = a.split_at(run(a, |byte| !byte.is_ascii_digit()));
        let (b_text, b_rest) = b.split_at(run(b, |byte| !byte.is_ascii_digit()));
        let (a_number, a_next) = a_rest.split_at(run(a_rest, |byte| byte.is_ascii_digit()));
        let (b_number, b_next) = b_rest.split_at(run(b_rest, |byte| byte.is_ascii_digit()));
        let order = texts(a_text, b_text).then_with(|| numbers(a_number, b_number));
        if order.is_ne() {
            return order;
        }
        (a, b) = (a_next, b_next);
    }
    Ordering::Equal
}

fn run(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !belongs(*byte)).unwrap_or(bytes.len())
}

/// `~` comes before the end, the end before letters, letters before everything else.
fn texts(a: &[u8], b: &[u8]) -> Ordering {
    let rank = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    let differing =
        (0..a.len().max(b.len())).map(|at| rank(a.get(at)).cmp(&rank(b.get(at)))).find(|order| order.is_ne());
    differing.unwrap_or(Ordering::Equal)
}

/// Numbers of any length; none at all counts as zero.
fn numbers(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |digits: &[u8]| run(digits, |byte| byte == b'0');
    let (_, a) = a.split_at(significant(a));
    let (_, b) = b.split_at(significant(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_like_dpkg() {
        // Each line in rising order; `=` where dpkg sees no difference.
        let rising =
            ["1.0~~", "1.0~~a", "1.0~", "1.0", "1.0-1~bpo12+1", "1.0-1", "1.0-10", "1.0a", "1.0+b1", "1.1", "1:0.1"];
        for (at, low) in rising.iter().enumerate() {
            for high in rising.iter().skip(at + 1) {
                assert_eq!(
                    (compare(low, high), compare(high, low)),
                    (Ordering::Less, Ordering::Greater),
                    "{low} {high}"
                );
            }
        }
        for (a, b) in [("1.0", "0:1.0"), ("1.", "1.0"), ("1.0", "1.0-0"), ("1.01", "1.1"), ("1.0a", "1.0a0"), ("", "0")]
        {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
        }
        assert!(compare("99999999999999999999999999", "100000000000000000000000000").is_lt());
    }
}
