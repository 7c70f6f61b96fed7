//! Small things into memory: one URL, tried patiently.

use std::time::Instant;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use url::Url;

use super::address::shown;
use super::exchange::Dead;
use super::patience::{Patience, retry_after};
use super::speed::Speedometer;
use super::{Failure, Net, NetError};
use crate::clock;

/// A GET request whose answer fits into memory.
#[derive(Debug, Clone)]
pub struct Request {
    /// Of what.
    pub url: Url,
    /// Headers beside the usual ones; values that are credentials should be marked sensitive.
    pub headers: HeaderMap,
    /// The most bytes that the body may have.
    pub limit: u64,
}

/// The answer to a [`Request`], whatever it says.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Net {
    /// Reads one URL (http, https or file) of at most `limit` bytes. Unproven bytes: the caller has a signature or a digest.
    ///
    /// Tries again after what may pass (408, 425, 429, 5xx, silence, a broken body). A host that cannot be reached is not
    /// tried again during this run, so that callers get quickly to their next mirror.
    ///
    /// # Errors
    /// Any answer but 200; more than `limit` bytes; no answer; offline.
    pub async fn read(&self, url: &Url, limit: u64) -> Result<Vec<u8>, NetError> {
        let request = Request { url: url.clone(), headers: HeaderMap::new(), limit };
        let response = self.get(&request).await?;
        match response.status {
            StatusCode::OK => Ok(response.body),
            status => Err(self.url_error(url, Failure::Status { status, retry_after: None })),
        }
    }

    /// Asks once and again, as [`Net::read`] does, and gives back the last answer whatever its status.
    ///
    /// # Errors
    /// No answer; more than `limit` bytes; offline.
    pub async fn get(&self, request: &Request) -> Result<Response, NetError> {
        let mut patience = Patience::new(&self.inner.options);
        let mut tries = 1;
        loop {
            let (failure, response) = match self.once(request).await {
                Ok(response) => {
                    let retry_after = retry_after(&response.headers, clock::now());
                    let failure = Failure::Status { status: response.status, retry_after };
                    if failure.is_final() || response.status.is_success() {
                        return Ok(response);
                    }
                    (failure, Some(response))
                }
                Err(failure) => (failure, None),
            };
            let hopeless = failure.is_final() || self.inner.hosts.dead(&request.url).is_some();
            if hopeless || tries >= self.inner.options.attempts {
                return response.ok_or_else(|| self.url_error(&request.url, failure));
            }
            self.note(format!("{} {failure}; trying again", shown(&request.url)));
            patience.wait(failure.retry_after()).await;
            tries += 1;
        }
    }

    async fn once(&self, request: &Request) -> Result<Response, Failure> {
        let mut exchange = self.exchange(&request.url, request.headers.clone(), 0, Dead::Skip).await?;
        let too_long = Failure::TooLong { limit: request.limit };
        if exchange.length.is_some_and(|length| length > request.limit) {
            return Err(too_long);
        }
        let mut body = Vec::new();
        let mut speed = Speedometer::new(self.inner.options.floor.gentle(), Instant::now());
        while let Some(chunk) = exchange.chunk().await? {
            if (body.len() + chunk.len()) as u64 > request.limit {
                return Err(too_long);
            }
            body.extend_from_slice(&chunk);
            speed.add(chunk.len(), Instant::now()).map_err(|speed| Failure::Slow { speed })?;
        }
        Ok(Response { status: exchange.status, headers: exchange.headers, body })
    }

    pub(super) fn url_error(&self, url: &Url, failure: Failure) -> NetError {
        match failure {
            Failure::Offline => NetError::Offline { what: "an answer".to_owned(), url: shown(url) },
            source => NetError::Url { url: shown(url), source },
        }
    }
}
