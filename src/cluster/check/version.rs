//! The Kubernetes version, and how long a seed may join.

use jiff::SignedDuration;

use super::{Check, Refusal};
use crate::kubernetes::{KubernetesVersion, VersionRequest};

/// The version asked for, if the catalogue knows its minor.
pub(super) fn kubernetes(check: &mut Check<'_>, text: &str) -> Option<VersionRequest> {
    let request: VersionRequest = match text.parse() {
        Ok(request) => request,
        Err(error) => {
            let help = match text
                .split_once(['-', '+'])
                .map(|(before, _)| before)
                .and_then(|t| t.parse::<VersionRequest>().ok())
            {
                Some(near) => format!("pre-releases are not published on mirrors; write {near}"),
                None => "write an exact version such as 1.34.2, or a minor such as 1.34".to_owned(),
            };
            let error: crate::kubernetes::version::ParseVersionError = error;
            check.bad("/kubernetes", error.to_string(), help);
            return None;
        }
    };
    let releases = check.catalog.kubernetes.0.iter();
    let mut firsts: Vec<KubernetesVersion> = releases.filter_map(|release| release.from.parse().ok()).collect();
    firsts.sort();
    let known = match request.patch {
        Some(patch) => firsts.iter().any(|first| first.minor == request.minor && first.patch <= patch),
        None => firsts.iter().any(|first| first.minor == request.minor),
    };
    if !known {
        let range = firsts.first().zip(firsts.last());
        let help = range.map(|(first, last)| format!("use one from 1.{} to 1.{}", first.minor, last.minor));
        check.unsupported("/kubernetes", format!("the catalogue does not know Kubernetes {request}"), help);
    }
    Some(request)
}

/// The shortest and the longest time that a seed may join, in minutes: a machine needs a quarter of an hour to boot and install, and a
/// credential that lives longer than a year outlives the certificates that it leads to.
const JOIN_BOUNDS: std::ops::RangeInclusive<i64> = 15..=365 * 24 * 60;

/// The shortest and the longest time that the token lives while no master renews it, in minutes. A token that lives long
/// without them is one that nobody can take back while they are off.
const LIFE_BOUNDS: std::ops::RangeInclusive<i64> = 1..=7 * 24 * 60;

/// How long after the cluster's formation a seed may join.
pub(super) fn join_until(text: &str) -> Result<SignedDuration, Refusal> {
    length(text, &JOIN_BOUNDS, "write a whole number with m, h or d, between 15m and 365d, such as 30d")
}

/// How long the token lives without being renewed.
pub(super) fn token_life(text: &str) -> Result<SignedDuration, Refusal> {
    length(text, &LIFE_BOUNDS, "write a whole number with m, h or d, between 1m and 7d, such as 24h")
}

/// A time such as `30d`, `12h` or `90m`.
fn length(text: &str, bounds: &std::ops::RangeInclusive<i64>, help: &'static str) -> Result<SignedDuration, Refusal> {
    let malformed = || Refusal::new(format!("{text:?} is not a length of time"), help);
    let unit = match text.bytes().last() {
        Some(b'm') => 1,
        Some(b'h') => 60,
        Some(b'd') => 24 * 60,
        _ => return Err(malformed()),
    };
    let digits = text.get(..text.len() - 1).unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    let minutes = digits.parse::<i64>().ok().and_then(|number| number.checked_mul(unit));
    match minutes {
        Some(minutes) if bounds.contains(&minutes) => Ok(SignedDuration::from_mins(minutes)),
        Some(minutes) if minutes < *bounds.start() => Err(Refusal::new(format!("{text} is too short to join"), help)),
        _ => Err(Refusal::new(format!("{text} is too long for a credential"), help)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        assert_eq!(join_until("30d"), Ok(SignedDuration::from_hours(720)));
        assert_eq!(join_until("12h"), Ok(SignedDuration::from_hours(12)));
        assert_eq!(join_until("15m"), Ok(SignedDuration::from_mins(15)));
        for bad in [
            "",
            "d",
            "30",
            "30w",
            "-1d",
            "+1d",
            "1.5h",
            "14m",
            "0d",
            "366d",
            "99999999999999999999d",
            "9223372036854775807d",
            "1é",
        ] {
            assert!(join_until(bad).is_err(), "{bad}");
        }
        assert_eq!(token_life("1m"), Ok(SignedDuration::from_mins(1)));
        assert_eq!(token_life("7d"), Ok(SignedDuration::from_hours(168)));
        for bad in ["0m", "8d", "24", "forever"] {
            assert!(token_life(bad).is_err(), "{bad}");
        }
    }
}
