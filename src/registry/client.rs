//! The client: one request, authenticated when the registry asks for it; one document, proven.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use url::Url;

use super::challenge::Challenge;
use super::manifest::{self, Document, LIMIT};
use super::tokens::{Authorization, Token, Tokens};
use super::{Credentials, Place, RegistryError};
use crate::digest::Digest;
use crate::net::address::shown;
use crate::net::{Net, Request, Response};

/// Answers with tokens are small.
const TOKEN_LIMIT: u64 = 1 << 20;

/// Talks to registries. One for a whole run, so that tokens are asked for once.
pub struct Registry<'a> {
    pub(super) net: &'a Net,
    credentials: Credentials,
    /// How each place wants to be asked, learnt from its first 401.
    challenges: Mutex<BTreeMap<String, Challenge>>,
    tokens: Tokens,
}

/// A document and where it came from.
pub(super) struct Fetched {
    pub(super) url: Url,
    pub(super) media_type: String,
    pub(super) document: Document,
    pub(super) bytes: Vec<u8>,
}

impl<'a> Registry<'a> {
    /// A client on `net`, that is `credentials` to those who ask.
    pub fn new(net: &'a Net, credentials: Credentials) -> Self {
        Self { net, credentials, challenges: Mutex::default(), tokens: Tokens::default() }
    }

    /// The manifest or index that `reference`, a tag or a digest, names at `place`.
    pub(super) async fn manifest(&self, place: &Place, reference: &str) -> Result<Fetched, RegistryError> {
        let url = place.manifest(reference)?;
        let response = self.get(place, &url, Some(manifest::ACCEPT), LIMIT).await?;
        let actual = Digest::of(&response.body);
        // A tag promises nothing, but most registries say in a header what they mean to send.
        let announced = text(&response, "docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
        let asked = reference.parse::<Digest>().ok();
        if let Some(expected) = asked.or(announced).filter(|expected| *expected != actual) {
            return Err(RegistryError::WrongDigest { url: shown(&url), expected, actual });
        }
        let declared = text(&response, "content-type");
        let (media_type, document) = manifest::parse(&url, declared, &response.body)?;
        Ok(Fetched { url, media_type, document, bytes: response.body })
    }

    /// The bytes of the manifest or index that `reference`, a tag or a digest, names at `place`, and their digest.
    ///
    /// # Errors
    /// None there, one that is too large or no such document, or one of another digest than asked for.
    pub async fn document(&self, place: &Place, reference: &str) -> Result<(Vec<u8>, Digest), RegistryError> {
        let bytes = self.manifest(place, reference).await?.bytes;
        let digest = Digest::of(&bytes);
        Ok((bytes, digest))
    }

    /// A small blob, such as a configuration.
    pub(super) async fn blob(&self, place: &Place, digest: &Digest, size: u64) -> Result<Vec<u8>, RegistryError> {
        let url = place.blob(digest);
        let response = self.get(place, &url, None, LIMIT).await?;
        let actual = Digest::of(&response.body);
        if actual != *digest {
            return Err(RegistryError::WrongDigest { url: shown(&url), expected: *digest, actual });
        }
        let length = response.body.len() as u64;
        if length != size {
            return Err(RegistryError::WrongSize { url: shown(&url), expected: size, actual: length });
        }
        Ok(response.body)
    }

    /// What a request to `place` must carry, as far as is known: nothing before its first 401.
    pub(super) async fn authorization(
        &self,
        place: &Place,
        url: &Url,
        refused: Option<&Authorization>,
    ) -> Result<Option<Authorization>, RegistryError> {
        let challenge = {
            let challenges = self.challenges.lock().unwrap_or_else(PoisonError::into_inner);
            challenges.get(&place.to_string()).cloned()
        };
        let login = self.credentials.at(&place.host());
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => {
                let login = login.ok_or_else(|| RegistryError::LoginNeeded { url: shown(url) })?;
                Ok(Some(Authorization::new(login.basic())))
            }
            Some(Challenge::Bearer { realm, service, scope }) => {
                if place.is_secure() && realm.scheme() != "https" {
                    return Err(RegistryError::PlainRealm { url: shown(url), realm: shown(&realm) });
                }
                let scope = scope.unwrap_or_else(|| place.scope());
                let key = (realm.to_string(), service.clone(), scope.clone(), place.host());
                let slot = self.tokens.slot(key);
                let basic = login.map(|login| Authorization::new(login.basic()));
                slot.get(refused, || self.token(&realm, service.as_deref(), &scope, basic)).await.map(Some)
            }
        }
    }

    async fn token(
        &self,
        realm: &Url,
        service: Option<&str>,
        scope: &str,
        basic: Option<Authorization>,
    ) -> Result<Token, RegistryError> {
        let asked = Instant::now();
        let url = Challenge::token_url(realm, service, scope);
        let response = self.send(&url, None, basic.as_ref(), TOKEN_LIMIT).await?;
        match response.status.as_u16() {
            200 => Token::parse(realm, &response.body, asked),
            status @ (401 | 403) => Err(RegistryError::Refused { url: shown(realm), status }),
            status => Err(RegistryError::Status { url: shown(realm), status }),
        }
    }

    /// One request; on a 401 once more with what it asks for.
    async fn get(
        &self,
        place: &Place,
        url: &Url,
        accept: Option<&'static str>,
        limit: u64,
    ) -> Result<Response, RegistryError> {
        let response = self.admitted(place, url, async |shown| self.send(url, accept, shown, limit).await).await?;
        match response.status.as_u16() {
            200 => Ok(response),
            404 => Err(RegistryError::NotFound { url: shown(url) }),
            status @ (401 | 403) => Err(RegistryError::Refused { url: shown(url), status }),
            status => Err(RegistryError::Status { url: shown(url), status }),
        }
    }

    /// What `ask` brings; where that is a 401, what it brings once more with an answer to the challenge.
    pub(super) async fn admitted(
        &self,
        place: &Place,
        url: &Url,
        ask: impl AsyncFn(Option<&Authorization>) -> Result<Response, RegistryError>,
    ) -> Result<Response, RegistryError> {
        let known = self.authorization(place, url, None).await?;
        let response = ask(known.as_ref()).await?;
        if response.status != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let asked = response.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenge = Challenge::read(asked).ok_or_else(|| RegistryError::Challenge { url: shown(url) })?;
        self.challenges.lock().unwrap_or_else(PoisonError::into_inner).insert(place.to_string(), challenge);
        let answer = self.authorization(place, url, known.as_ref()).await?;
        ask(answer.as_ref()).await
    }

    async fn send(
        &self,
        url: &Url,
        accept: Option<&'static str>,
        authorization: Option<&Authorization>,
        limit: u64,
    ) -> Result<Response, RegistryError> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        authorize(&mut headers, url, authorization)?;
        Ok(self.net.get(&Request { url: url.clone(), headers, limit }).await?)
    }
}

/// Adds what a request must show.
pub(super) fn authorize(
    headers: &mut HeaderMap,
    url: &Url,
    authorization: Option<&Authorization>,
) -> Result<(), RegistryError> {
    if let Some(authorization) = authorization {
        let mut value = HeaderValue::from_str(authorization.expose())
            .map_err(|_| RegistryError::LoginNeeded { url: shown(url) })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(())
}

pub(super) fn text<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.get(name)?.to_str().ok()
}
