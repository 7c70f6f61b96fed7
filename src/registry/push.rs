//! Into a registry: each blob that is not there, in one piece, then manifests (distribution specification 1.1, "Pushing").

use std::path::PathBuf;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use url::Url;

use super::client::{authorize, text};
use super::tokens::Authorization;
use super::{Place, Registry, RegistryError};
use crate::digest::Digest;
use crate::net::address::shown;
use crate::net::{Body, Message, Response};

/// Answers to uploads are small; errors are JSON.
const LIMIT: u64 = 1 << 20;

/// How often a blob is sent before the registry is given up.
const TRIES: u32 = 3;

/// Where a blob's bytes lie.
#[derive(Debug, Clone)]
pub enum Content {
    /// Here.
    Bytes(Vec<u8>),
    /// In a file.
    File {
        /// The file.
        path: PathBuf,
        /// Where they begin.
        offset: u64,
    },
}

/// What became of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The registry had it.
    There,
    /// It was sent.
    New,
}

impl Registry<'_> {
    /// Sees to it that `place` has the blob `digest` of `size` bytes. The registry proves the digest.
    ///
    /// # Errors
    /// A registry that refuses, or does not answer after some tries.
    pub async fn push_blob(
        &self,
        place: &Place,
        digest: &Digest,
        size: u64,
        content: &Content,
    ) -> Result<Sent, RegistryError> {
        if self.has_blob(place, digest).await? {
            return Ok(Sent::There);
        }
        let mut tries = 1;
        loop {
            match self.upload(place, digest, size, content).await {
                Ok(()) => return Ok(Sent::New),
                // Nothing of a failed upload counts, so it can be begun again.
                Err(RegistryError::Net(_)) if tries < TRIES => tries += 1,
                Err(RegistryError::Status { status, .. }) if status >= 500 && tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Puts a manifest or index in place under `reference`, a tag or its own digest.
    ///
    /// # Errors
    /// A registry that refuses it.
    pub async fn push_manifest(
        &self,
        place: &Place,
        reference: &str,
        media_type: &'static str,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        let url = place.manifest(reference)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        let body = Body::Bytes(bytes.to_vec());
        let response = self.ask(place, Method::PUT, &url, headers, body).await?;
        expect(&url, &response, 201)
    }

    async fn has_blob(&self, place: &Place, digest: &Digest) -> Result<bool, RegistryError> {
        let url = place.blob(digest);
        let response = self.ask(place, Method::HEAD, &url, HeaderMap::new(), Body::Empty).await?;
        match response.status.as_u16() {
            404 => Ok(false),
            _ => expect(&url, &response, 200).map(|()| true),
        }
    }

    async fn upload(&self, place: &Place, digest: &Digest, size: u64, content: &Content) -> Result<(), RegistryError> {
        let begin = place.uploads();
        let response = self.ask(place, Method::POST, &begin, HeaderMap::new(), Body::Empty).await?;
        expect(&begin, &response, 202)?;
        let location = text(&response, LOCATION.as_str()).and_then(|location| begin.join(location).ok());
        let mut url = location.ok_or_else(|| RegistryError::Location { url: shown(&begin) })?;
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let body = match content {
            Content::Bytes(bytes) => Body::Bytes(bytes.clone()),
            Content::File { path, offset } => Body::File { path: path.clone(), offset: *offset, size },
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let response = self.ask(place, Method::PUT, &url, headers, body).await?;
        expect(&url, &response, 201)
    }

    /// One request, authenticated where it goes to the registry itself.
    async fn ask(
        &self,
        place: &Place,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response, RegistryError> {
        let once = async |authorization: Option<&Authorization>| {
            let mut headers = headers.clone();
            authorize(&mut headers, url, authorization)?;
            let message =
                Message { method: method.clone(), url: url.clone(), headers, body: body.clone(), limit: LIMIT };
            Ok(self.net.send(message).await?)
        };
        // An upload may go on at another host, which has no business with the registry's credentials.
        if url.origin() == place.ping().origin() { self.admitted(place, url, once).await } else { once(None).await }
    }
}

fn expect(url: &Url, response: &Response, wanted: u16) -> Result<(), RegistryError> {
    match response.status.as_u16() {
        status if status == wanted => Ok(()),
        404 => Err(RegistryError::NotFound { url: shown(url) }),
        status @ (401 | 403) => Err(RegistryError::Refused { url: shown(url), status }),
        status => Err(RegistryError::Status { url: shown(url), status }),
    }
}
