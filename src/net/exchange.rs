//! One request and its answer, body still on the way. Every socket of khimg's client side is opened here.

use std::io::SeekFrom;

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{StatusCode, Url};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::{OwnedSemaphorePermit, SemaphorePermit};

use super::error::innermost;
use super::{Failure, Net, client, host};

const BLOCK: usize = 256 << 10;

/// An answer whose body is still to be read. Holds its place among the transfers until it is dropped.
pub(super) struct Exchange<'a> {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// How many bytes the body announces.
    pub length: Option<u64>,
    body: Body,
    _slots: Option<(OwnedSemaphorePermit, SemaphorePermit<'a>)>,
}

enum Body {
    Http(reqwest::Response),
    File(File),
}

/// How to treat a host that could not be reached before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dead {
    /// Leave it alone: there are others.
    Skip,
    /// Try again: there is nobody else.
    Probe,
}

impl Exchange<'_> {
    /// The next bytes of the body; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        match &mut self.body {
            Body::Http(response) => response.chunk().await.map_err(Failure::of),
            Body::File(file) => {
                let mut block = Vec::with_capacity(BLOCK);
                file.take(BLOCK as u64).read_to_end(&mut block).await.map_err(Failure::File)?;
                Ok((!block.is_empty()).then(|| Bytes::from(block)))
            }
        }
    }
}

impl Net {
    /// Asks for `url` from `offset` on.
    pub(super) async fn exchange(
        &self,
        url: &Url,
        mut headers: HeaderMap,
        offset: u64,
        dead: Dead,
    ) -> Result<Exchange<'_>, Failure> {
        match url.scheme() {
            "file" => return open(url, offset).await,
            "http" | "https" => {}
            _ => return Err(Failure::BadUrl("its scheme is neither http, https nor file")),
        }
        if self.is_offline() {
            return Err(Failure::Offline);
        }
        let client = match self.inner.client.get_or_init(|| client::build(&self.inner.options, &self.inner.roots)) {
            Ok(client) => client,
            Err(reason) => return Err(Failure::Client(reason.clone())),
        };
        if offset > 0 {
            headers.extend(HeaderValue::from_str(&format!("bytes={offset}-")).ok().map(|range| (RANGE, range)));
        }
        // The host's own limit first: whoever waits for a busy host must not hold a place that another host could use.
        let slots = self.inner.hosts.slots(url).acquire_owned().await;
        let jobs = self.inner.jobs.acquire().await;
        let slots = slots.ok().zip(jobs.ok());
        if let Some(reason) = self.inner.hosts.dead(url).filter(|_| dead == Dead::Skip) {
            return Err(Failure::Dead(reason));
        }
        match client.get(url.clone()).headers(headers).send().await {
            Ok(response) => {
                self.inner.hosts.answered(url);
                Ok(Exchange {
                    status: response.status(),
                    headers: response.headers().clone(),
                    length: response.content_length(),
                    body: Body::Http(response),
                    _slots: slots,
                })
            }
            Err(error) => {
                let failure = Failure::of(error);
                if let Failure::Unreachable(error) = &failure {
                    let reason = innermost(error);
                    // Said once for a host and run; whoever then leaves it for the next mirror need not say it again.
                    if self.inner.hosts.unreachable(url, &reason) {
                        self.note(format!("{} cannot be reached: {reason}", host::shown(url)));
                    }
                }
                Err(failure)
            }
        }
    }
}

/// A local file, answering as a server with ranges would.
async fn open(url: &Url, offset: u64) -> Result<Exchange<'static>, Failure> {
    let path = url.to_file_path().map_err(|()| Failure::BadUrl("it names a file on another machine"))?;
    // Asked before opening: opening a pipe would wait for its other end.
    let found = tokio::fs::metadata(&path).await.map_err(Failure::File)?;
    if !found.is_file() {
        return Err(Failure::BadUrl("it is not a regular file"));
    }
    let mut file = File::open(&path).await.map_err(Failure::File)?;
    let size = file.metadata().await.map_err(Failure::File)?.len();
    let mut headers = HeaderMap::new();
    let status = match size.checked_sub(offset) {
        _ if offset == 0 => StatusCode::OK,
        None | Some(0) => StatusCode::RANGE_NOT_SATISFIABLE,
        Some(_) => {
            let range = format!("bytes {offset}-{}/{size}", size - 1);
            headers.extend(HeaderValue::from_str(&range).ok().map(|range| (CONTENT_RANGE, range)));
            StatusCode::PARTIAL_CONTENT
        }
    };
    file.seek(SeekFrom::Start(offset)).await.map_err(Failure::File)?;
    Ok(Exchange { status, headers, length: Some(size.saturating_sub(offset)), body: Body::File(file), _slots: None })
}
