//! How long to wait before the next try.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::NetOptions;

/// The pauses of one piece of work, each about twice the last.
pub(super) struct Patience {
    pauses: ExponentialBackoff,
    longest: Duration,
    longest_asked: Duration,
}

impl Patience {
    pub fn new(options: &NetOptions) -> Self {
        let (shortest, longest) = options.pause;
        // Jitter, so that many clients that were refused together do not come back together.
        let pauses = ExponentialBuilder::new()
            .with_min_delay(shortest)
            .with_max_delay(longest)
            .without_max_times()
            .with_jitter()
            .build();
        Self { pauses, longest, longest_asked: options.longest_retry_after }
    }

    /// Waits for the next pause, or as long as the server asked, within bounds.
    pub async fn wait(&mut self, asked: Option<Duration>) {
        let own = self.pauses.next().unwrap_or(self.longest);
        tokio::time::sleep(asked.map_or(own, |asked| asked.min(self.longest_asked))).await;
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110 §10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms() {
        let now: Timestamp = "1994-11-06T08:49:00Z".parse().expect("valid");
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().expect("valid"));
            retry_after(&headers, now)
        };
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(37)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("soon"), None);
    }
}
