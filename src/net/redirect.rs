//! Which redirects are followed.

use reqwest::redirect::Policy;
use url::Url;

const MOST: usize = 10;

/// A redirect that is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// One too many.
    #[error("it redirects more than {MOST} times")]
    Endless,
    /// Back to where it was.
    #[error("it redirects in a circle")]
    Circle,
    /// From https to http: whoever listens there could read and change the rest.
    #[error("it redirects from https to http")]
    Downgrade,
    /// To something that is not HTTP.
    #[error("it redirects to something other than http or https")]
    Scheme,
}

pub(super) fn policy() -> Policy {
    Policy::custom(|attempt| match judge(attempt.previous(), attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(refused) => attempt.error(refused),
    })
}

/// `previous` holds every URL so far, the first request's included.
fn judge(previous: &[Url], next: &Url) -> Result<(), RedirectError> {
    if previous.len() > MOST {
        return Err(RedirectError::Endless);
    }
    if previous.contains(next) {
        return Err(RedirectError::Circle);
    }
    match next.scheme() {
        "https" => Ok(()),
        "http" if previous.iter().any(|url| url.scheme() == "https") => Err(RedirectError::Downgrade),
        "http" => Ok(()),
        _ => Err(RedirectError::Scheme),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_only_what_is_safe() {
        let url = |text: &str| Url::parse(text).expect("valid");
        let judge = |previous: &[&str], next: &str| {
            judge(&previous.iter().map(|text| url(text)).collect::<Vec<_>>(), &url(next))
        };
        assert_eq!(judge(&["http://a/1"], "https://b/2"), Ok(()));
        assert_eq!(judge(&["http://a/1"], "http://a/2"), Ok(()));
        assert_eq!(judge(&["http://a/1", "http://a/2"], "http://a/1"), Err(RedirectError::Circle));
        assert_eq!(judge(&["https://a/1"], "http://a/2"), Err(RedirectError::Downgrade));
        assert_eq!(judge(&["http://a/1", "https://a/1"], "http://a/2"), Err(RedirectError::Downgrade));
        assert_eq!(judge(&["https://a/1"], "file:///etc/shadow"), Err(RedirectError::Scheme));
        assert_eq!(judge(&["http://a/1"; 10], "http://a/2"), Ok(()));
        assert_eq!(judge(&["http://a/1"; 11], "http://a/2"), Err(RedirectError::Endless));
    }
}
