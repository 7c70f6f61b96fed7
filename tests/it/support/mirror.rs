//! A real HTTP server on a free port of 127.0.0.1 with ranges and validators, that logs every request. Only its faults are ours.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use khimg::digest::Digest;
use tokio::runtime::Runtime;

pub use super::fault::Fault;
use super::fault::Kind;

const BLOCK: usize = 16 << 10;

/// A running mirror; it stops when it is dropped.
pub struct Mirror {
    url: String,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

/// One request as the mirror saw it.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Decoded path without its first slash.
    pub path: String,
    pub headers: HeaderMap,
    /// What was answered; 0 for none.
    pub status: u16,
    sent: Arc<AtomicU64>,
}

impl Hit {
    /// Bytes of the body that went out.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

#[derive(Default)]
struct Shared {
    root: Option<PathBuf>,
    files: Mutex<BTreeMap<String, Bytes>>,
    faults: Mutex<BTreeMap<String, VecDeque<Fault>>>,
    log: Mutex<Vec<Hit>>,
    /// Requests that wait for their answer now, and the most at any time.
    waiting: (AtomicU64, AtomicU64),
}

impl Mirror {
    /// An empty one; see [`Mirror::put`].
    pub fn start() -> Self {
        Self::run(Shared::default())
    }

    /// One that serves the files below a directory, and whatever is put beside them.
    pub fn serving(root: &Path) -> Self {
        Self::run(Shared { root: Some(root.to_path_buf()), ..Shared::default() })
    }

    fn run(shared: Shared) -> Self {
        let shared = Arc::new(shared);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let app = Router::new().fallback(answer).with_state(shared.clone());
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { url, shared, runtime: Some(runtime) }
    }

    /// `http://127.0.0.1:<port>`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) -> &Self {
        self.shared.files.lock().expect("lock").insert(path.to_owned(), Bytes::from(bytes.into()));
        self
    }

    /// Gives a path one more fault. Several come one after the other, each as often as it says.
    pub fn fault(&self, path: &str, fault: Fault) -> &Self {
        self.shared.faults.lock().expect("lock").entry(path.to_owned()).or_default().push_back(fault);
        self
    }

    /// Takes all faults of all paths away.
    pub fn repair(&self) -> &Self {
        self.shared.faults.lock().expect("lock").clear();
        self
    }

    /// Every request so far.
    pub fn log(&self) -> Vec<Hit> {
        self.shared.log.lock().expect("lock").clone()
    }

    /// The requests of one path.
    pub fn hits(&self, path: &str) -> Vec<Hit> {
        self.log().into_iter().filter(|hit| hit.path == path).collect()
    }

    /// The most requests that waited for their answer at once.
    pub fn most_at_once(&self) -> u64 {
        self.shared.waiting.1.load(Ordering::SeqCst)
    }

    /// Bytes of bodies that went out for one path.
    pub fn sent(&self, path: &str) -> u64 {
        self.hits(path).iter().map(Hit::sent).sum()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // Some faults never end.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn content(&self, path: &str) -> Option<Bytes> {
        if let Some(bytes) = self.files.lock().expect("lock").get(path) {
            return Some(bytes.clone());
        }
        let below = self.root.as_ref()?.join(path);
        (!path.split('/').any(|part| part == "..") && below.is_file())
            .then(|| std::fs::read(below).ok())?
            .map(Bytes::from)
    }

    fn next_fault(&self, path: &str) -> Option<Kind> {
        let mut faults = self.faults.lock().expect("lock");
        let queue = faults.get_mut(path)?;
        while let Some(fault) = queue.front_mut() {
            match &mut fault.times {
                None => return Some(fault.kind.clone()),
                Some(0) => drop(queue.pop_front()),
                Some(left) => {
                    *left -= 1;
                    return Some(fault.kind.clone());
                }
            }
        }
        None
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (request, _) = request.into_parts();
    let path = decoded(request.uri.path().trim_start_matches('/'));
    let sent = Arc::new(AtomicU64::new(0));
    let hit = Hit { path: path.clone(), headers: request.headers.clone(), status: 0, sent: sent.clone() };
    let index = {
        let mut log = shared.log.lock().expect("lock");
        log.push(hit);
        log.len() - 1
    };
    let waiting = shared.waiting.0.fetch_add(1, Ordering::SeqCst) + 1;
    shared.waiting.1.fetch_max(waiting, Ordering::SeqCst);
    let response = respond(&shared, &path, &request, sent).await;
    shared.waiting.0.fetch_sub(1, Ordering::SeqCst);
    shared.log.lock().expect("lock")[index].status = response.status().as_u16();
    response
}

async fn respond(shared: &Shared, path: &str, request: &Parts, sent: Arc<AtomicU64>) -> Response {
    let fault = shared.next_fault(path);
    match &fault {
        Some(Kind::Status { status, retry_after }) => {
            let mut response = StatusCode::from_u16(*status).expect("status").into_response();
            if let Some(text) = retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, text.parse().expect("header"));
            }
            return response;
        }
        Some(Kind::EndlessRedirect) => {
            let step: u32 = request.uri.query().and_then(|query| query.parse().ok()).unwrap_or(0);
            return (StatusCode::FOUND, [(header::LOCATION, format!("?{}", step + 1))]).into_response();
        }
        Some(Kind::Redirect(to)) => return (StatusCode::FOUND, [(header::LOCATION, to.clone())]).into_response(),
        Some(Kind::HangHeaders) => std::future::pending().await,
        Some(Kind::SlowHeaders) => tokio::time::sleep(Duration::from_millis(100)).await,
        _ => {}
    }
    let Some(mut whole) = shared.content(path) else { return StatusCode::NOT_FOUND.into_response() };
    match &fault {
        Some(Kind::Instead(other) | Kind::Older(other)) => whole = Bytes::from(other.clone()),
        Some(Kind::Shorter) => whole = whole.slice(..whole.len().saturating_sub(1)),
        Some(Kind::TooLong) => whole = [&whole[..], b"and more"].concat().into(),
        Some(Kind::WrongBytes) => {
            let mut bytes = whole.to_vec();
            bytes.last_mut().into_iter().for_each(|byte| *byte ^= 1);
            whole = bytes.into();
        }
        _ => {}
    }
    let etag = format!("\"{}\"", Digest::of(&whole).short());
    let range = match fault {
        Some(Kind::IgnoresRange | Kind::Unannounced) => None,
        _ => asked_from(&request.headers, &etag),
    };
    let (status, first) = match range {
        Some(first) if first >= whole.len() => return StatusCode::RANGE_NOT_SATISFIABLE.into_response(),
        Some(first) => (StatusCode::PARTIAL_CONTENT, first),
        None => (StatusCode::OK, 0),
    };
    let body = whole.slice(first..);
    let mut response =
        Response::builder().status(status).header(header::ETAG, etag).header(header::ACCEPT_RANGES, "bytes");
    if !matches!(fault, Some(Kind::Unannounced)) {
        response = response.header(header::CONTENT_LENGTH, body.len());
    }
    if status == StatusCode::PARTIAL_CONTENT {
        let shift = usize::from(matches!(fault, Some(Kind::WrongContentRange)));
        let range = format!("bytes {}-{}/{}", first - shift, whole.len() - 1 - shift, whole.len());
        response = response.header(header::CONTENT_RANGE, range);
    }
    let until = match fault {
        Some(Kind::Cut(bytes)) => bytes.min(body.len()),
        Some(Kind::CutHalf | Kind::Older(_)) => body.len() / 2,
        _ => body.len(),
    };
    let slow = matches!(fault, Some(Kind::Slow));
    response.body(streamed(body, until, slow, sent)).expect("response")
}

/// The first `until` bytes of `body`, then the end of the connection if more was announced.
fn streamed(body: Bytes, until: usize, slow: bool, sent: Arc<AtomicU64>) -> Body {
    let step = if slow { 64 } else { BLOCK };
    Body::from_stream(stream::unfold(0, move |at| {
        let (body, sent) = (body.clone(), sent.clone());
        async move {
            if slow && at > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // Lets the server write what it has, so that a cut loses only what comes after it.
            tokio::task::yield_now().await;
            if at >= until {
                return (until < body.len()).then(|| (Err(io::Error::other("cut")), at));
            }
            let end = (at + step).min(until);
            sent.fetch_add((end - at) as u64, Ordering::SeqCst);
            Some((Ok(body.slice(at..end)), end))
        }
    }))
}

/// The offset of `Range: bytes=<offset>-`, unless `If-Range` says that it no longer holds.
fn asked_from(headers: &HeaderMap, etag: &str) -> Option<usize> {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|expected| expected != etag) {
        return None;
    }
    text(header::RANGE)?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail.get(..2).and_then(|digits| hex::decode(digits).ok())) {
            (b'%', Some(byte)) => {
                bytes.extend(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).expect("utf-8 path")
}
