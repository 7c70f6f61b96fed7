//! The order of rpm package versions: `[epoch:]version[-release]` (rpm-version(7)). The comparison of segments is rpm-version's.

use std::cmp::Ordering;

use rpm_version::Evr;

/// Compares two versions as rpm does. What has no release stands before what has one.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a_epoch, a_version, a_release) = parts(a);
    let (b_epoch, b_version, b_release) = parts(b);
    Evr::new(a_epoch, a_version, a_release).cmp(&Evr::new(b_epoch, b_version, b_release))
}

/// Compares `have` with what somebody asks for: a release counts only where both have one.
pub fn compare_as_asked(have: &str, asked: &str) -> Ordering {
    match (parts(have).2, parts(asked).2) {
        ("", _) | (_, "") => compare(without_release(have), without_release(asked)),
        _ => compare(have, asked),
    }
}

/// `version-release` of `[epoch:]version-release`.
pub fn without_epoch(evr: &str) -> &str {
    evr.split_once(':').map_or(evr, |(_, rest)| rest)
}

fn without_release(evr: &str) -> &str {
    evr.rsplit_once('-').map_or(evr, |(rest, _)| rest)
}

/// Whether `text` may be a version of a package: not empty, at most 256 bytes, of the characters that rpm allows, with a
/// release, and with a number for an epoch.
pub fn is_valid(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-' | b'~' | b'^' | b'_' | b':');
    let (epoch, version, release) = parts(text);
    text.len() <= 256
        && text.bytes().all(allowed)
        && epoch.bytes().all(|b| b.is_ascii_digit())
        && epoch.len() <= 10
        && !version.is_empty()
        && !release.is_empty()
        && ![version, release].iter().any(|part| part.contains(':'))
}

fn parts(evr: &str) -> (&str, &str, &str) {
    let (epoch, rest) = evr.split_once(':').unwrap_or(("", evr));
    let (version, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (if epoch.is_empty() { "0" } else { epoch }, version, release)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn orders_like_rpm() {
        let rising = [
            "1.0~rc1-1",
            "1.0~rc2-1",
            "1.0-1",
            "1.0-1.el7",
            "1.0-10",
            "1.0^git1-1",
            "1.0a-1",
            "1.0.1-1",
            "1.1-1",
            "1:0.1-1",
        ];
        for (at, low) in rising.iter().enumerate() {
            for high in rising.iter().skip(at + 1) {
                let found = (compare(low, high), compare(high, low));
                assert_eq!(found, (Ordering::Less, Ordering::Greater), "{low} {high}");
            }
        }
        for (a, b) in [("1.0-1", "0:1.0-1"), ("1.0-1", "1_0-1"), ("1.01-1", "1.1-1"), ("1.-1", "1-1")] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
        }
        assert!(compare("1-1", "1").is_gt());
    }

    #[test]
    fn a_release_counts_where_both_have_one() {
        assert!(compare_as_asked("1.0-5", "1.0").is_eq() && compare_as_asked("1.0", "1.0-5").is_eq());
        assert!(compare_as_asked("1.0-5", "1.0-4").is_gt() && compare_as_asked("2:1.0-5", "1.0").is_gt());
    }

    #[test]
    fn valid() {
        assert!(["1-1", "3:18.09.9-3.el7", "0.5.13~a^b-1_2"].iter().all(|text| is_valid(text)));
        assert!(
            !["", "1", "a:1-1", "1:1:1-1", "1 2-1", "-1", "1-", "99999999999:1-1"].iter().any(|text| is_valid(text))
        );
    }

    proptest! {
        #[test]
        fn is_an_order(texts in proptest::collection::vec("([0-9]:)?[0-9a-z.~^_]{1,8}(-[0-9a-z.]{1,4})?", 3)) {
            let [a, b, c] = [&texts[0], &texts[1], &texts[2]];
            prop_assert_eq!(compare(a, b), compare(b, a).reverse());
            prop_assert_eq!(compare(a, a), Ordering::Equal);
            if compare(a, b).is_le() && compare(b, c).is_le() {
                prop_assert!(compare(a, c).is_le());
            }
        }
    }
}
