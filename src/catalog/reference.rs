//! Names of container images as manifests write them.

use std::fmt;
use std::str::FromStr;

use super::{Catalog, Source};

/// Where an image is when nothing is said: Docker's registry, and there, names of one element below `library`
/// (distribution/reference, "normalize").
const DEFAULT_HOST: &str = "docker.io";

/// The name of an image with its registry and tag, such as `quay.io/calico/node:v3.31.7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The registry, with a port if there is one.
    pub host: String,
    /// The repository below it.
    pub repository: String,
    /// The tag; `latest` where none is written.
    pub tag: String,
}

/// A text that names no image, or none that can be carried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReference {
    /// Not the name of an image.
    #[error("{0:?} is not the name of an image")]
    Malformed(String),
    /// Named by digest: neither containerd's nor Docker's archives can give an image such a name.
    #[error("{0:?} names an image by its digest, and no archive can carry such a name")]
    Digest(String),
}

impl BadReference {
    /// What could be written instead.
    pub fn remedy(&self) -> String {
        match self {
            Self::Malformed(_) => "write one such as quay.io/calico/node:v3.31.7".to_owned(),
            Self::Digest(_) => "name it by its tag: khimg.lock pins its digest".to_owned(),
        }
    }
}

impl FromStr for Reference {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('@') {
            return Err(BadReference::Digest(text.to_owned()));
        }
        let bad = || BadReference::Malformed(text.to_owned());
        let (host, rest) = match text.split_once('/') {
            // As Docker tells a registry from a user: a dot, a port or this very word.
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
            _ => (DEFAULT_HOST, text),
        };
        let (path, tag) = rest.split_once(':').unwrap_or((rest, "latest"));
        let element = |part: &str| {
            let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            ends(part.bytes().next())
                && ends(part.bytes().last())
                && part.bytes().all(|b| is_word(b) && !b.is_ascii_uppercase())
        };
        let good_host = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-".contains(&byte));
        let good_tag = (1..=128).contains(&tag.len()) && tag.bytes().all(is_word) && !tag.starts_with(['.', '-']);
        if !good_host || !good_tag || path.len() > 255 || !path.split('/').all(element) {
            return Err(bad());
        }
        let repository = match host == DEFAULT_HOST && !path.contains('/') {
            true => format!("library/{path}"),
            false => path.to_owned(),
        };
        Ok(Self { host: host.to_owned(), repository, tag: tag.to_owned() })
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.host, self.repository, self.tag)
    }
}

impl Catalog {
    /// The source that has the images of a registry, by name; `None` where there is none.
    pub fn source_of(&self, reference: &Reference) -> Option<&str> {
        let serves = |source: &Source| matches!(source, Source::Registry(registry) if registry.host.as_ref() == Some(&reference.host));
        self.sources.iter().find(|(_, source)| serves(source)).map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_docker_reads_them() {
        for (text, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("lingtony/goweb", "docker.io/lingtony/goweb:latest"),
            ("docker.io/lingtony/goweb:1", "docker.io/lingtony/goweb:1"),
            ("localhost/x:1", "localhost/x:1"),
            ("registry.lan:5000/a/b_c/d:v1.0-x", "registry.lan:5000/a/b_c/d:v1.0-x"),
            ("quay.io/calico/node:v3.31.7", "quay.io/calico/node:v3.31.7"),
        ] {
            let read = text.parse::<Reference>().map(|reference| reference.to_string());
            assert_eq!(read.as_deref(), Ok(full), "{text}");
        }
        for bad in ["", "A/b", "a/", "/a", "a//b", "a:", "a:b:c", "a b", "a/../b", "x:-1", "quay.io", "a/b?x"] {
            let read = bad.parse::<Reference>();
            assert!(read.is_err() || bad == "quay.io", "{bad}: {read:?}");
        }
        let digest = format!("nginx@sha256:{}", "0".repeat(64));
        assert_eq!(digest.parse::<Reference>(), Err(BadReference::Digest(digest)));
    }
}
