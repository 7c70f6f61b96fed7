//! What a user calls a depot in a registry: `[http://]host[:port]/repository[:tag]`.

use crate::registry::{Place, RegistryError};

/// The tag where none is named.
const LATEST: &str = "latest";

/// A repository and a tag in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The repository.
    pub place: Place,
    /// The tag, or a digest.
    pub tag: String,
}

impl Reference {
    /// Takes a reference apart.
    ///
    /// # Errors
    /// A text that is none.
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (repository, tag) = match path.split_once('@') {
            Some((repository, digest)) => (repository, digest),
            None => path.rsplit_once(':').unwrap_or((path, LATEST)),
        };
        let base = scheme.map_or_else(|| host.to_owned(), |scheme| format!("{scheme}://{host}"));
        let place = Place::new(host, &base, repository)?;
        // A tag that is none is told before anything is sent.
        place.manifest(tag)?;
        Ok(Self { place, tag: tag.to_owned() })
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}:{}", self.place.host(), self.place.repository(), self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let parsed = |text: &str| {
            Reference::parse(text)
                .map(|found| (found.place.host(), found.place.repository().to_owned(), found.tag))
                .ok()
        };
        let of =
            |host: &str, repository: &str, tag: &str| Some((host.to_owned(), repository.to_owned(), tag.to_owned()));
        assert_eq!(parsed("registry.lan/khimg/demo"), of("registry.lan", "khimg/demo", "latest"));
        assert_eq!(parsed("http://127.0.0.1:5000/demo:v2"), of("127.0.0.1:5000", "demo", "v2"));
        let digest = format!("sha256:{}", "0".repeat(64));
        assert_eq!(parsed(&format!("registry.lan/demo@{digest}")), of("registry.lan", "demo", &digest));
        for bad in
            ["", "registry.lan", "registry.lan/", "registry.lan/Demo", "registry.lan/a:b c", "ftp://x/y", "x/../y"]
        {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
