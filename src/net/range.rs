//! `Content-Range` (RFC 9110 §14.4).

/// What a partial answer covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte.
    pub last: u64,
    /// Size of the whole, where told.
    pub total: Option<u64>,
}

impl ContentRange {
    /// Of `bytes <first>-<last>/<total or *>`; nothing else makes sense in a 206.
    pub fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let total = match total.trim() {
            "*" => None,
            digits => Some(digits.parse().ok()?),
        };
        let range = Self { first: first.trim().parse().ok()?, last: last.trim().parse().ok()?, total };
        (range.first <= range.last && range.total.is_none_or(|total| range.last < total)).then_some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses() {
        let parsed = |text| ContentRange::parse(text).map(|r| (r.first, r.last, r.total));
        assert_eq!(parsed("bytes 5-9/10"), Some((5, 9, Some(10))));
        assert_eq!(parsed("bytes 5-9/*"), Some((5, 9, None)));
        assert_eq!(parsed("bytes 5-10/10"), None);
        assert_eq!(parsed("bytes 9-5/10"), None);
        assert_eq!(parsed("bytes */10"), None);
        assert_eq!(parsed("5-9/10"), None);
        assert_eq!(parsed("bytes -5-9/10"), None);
        assert_eq!(parsed("bytes 5-99999999999999999999/*"), None);
    }
}
