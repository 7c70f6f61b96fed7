//! Where a repository lies at one mirror, and the addresses that the distribution protocol gives to what is in it.

use oci_spec::distribution::Reference;
use url::Url;

use super::RegistryError;
use crate::catalog::{Catalog, Source};
use crate::digest::Digest;
use crate::mirrors::Origin;
use crate::net::address::shown_text;

/// One repository at one mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name of the mirror, for messages.
    pub mirror: String,
    root: Url,
    repository: String,
}

impl Place {
    /// The place of `repository` below `base`: `[http://|https://]host[:port][/namespace]`. Without a scheme it is https.
    ///
    /// # Errors
    /// A base or a repository that is not one by the reference grammar (OCI distribution specification 1.1, "Pulling manifests").
    pub fn new(mirror: &str, base: &str, repository: &str) -> Result<Self, RegistryError> {
        let bad = || RegistryError::Base { base: shown_text(base), repository: repository.to_owned() };
        let with_scheme = if base.contains("://") { base.to_owned() } else { format!("https://{base}") };
        let mut root = Url::parse(&with_scheme).map_err(|_| bad())?;
        let plain = root.username().is_empty() && root.password().is_none() && root.query().is_none();
        if !plain || root.fragment().is_some() || !matches!(root.scheme(), "http" | "https") {
            return Err(bad());
        }
        let namespace = root.path().trim_matches('/').to_owned();
        let mut full = if namespace.is_empty() { repository.to_owned() } else { format!("{namespace}/{repository}") };
        // Docker Hub's name is an alias, and its official images have a namespace that nobody writes.
        if root.host_str() == Some("docker.io") {
            root.set_host(Some("registry-1.docker.io")).map_err(|_| bad())?;
            if !full.contains('/') {
                full = format!("library/{full}");
            }
        }
        if !is_repository(&full) {
            return Err(bad());
        }
        root.set_path("/v2/");
        Ok(Self { mirror: mirror.to_owned(), root, repository: full })
    }

    /// Where `origins` keep `repository` of the source named `source`, in order of trial. Mirrors may call it by another name.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn all(
        catalog: &Catalog,
        source: &str,
        repository: &str,
        origins: &[Origin],
    ) -> Result<Vec<Self>, RegistryError> {
        let mut places = Vec::new();
        for origin in origins {
            let names = match catalog.sources.get(source) {
                Some(Source::Registry(registry)) => registry.repositories(&origin.mirror, repository),
                _ => vec![repository],
            };
            for name in names {
                places.push(Self::new(&origin.mirror, &origin.base, name)?);
            }
        }
        Ok(places)
    }

    /// The full repository, with the mirror's namespace.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// `host[:port]`, the key of credentials.
    pub fn host(&self) -> String {
        let host = self.root.host_str().unwrap_or_default();
        self.root.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Whether requests go over TLS.
    pub fn is_secure(&self) -> bool {
        self.root.scheme() == "https"
    }

    /// The address that tells whether, and how, a client must authenticate.
    pub fn ping(&self) -> Url {
        self.root.clone()
    }

    /// The manifest that a tag or digest names.
    ///
    /// # Errors
    /// A tag that is not one.
    pub fn manifest(&self, reference: &str) -> Result<Url, RegistryError> {
        if reference.parse::<Digest>().is_err() && !is_tag(reference) {
            return Err(RegistryError::Tag { tag: reference.to_owned() });
        }
        Ok(self.below(&format!("{}/manifests/{reference}", self.repository)))
    }

    /// The blob with a digest.
    pub fn blob(&self, digest: &Digest) -> Url {
        self.below(&format!("{}/blobs/{digest}", self.repository))
    }

    /// Where an upload of a blob begins.
    pub fn uploads(&self) -> Url {
        self.below(&format!("{}/blobs/uploads/", self.repository))
    }

    /// What a token must permit for pulling from here.
    pub fn scope(&self) -> String {
        format!("repository:{}:pull", self.repository)
    }

    fn below(&self, path: &str) -> Url {
        let mut url = self.root.clone();
        // Only characters of the reference grammar get here: nothing to escape, no dot segments.
        url.set_path(&format!("/v2/{path}"));
        url
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.host(), self.repository)
    }
}

fn is_repository(repository: &str) -> bool {
    let judged = || Reference::try_from(format!("registry.invalid/{repository}"));
    is_plain_repository(repository)
        || judged().is_ok_and(|parsed| parsed.repository() == repository && parsed.registry() == "registry.invalid")
}

/// The part of the grammar that nearly all names keep to. The whole of it is a regular expression, whose making alone would take
/// a third of a build in which nothing changed.
fn is_plain_repository(repository: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'));
    repository.len() < 128 && repository.split(['/', '-', '.', '_']).all(word)
}

fn is_tag(tag: &str) -> bool {
    Reference::try_from(format!("registry.invalid/repository:{tag}"))
        .is_ok_and(|parsed| parsed.tag() == Some(tag) && parsed.digest().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_the_base() {
        let place = Place::new("aliyun", "registry.aliyuncs.com/google_containers", "coredns").expect("valid");
        let digest = Digest::of(b"blob");
        assert_eq!(
            place.manifest("1.7.0").expect("valid").as_str(),
            "https://registry.aliyuncs.com/v2/google_containers/coredns/manifests/1.7.0"
        );
        assert_eq!(
            place.blob(&digest).as_str(),
            format!("https://registry.aliyuncs.com/v2/google_containers/coredns/blobs/{digest}")
        );
        assert_eq!(place.scope(), "repository:google_containers/coredns:pull");

        let place = Place::new("own", "http://127.0.0.1:5000/a/b/", "c/d").expect("valid");
        assert_eq!(place.ping().as_str(), "http://127.0.0.1:5000/v2/");
        assert_eq!((place.host().as_str(), place.is_secure()), ("127.0.0.1:5000", false));
        assert_eq!(place.repository(), "a/b/c/d");
    }

    #[test]
    fn docker_hub_has_its_own_names() {
        let place = Place::new("upstream", "docker.io", "haproxy").expect("valid");
        assert_eq!(place.to_string(), "registry-1.docker.io/library/haproxy");
    }

    #[test]
    fn what_is_plain_keeps_to_the_grammar() {
        let judged = |name: &str| Reference::try_from(format!("registry.invalid/{name}")).is_ok();
        for name in ["pause", "google_containers/kube-apiserver", "a/b.c/d-e_f", "0/1"] {
            assert!(is_plain_repository(name) && judged(name), "{name}");
        }
        for name in ["", "a//b", "/a", "a/", "-a", "a-", "a.-b", "A", "a b", "é", "a:b", "a@b"] {
            assert!(!is_plain_repository(name), "{name}");
        }
        // Left to the grammar, which has them.
        assert!(!is_plain_repository("a__b") && is_repository("a__b") && is_repository("a--b"));
    }

    #[test]
    fn nothing_outside_the_grammar_becomes_an_address() {
        for base in ["", "ftp://host", "user:word@host", "host?x=1", "host/UPPER", "host/a b", "http://"] {
            assert!(Place::new("m", base, "pause").is_err(), "{base}");
        }
        for repository in ["", "../etc", "a//b", "A", "a:b", "a@b", "a/../b", "a?b", "a%2e"] {
            assert!(Place::new("m", "host", repository).is_err(), "{repository}");
        }
        let place = Place::new("m", "host", "pause").expect("valid");
        for tag in ["", "a/b", "..", "a b", "1@sha256", &"t".repeat(129)] {
            assert!(place.manifest(tag).is_err(), "{tag}");
        }
    }
}
