//! What a registry asks for when it answers 401.

use http_auth::{ChallengeRef, parse_challenges};
use url::Url;

/// A way of authentication that khimg knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token from another address.
    Bearer {
        /// Where tokens are.
        realm: Url,
        /// Whom the token is for.
        service: Option<String>,
        /// What it must permit.
        scope: Option<String>,
    },
    /// Name and password.
    Basic,
}

impl Challenge {
    /// The best challenge in the values of all `WWW-Authenticate` headers: Bearer before Basic.
    pub(super) fn read<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let parsed: Vec<ChallengeRef<'a>> =
            headers.into_iter().filter_map(|header| parse_challenges(header).ok()).flatten().collect();
        let bearer = parsed.iter().filter(|challenge| challenge.scheme.eq_ignore_ascii_case("Bearer")).find_map(bearer);
        bearer.or_else(|| {
            parsed.iter().any(|challenge| challenge.scheme.eq_ignore_ascii_case("Basic")).then_some(Self::Basic)
        })
    }

    /// The address that gives a token for `scope`.
    pub(super) fn token_url(realm: &Url, service: Option<&str>, scope: &str) -> Url {
        let mut url = realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = service {
                query.append_pair("service", service);
            }
            query.append_pair("scope", scope);
        }
        url
    }
}

fn bearer(challenge: &ChallengeRef<'_>) -> Option<Challenge> {
    let value = |name: &str| {
        let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_unescaped())
    };
    let realm = Url::parse(&value("realm")?).ok()?;
    let usable =
        matches!(realm.scheme(), "http" | "https") && realm.username().is_empty() && realm.password().is_none();
    usable.then(|| Challenge::Bearer { realm, service: value("service"), scope: value("scope") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_registries_send() {
        let header =
            r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push""#;
        let expected = Challenge::Bearer {
            realm: Url::parse("https://auth.example/token").expect("valid"),
            service: Some("registry.example".to_owned()),
            scope: Some("repository:a/b:pull,push".to_owned()),
        };
        assert_eq!(Challenge::read([header]), Some(expected.clone()));
        assert_eq!(Challenge::read([r#"Basic realm="x""#, header]), Some(expected));
        assert_eq!(Challenge::read([r#"basic realm="Registry Realm""#]), Some(Challenge::Basic));
        for useless in [
            "",
            "Bearer",
            r#"Bearer realm="nothing""#,
            r#"Bearer realm="file:///etc/passwd""#,
            "Negotiate",
            "\"\"\"",
            "Bearer realm=\"https://u:p@h/\"",
        ] {
            assert_eq!(Challenge::read([useless]), None, "{useless}");
        }
    }

    #[test]
    fn token_addresses_are_escaped() {
        let realm = Url::parse("https://auth.example/token?account=x").expect("valid");
        assert_eq!(
            Challenge::token_url(&realm, Some("a b"), "repository:a/b:pull").as_str(),
            "https://auth.example/token?account=x&service=a+b&scope=repository%3Aa%2Fb%3Apull"
        );
    }
}
