//! Addresses: a path below a base, and what of a URL may be shown.

use url::Url;

/// A path that cannot be put below a base.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} is not a path below {base:?}: {reason}")]
pub struct JoinError {
    /// The base.
    pub base: String,
    /// The path.
    pub path: String,
    /// What is wrong.
    pub reason: &'static str,
}

/// The URL of `path` below `base`. Each segment is taken literally and percent-encoded as need be.
///
/// `+` is encoded too, as apt does (`Acquire::URIEncode`): object stores such as S3 read a bare one as a blank.
///
/// # Errors
/// A base that is no absolute http, https or file URL; a path that is empty, or leaves the base by `..`.
pub fn join(base: &str, path: &str) -> Result<Url, JoinError> {
    let refuse = |reason| JoinError { base: shown_text(base), path: path.to_owned(), reason };
    let mut url = Url::parse(base).map_err(|_| refuse("the base is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https" | "file") {
        return Err(refuse("the base is neither http, https nor file"));
    }
    let below: Vec<&str> = path.split('/').filter(|segment| !matches!(*segment, "" | ".")).collect();
    if below.is_empty() {
        return Err(refuse("it is empty"));
    }
    if below.contains(&"..") {
        return Err(refuse("it leaves the base"));
    }
    url.path_segments_mut().map_err(|()| refuse("the base cannot have a path"))?.pop_if_empty().extend(&below);
    let encoded = url.path().replace('+', "%2B");
    url.set_path(&encoded);
    Ok(url)
}

/// `url` as it may appear in messages and logs: without user, password, query and fragment, any of which may be a credential.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let hidden = url.query().is_some();
    // Both fail only for URLs that cannot have these parts.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    if hidden { format!("{url}?…") } else { url.to_string() }
}

/// A base as it may appear in messages, be it a URL or not: as [`shown`], and nothing before an `@`.
pub fn shown_text(base: &str) -> String {
    let text = Url::parse(base).map_or_else(|_| base.to_owned(), |url| shown(&url));
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins() {
        let joined = |base, path| join(base, path).map(String::from).map_err(|e| e.reason);
        assert_eq!(
            joined("http://m/debian", "pool/g/g++_1~2.deb"),
            Ok("http://m/debian/pool/g/g%2B%2B_1~2.deb".into())
        );
        assert_eq!(joined("http://m/debian/", "./a b.deb"), Ok("http://m/debian/a%20b.deb".into()));
        assert_eq!(joined("http://m", "/a%2fb"), Ok("http://m/a%252fb".into()));
        assert_eq!(joined("http://m/x?y=1", "a?b#c"), Ok("http://m/x/a%3Fb%23c?y=1".into()));
        assert_eq!(joined("file:///srv/", "a"), Ok("file:///srv/a".into()));
        assert_eq!(joined("http://m", "a/../b"), Err("it leaves the base"));
        assert_eq!(joined("http://m", "./"), Err("it is empty"));
        assert_eq!(joined("ftp://m", "a"), Err("the base is neither http, https nor file"));
        assert_eq!(joined("m/x", "a"), Err("the base is not a URL"));
    }

    #[test]
    fn hides_credentials() {
        let url = Url::parse("https://me:secret@m/a?token=secret#secret").expect("valid");
        assert_eq!(shown(&url), "https://m/a?…");
        for (base, expected) in [
            ("https://me:secret@m/a", "https://m/a"),
            ("me:secret@m/a", "…@m/a"),
            ("https://me:secret@not a host/a", "…@not a host/a"),
            ("m:5000/a", "m:5000/a"),
        ] {
            assert_eq!(shown_text(base), expected);
        }
        let error = join("ftp://me:secret@m", "a").expect_err("no such scheme");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }
}
