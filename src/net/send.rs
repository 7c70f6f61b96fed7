//! Bytes outwards: one request with a body, tried once. Whoever sends knows what may be sent again.

use std::io::SeekFrom;
use std::path::PathBuf;

use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use url::Url;

use super::error::innermost;
use super::read::Response;
use super::{Failure, Net, NetError, client};

/// Bytes that are read from a file at once.
const BLOCK: usize = 256 << 10;

/// A request that is not a GET.
#[derive(Debug, Clone)]
pub struct Message {
    /// `HEAD`, `POST` or `PUT`.
    pub method: Method,
    /// To what.
    pub url: Url,
    /// Headers beside the usual ones; values that are credentials should be marked sensitive.
    pub headers: HeaderMap,
    /// What is sent.
    pub body: Body,
    /// The most bytes that the answer's body may have.
    pub limit: u64,
}

/// What is sent.
#[derive(Debug, Clone)]
pub enum Body {
    /// Nothing.
    Empty,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A stretch of a file.
    File {
        /// The file.
        path: PathBuf,
        /// Where it begins.
        offset: u64,
        /// Its bytes.
        size: u64,
    },
}

impl Net {
    /// Sends `message` and gives back the answer, whatever its status. Redirects are not followed with a body.
    ///
    /// # Errors
    /// No answer; more than `limit` bytes; a file that cannot be read; offline.
    pub async fn send(&self, message: Message) -> Result<Response, NetError> {
        let url = message.url.clone();
        self.sent(message).await.map_err(|failure| self.url_error(&url, failure))
    }

    async fn sent(&self, message: Message) -> Result<Response, Failure> {
        if !matches!(message.url.scheme(), "http" | "https") {
            return Err(Failure::BadUrl("its scheme is neither http nor https"));
        }
        if self.is_offline() {
            return Err(Failure::Offline);
        }
        let client = match self.inner.client.get_or_init(|| client::build(&self.inner.options, &self.inner.roots)) {
            Ok(client) => client,
            Err(reason) => return Err(Failure::Client(reason.clone())),
        };
        let mut request = client.request(message.method, message.url.clone()).headers(message.headers);
        request = match message.body {
            Body::Empty => request.header(CONTENT_LENGTH, HeaderValue::from_static("0")),
            Body::Bytes(bytes) => request.body(bytes),
            Body::File { path, offset, size } => {
                let mut file = File::open(path).await.map_err(Failure::File)?;
                file.seek(SeekFrom::Start(offset)).await.map_err(Failure::File)?;
                request.header(CONTENT_LENGTH, size).body(reqwest::Body::wrap_stream(stretch(file.take(size))))
            }
        };
        let slots = self.inner.hosts.slots(&message.url).acquire_owned().await;
        let jobs = self.inner.jobs.acquire().await;
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                let failure = Failure::of(error);
                if let Failure::Unreachable(error) = &failure {
                    self.inner.hosts.unreachable(&message.url, &innermost(error));
                }
                return Err(failure);
            }
        };
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(Failure::of)? {
            if (body.len() + chunk.len()) as u64 > message.limit {
                return Err(Failure::TooLong { limit: message.limit });
            }
            body.extend_from_slice(&chunk);
        }
        drop((slots, jobs));
        Ok(Response { status: response.status(), headers: response.headers().clone(), body })
    }
}

/// The bytes of `file` in blocks.
fn stretch(
    file: impl tokio::io::AsyncRead + Unpin + Send + 'static,
) -> impl futures_util::Stream<Item = std::io::Result<Vec<u8>>> + Send + 'static {
    futures_util::stream::try_unfold(file, async |mut file| {
        let mut block = vec![0; BLOCK];
        let read = file.read(&mut block).await?;
        block.truncate(read);
        Ok((read > 0).then_some((block, file)))
    })
}
