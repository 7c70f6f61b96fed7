//! Stands in front of a real registry and spoils its answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Response, StatusCode, header};

use super::tokens::SERVICE;

/// One way to be wrong.
#[derive(Clone)]
pub enum Fault {
    /// None: passes everything on.
    None,
    /// Asks for a token for ever.
    UnauthorizedForever {
        /// Where it sends its clients for one.
        realm: String,
    },
    /// Has nothing.
    NotFound,
    /// One byte of every blob is different.
    WrongBlob,
    /// Every blob ends after its first half, and the length says so.
    HalfBlob,
    /// The connection breaks after half of every blob.
    DroppedBlob,
    /// One byte of every manifest is different.
    WrongManifest,
    /// Manifests have another `Content-Type`.
    ManifestType(&'static str),
    /// Every manifest that is asked for by its tag is this.
    Manifest(&'static str, Vec<u8>),
    /// Manifests go on for ever.
    EndlessManifest,
    /// Blobs lie elsewhere, as on registries that keep them in an object store.
    RedirectedBlobs {
        /// The address in front of the path.
        to: String,
    },
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
}

/// A running proxy.
pub struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Proxy {
    /// Starts one in front of `upstream`, `http://host:port`.
    pub async fn start(upstream: &str, fault: Fault) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let app = Router::new().fallback({
            let (seen, upstream) = (Arc::clone(&seen), upstream.to_owned());
            move |request: Request| {
                let path = request.uri().path().to_owned();
                seen.lock().expect("not poisoned").push(Seen { path, headers: request.headers().clone() });
                answer(request, upstream.clone(), fault.clone())
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, seen }
    }

    /// The base of a mirror: `http://127.0.0.1:port`.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("not poisoned").clone()
    }

    /// How many requests for blobs came so far.
    pub fn blobs(&self) -> usize {
        self.seen().iter().filter(|seen| seen.path.contains("/blobs/")).count()
    }
}

async fn answer(request: Request, upstream: String, fault: Fault) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let (blob, manifest) = (path.contains("/blobs/"), path.contains("/manifests/"));
    let plain = |status: StatusCode| Response::builder().status(status);
    match &fault {
        Fault::UnauthorizedForever { realm } => {
            let challenge = format!("Bearer realm=\"{realm}\",service=\"{SERVICE}\"");
            return plain(StatusCode::UNAUTHORIZED)
                .header("www-authenticate", challenge)
                .body(Body::empty())
                .expect("valid");
        }
        Fault::NotFound => return plain(StatusCode::NOT_FOUND).body(Body::empty()).expect("valid"),
        Fault::RedirectedBlobs { to } if blob => {
            let place = format!("{to}{path}");
            return plain(StatusCode::TEMPORARY_REDIRECT)
                .header(header::LOCATION, place)
                .body(Body::empty())
                .expect("valid");
        }
        Fault::Manifest(media_type, bytes) if manifest && !path.contains("sha256:") => {
            let answer = plain(StatusCode::OK).header(header::CONTENT_TYPE, *media_type);
            return answer.body(Body::from(bytes.clone())).expect("valid");
        }
        Fault::EndlessManifest if manifest => {
            let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1 << 16]));
            return plain(StatusCode::OK).body(Body::from_stream(endless)).expect("valid");
        }
        _ => {}
    }
    let mut headers = request.headers().clone();
    headers.remove(header::HOST);
    let forwarded =
        reqwest::Client::new().get(format!("{upstream}{path}")).headers(headers).send().await.expect("an answer");
    let mut response = Response::builder().status(forwarded.status());
    for (name, value) in forwarded.headers() {
        let ours = match name.as_str() {
            "content-length" | "transfer-encoding" | "connection" => continue,
            "content-type" if manifest => match &fault {
                Fault::ManifestType(other) => other.parse().expect("a value"),
                _ => value.clone(),
            },
            _ => value.clone(),
        };
        response = response.header(name, ours);
    }
    let mut bytes = forwarded.bytes().await.expect("a body").to_vec();
    let half = bytes.len() / 2;
    match &fault {
        Fault::WrongBlob if blob => bytes[half] ^= 1,
        Fault::WrongManifest if manifest => bytes[half] ^= 1,
        Fault::HalfBlob if blob => bytes.truncate(half),
        Fault::DroppedBlob if blob => {
            response = response.header(header::CONTENT_LENGTH, bytes.len());
            bytes.truncate(half);
            let pieces = [Ok(bytes), Err(std::io::Error::other("dropped"))];
            return response.body(Body::from_stream(futures_util::stream::iter(pieces))).expect("valid");
        }
        _ => {}
    }
    response.body(Body::from(bytes)).expect("valid")
}
