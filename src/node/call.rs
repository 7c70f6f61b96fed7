//! HTTPS calls to the servers of one cluster: only its own authority counts, a client certificate says who asks, and no
//! answer may take longer or be larger than its call allows. Proxies and the system's authorities play no part.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, ClientBuilder, Method, Response, StatusCode, Url};
use serde_json::Value;

use crate::exit::{Exit, Explain};
use crate::input;
use crate::secrets::Secret;

/// Largest file of certificates or keys, in bytes.
const MAX_PEM: u64 = 1 << 20;

/// How long a connection may take to come about. Nodes of a cluster are near each other.
const CONNECT: Duration = Duration::from_secs(2);

/// How long a stream may stay silent.
const SILENCE: Duration = Duration::from_secs(30);

/// How much of a server's reason an error repeats, in characters.
const KEPT: usize = 500;

/// Who may answer, and who asks.
#[derive(Debug, Clone)]
pub struct Credentials {
    ca: Vec<u8>,
    /// Certificate and key, one after the other.
    client: Option<Secret<Vec<u8>>>,
}

impl Credentials {
    /// From PEM text: certificates of the only authority that counts, and the client's certificate with its key. Without
    /// those, who asks is nobody.
    pub fn new(ca: &[u8], client: Option<(&[u8], &Secret<Vec<u8>>)>) -> Self {
        let client =
            client.map(|(certificate, key)| Secret::new([certificate, b"\n", key.expose().as_slice()].concat()));
        Self { ca: ca.to_vec(), client }
    }

    /// From PEM files: the authority, and the client's certificate and key.
    ///
    /// # Errors
    /// A file that cannot be read, or has more than a megabyte.
    pub fn from_files(ca: &Path, client: Option<(&Path, &Path)>) -> Result<Self, CallError> {
        let ca = pem(ca)?;
        let Some((certificate, key)) = client else { return Ok(Self::new(&ca, None)) };
        Ok(Self::new(&ca, Some((&pem(certificate)?, &Secret::new(pem(key)?)))))
    }
}

/// The bytes of a PEM file.
pub(super) fn pem(path: &Path) -> Result<Vec<u8>, CallError> {
    input::read(path, MAX_PEM).map_err(|source| CallError::Credentials { path: path.to_owned(), source })
}

/// Why a server of the cluster gave no useful answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// A certificate, a key or a kubeconfig cannot be read.
    #[error("cannot read the credentials {}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A kubeconfig is not one.
    #[error("{} is no kubeconfig: {reason}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificates and key do not make a client.
    #[error("the certificates and the key for calls to the cluster cannot be used")]
    Client {
        /// The library's reason.
        source: reqwest::Error,
    },
    /// No connection, no trust, or no answer in time.
    #[error("no answer from {url}")]
    Silent {
        /// What was called.
        url: Url,
        /// Why.
        source: reqwest::Error,
    },
    /// The server said no.
    #[error("{url} answered {status}: {message}")]
    Refused {
        /// What was called.
        url: Url,
        /// Its status.
        status: StatusCode,
        /// Its reason.
        message: String,
    },
    /// The answer makes no sense.
    #[error("the answer of {url} cannot be used: {reason}")]
    Answer {
        /// What was called.
        url: Url,
        /// What is wrong with it.
        reason: String,
    },
    /// There is nobody to ask.
    #[error("no {server} is known to ask")]
    Nobody {
        /// What kind of server.
        server: &'static str,
    },
}

impl CallError {
    /// Whether the call cannot have reached the server, so that another one may be asked instead whatever the call does.
    pub fn never_sent(&self) -> bool {
        matches!(self, Self::Silent { source, .. } if source.is_connect())
    }
}

impl Explain for CallError {
    fn exit(&self) -> Exit {
        match self {
            Self::Credentials { .. } => Exit::LocalIo,
            Self::Kubeconfig { .. } | Self::Client { .. } | Self::Nobody { .. } => Exit::BadInput,
            Self::Silent { .. } | Self::Refused { .. } => Exit::Network,
            Self::Answer { .. } => Exit::Verification,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Credentials { .. } => Some("run this as root on a master of the cluster".to_owned()),
            Self::Silent { .. } => Some("see on that node whether its server runs: `khimg node status`".to_owned()),
            _ => None,
        }
    }
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body<'a> {
    /// Its media type.
    pub(super) media: &'static str,
    /// The document.
    pub(super) json: &'a Value,
}

/// A client that speaks to the address that it is given and to nobody else: no proxy, no redirection, nothing asked twice.
pub(super) fn direct() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("khimg/", env!("CARGO_PKG_VERSION")))
        // etcd 3.4 offers HTTP/2 at the address where members ask each other, and does not speak it there.
        .http1_only()
        .no_proxy()
        .referer(false)
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none())
}

/// A client with the cluster's credentials. Keeps connections.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    client: Client,
}

impl Caller {
    pub(super) fn new(credentials: &Credentials) -> Result<Self, CallError> {
        let built = || {
            let builder = direct()
                .https_only(true)
                .connect_timeout(CONNECT)
                .read_timeout(SILENCE)
                .tls_certs_only(reqwest::Certificate::from_pem_bundle(&credentials.ca)?);
            match &credentials.client {
                Some(client) => builder.identity(reqwest::Identity::from_pem(client.expose())?).build(),
                None => builder.build(),
            }
        };
        built().map(|client| Self { client }).map_err(|source| CallError::Client { source })
    }

    /// Calls `url`, which must answer within `time` and with at most `limit` bytes. Any status is an answer.
    pub(super) async fn call(
        &self,
        method: Method,
        url: &Url,
        body: Option<Body<'_>>,
        time: Duration,
        limit: usize,
    ) -> Result<(StatusCode, Vec<u8>), CallError> {
        let mut answer = self.send(method, url, body, Some(time)).await?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(silent(url))? {
            if bytes.len() + chunk.len() > limit {
                return Err(CallError::Answer { url: url.clone(), reason: format!("it has more than {limit} bytes") });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((status, bytes))
    }

    /// Calls `url` and leaves the body to be read. `time` is for everything, the body as well; without it, only silence
    /// ends a body.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &Url,
        body: Option<Body<'_>>,
        time: Option<Duration>,
    ) -> Result<Response, CallError> {
        let mut request = self.client.request(method, url.clone());
        if let Some(time) = time {
            request = request.timeout(time);
        }
        if let Some(Body { media, json }) = body {
            request = request.header(CONTENT_TYPE, media).body(json.to_string());
        }
        request.send().await.map_err(silent(url))
    }
}

/// No answer from `url`, and why.
pub(super) fn silent(url: &Url) -> impl Fn(reqwest::Error) -> CallError + use<> {
    let url = url.clone();
    // The error names the URL once more otherwise.
    move |source| CallError::Silent { url: url.clone(), source: source.without_url() }
}

/// The server's `no`: the message of its JSON, or else the beginning of its text.
pub(super) fn refused(url: &Url, status: StatusCode, body: &[u8]) -> CallError {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let told = json.as_ref().and_then(|json| json.get("message").or_else(|| json.get("error"))).and_then(Value::as_str);
    let text = told.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    let message = text.chars().filter(|letter| !letter.is_control()).take(KEPT).collect();
    CallError::Refused { url: url.clone(), status, message }
}

/// The document that `url` answered.
pub(super) fn parsed<T: serde::de::DeserializeOwned>(url: &Url, bytes: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(bytes).map_err(|error| CallError::Answer { url: url.clone(), reason: error.to_string() })
}
