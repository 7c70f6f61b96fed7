//! `Range: bytes=…` of a request (RFC 9110 §14).

/// What of a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// The bytes from the first to the last, which is included and within the file.
    Part {
        /// Where it begins.
        first: u64,
        /// Where it ends.
        last: u64,
    },
    /// Nothing that the file has, or more than one stretch: a list of many is a way to make a server work for nothing, and
    /// whoever goes on with a download needs one.
    Unsatisfiable,
}

/// Reads the header's value for a file of `size` bytes. What is not in bytes or makes no sense is as if it were not there, as
/// RFC 9110 §14.2 wants it.
pub fn wanted(header: &[u8], size: u64) -> Wanted {
    let Some(spec) = std::str::from_utf8(header).ok().and_then(|text| text.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    if spec.contains(',') {
        return Wanted::Unsatisfiable;
    }
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    match (number(first), number(last)) {
        (Number::Is(first), last @ (Number::None | Number::Is(_))) => {
            let last = if let Number::Is(last) = last { last } else { u64::MAX };
            if last < first {
                Wanted::Whole
            } else if first >= size {
                Wanted::Unsatisfiable
            } else {
                Wanted::Part { first, last: last.min(size - 1) }
            }
        }
        // The last so many bytes.
        (Number::None, Number::Is(count)) => match size.checked_sub(1) {
            Some(last) if count > 0 => Wanted::Part { first: size.saturating_sub(count), last },
            _ => Wanted::Unsatisfiable,
        },
        _ => Wanted::Whole,
    }
}

enum Number {
    None,
    Is(u64),
    Bad,
}

/// Digits alone; as many as one likes, of which more than 20 are more than any file has.
fn number(text: &str) -> Number {
    if text.is_empty() {
        Number::None
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Number::Is(text.parse().unwrap_or(u64::MAX))
    } else {
        Number::Bad
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_those_of_the_rfc() {
        let part = |first, last| Wanted::Part { first, last };
        for (header, expected) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=0-", part(0, 9)),
            ("bytes=4-99999999999999999999999", part(4, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-30", part(0, 9)),
            ("bytes=9-9", part(9, 9)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=0-1,3-4", Wanted::Unsatisfiable),
            ("bytes=,,,,", Wanted::Unsatisfiable),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(wanted(header.as_bytes(), 10), expected, "{header}");
        }
        assert_eq!(wanted(b"bytes=0-", 0), Wanted::Unsatisfiable);
        assert_eq!(wanted(b"bytes=-1", 0), Wanted::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn no_part_leaves_the_file(header in proptest::collection::vec(any::<u8>(), 0..60), size in any::<u64>()) {
            if let Wanted::Part { first, last } = wanted(&header, size) {
                prop_assert!(first <= last && last < size);
            }
        }

        #[test]
        fn every_part_is_understood(first in any::<u64>(), length in 0_u64..1000, size in any::<u64>()) {
            let last = first.saturating_add(length);
            let expected = if first < size {
                Wanted::Part { first, last: last.min(size - 1) }
            } else {
                Wanted::Unsatisfiable
            };
            prop_assert_eq!(wanted(format!("bytes={first}-{last}").as_bytes(), size), expected);
        }
    }
}
