//! What is answered over HTTP.
//!
//! ```text
//! GET  /public/<path>          a file of the depot
//! GET  /files/<path>           a file that machines boot
//! GET  /boot/<machine>         the script by which a known machine boots
//! GET  /secret/<machine>/<f>   a file of its seed, once
//! POST /report/<machine>       how far it is
//! ```
//!
//! There are no listings, and every path is looked up in a table: none is ever joined to a directory.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue,
    IF_NONE_MATCH, IF_RANGE, RANGE,
};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use super::board::Board;
use super::body::{Answered, Ended, Meter};
use super::boot::{BootFiles, Places};
use super::machine::{Machine, Machines};
use super::pace::Pace;
use super::range::{Wanted, wanted};
use super::seeds::{self, Answer, Seeds};
use super::tree::{Depot, Entry};
use crate::digest::Digest;
use crate::node::told::Told;
use crate::report::{Event, Reporter};

/// Most bytes of a report.
const MAX_REPORT: usize = 8 << 10;

/// Everything that answers need.
pub struct Site {
    /// Who is known.
    pub machines: Machines,
    /// What was delivered.
    pub depot: Depot,
    /// What machines boot.
    pub boot: BootFiles,
    /// Who has been given what.
    pub seeds: Seeds,
    /// The live table.
    pub board: Arc<Board>,
    /// How often machines may report.
    pub pace: Pace,
    /// Where seeds are if not where the script is: over TLS.
    pub seed_url: Option<String>,
    /// Who hears of what happens.
    pub reporter: Arc<dyn Reporter>,
}

/// A connection that requests come by.
#[derive(Clone)]
pub struct Way {
    /// Who asks.
    pub peer: IpAddr,
    /// Where it is asked.
    pub local: SocketAddr,
    /// Whether secrets may leave here.
    pub secrets: bool,
    /// Counts what moves.
    pub meter: Meter,
}

impl Site {
    /// Answers one request.
    pub async fn answer(self: &Arc<Self>, way: &Way, request: Request<Incoming>) -> Response<Answered> {
        way.meter.tick();
        let path = decoded(request.uri().path());
        let (first, rest) =
            path.as_deref().and_then(|path| path.strip_prefix('/')?.split_once('/')).unwrap_or_default();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match first {
            "report" if request.method() == Method::POST => self.report(way, rest, request).await,
            "public" | "files" | "boot" | "secret" if !reads => plain(StatusCode::METHOD_NOT_ALLOWED, ""),
            "public" => {
                let delivered = self.depot.now();
                let Some(entry) = delivered.public.get(rest) else { return plain(StatusCode::NOT_FOUND, "") };
                self.file(way, &request, entry, Some(rest))
            }
            "files" => match self.boot.files.get(rest) {
                Some(entry) => self.file(way, &request, entry, None),
                None => plain(StatusCode::NOT_FOUND, ""),
            },
            "boot" => self.script(way, rest),
            "secret" => self.secret(way, rest, *request.method() == Method::HEAD).await,
            _ => plain(StatusCode::NOT_FOUND, ""),
        }
    }

    fn note(&self, text: String) {
        self.reporter.report(Event::Note { text });
    }

    fn warn(&self, text: String) {
        self.reporter.report(Event::Warning { text });
    }

    fn file(
        self: &Arc<Self>,
        way: &Way,
        request: &Request<Incoming>,
        entry: &Entry,
        path: Option<&str>,
    ) -> Response<Answered> {
        let headers = request.headers();
        if headers.get(IF_NONE_MATCH).is_some_and(|tags| names(tags, &entry.etag)) {
            return tagged(plain(StatusCode::NOT_MODIFIED, ""), entry);
        }
        let (status, first, length) = match part(headers, entry) {
            Wanted::Whole => (StatusCode::OK, 0, entry.size),
            Wanted::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
            Wanted::Unsatisfiable => {
                let mut response = tagged(plain(StatusCode::RANGE_NOT_SATISFIABLE, ""), entry);
                set(&mut response, CONTENT_RANGE, format!("bytes */{}", entry.size));
                return response;
            }
        };
        let body = if request.method() == Method::HEAD {
            Answered::bytes("")
        } else {
            match entry.open() {
                Ok(file) => Answered::file(file, first, length, way.meter.clone(), self.watch(way, path)),
                Err(error) => {
                    self.warn(format!("{} cannot be served: {error}", entry.path.display()));
                    return plain(StatusCode::SERVICE_UNAVAILABLE, "");
                }
            }
        };
        let mut response = tagged(Response::new(body), entry);
        *response.status_mut() = status;
        if status == StatusCode::PARTIAL_CONTENT {
            set(&mut response, CONTENT_RANGE, format!("bytes {first}-{}/{}", first + length - 1, entry.size));
        }
        set(&mut response, CONTENT_LENGTH, length.to_string());
        response
    }

    /// Puts on the board what a node fetches from its own address.
    fn watch(self: &Arc<Self>, way: &Way, path: Option<&str>) -> Option<Ended> {
        let node = self.machines.at(way.peer)?.name.clone();
        let (board, path) = (Arc::clone(&self.board), path?.to_owned());
        Some(Box::new(move |sent| board.note(&node, |row, _| row.fetched = Some((path, sent)))))
    }

    fn script(&self, way: &Way, key: &str) -> Response<Answered> {
        let Some(machine) = self.machines.named(key) else { return self.stranger(way, key) };
        let here = format!("http://{}", way.local);
        let files = format!("{here}/files");
        let seeds = self.seed_url.clone().unwrap_or_else(|| format!("{here}/secret"));
        let Some(script) = self.boot.script(machine, &Places { files: &files, seeds: &seeds }) else {
            self.warn(format!("{} wants to boot, and there is no kernel for it", machine.name));
            return plain(StatusCode::NOT_FOUND, "");
        };
        self.note(format!("{} boots ({})", machine.name, way.peer));
        self.board.note(&machine.name, |row, now| row.boot = Some(now));
        plain(StatusCode::OK, &script)
    }

    async fn secret(&self, way: &Way, rest: &str, peek: bool) -> Response<Answered> {
        if !way.secrets {
            return plain(StatusCode::NOT_FOUND, "");
        }
        let Some((key, name)) = rest.split_once('/') else { return plain(StatusCode::NOT_FOUND, "") };
        let Some(Machine { name: node, .. }) = self.machines.named(key) else { return self.stranger(way, key) };
        match self.seeds.file(&self.depot.now(), node, name, way.peer, peek).await {
            Answer::None => plain(StatusCode::NOT_FOUND, ""),
            Answer::Gone => {
                self.warn(format!("{} asks for the {name} of {node}, which was handed out before", way.peer));
                self.board.note(node, |row, _| row.refused = row.refused.saturating_add(1));
                plain(StatusCode::GONE, "handed out before\n")
            }
            Answer::Failed(reason) => {
                self.warn(format!("the {name} of {node} is not handed out: {reason}"));
                plain(StatusCode::SERVICE_UNAVAILABLE, "")
            }
            Answer::Bytes(bytes) => {
                if !peek && name == "user-data" {
                    self.note(format!("{node} has its seed ({})", way.peer));
                    self.board.note(node, |row, now| row.seed = Some((now, way.peer)));
                }
                let length = bytes.len();
                let mut response = Response::new(if peek { Answered::bytes("") } else { Answered::bytes(bytes) });
                set(&mut response, CONTENT_LENGTH, length.to_string());
                private(response)
            }
        }
    }

    async fn report(&self, way: &Way, key: &str, request: Request<Incoming>) -> Response<Answered> {
        let Some(Machine { name: node, .. }) = self.machines.named(key) else {
            return plain(StatusCode::NOT_FOUND, "");
        };
        let token = request.headers().get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let expected = seeds::proof(&self.depot.now(), node);
        // Digests are compared, so that the time this takes says nothing of the token.
        if expected.is_none() || token.map(Digest::of) != expected {
            self.note(format!("{} reports for {node} without its token and is not heard", way.peer));
            return plain(StatusCode::FORBIDDEN, "");
        }
        if !self.pace.allows(node, Instant::now()) {
            return plain(StatusCode::TOO_MANY_REQUESTS, "");
        }
        let Ok(body) = Limited::new(request.into_body(), MAX_REPORT).collect().await else {
            return plain(StatusCode::PAYLOAD_TOO_LARGE, "");
        };
        let Some(told) = Told::read(&body.to_bytes()) else {
            return plain(StatusCode::BAD_REQUEST, "");
        };
        let told = told.shown();
        self.board.note(node, |row, now| row.told = Some((now, told)));
        plain(StatusCode::NO_CONTENT, "")
    }

    /// Nobody learns from the answer whether it was the machine or the file that is unknown.
    fn stranger(&self, way: &Way, key: &str) -> Response<Answered> {
        let key: String = key.chars().filter(|c| !c.is_control()).take(64).collect();
        self.note(format!("{} asks for the unknown machine {key:?} and gets nothing", way.peer));
        plain(StatusCode::NOT_FOUND, "")
    }
}

/// What of the file is asked for; with `If-Range`, a part only of the very same file.
fn part(headers: &HeaderMap, entry: &Entry) -> Wanted {
    let is_same = headers.get(IF_RANGE).is_none_or(|tag| tag.as_bytes() == entry.etag.as_bytes());
    match headers.get(RANGE) {
        Some(range) if is_same => wanted(range.as_bytes(), entry.size),
        _ => Wanted::Whole,
    }
}

/// Whether a list of entity tags has this one (RFC 9110 §13.1.2: weak comparison).
fn names(tags: &HeaderValue, etag: &str) -> bool {
    let Ok(tags) = tags.to_str() else { return false };
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn tagged(mut response: Response<Answered>, entry: &Entry) -> Response<Answered> {
    set(&mut response, ETAG, entry.etag.clone());
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}

/// Nobody on the way may keep it.
fn private(mut response: Response<Answered>) -> Response<Answered> {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn plain(status: StatusCode, text: &str) -> Response<Answered> {
    let mut response = Response::new(Answered::bytes(text.to_owned()));
    *response.status_mut() = status;
    private(response)
}

fn set(response: &mut Response<Answered>, name: hyper::header::HeaderName, value: String) {
    // Digits, hex and quotes: always a header's value.
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().insert(name, value);
    }
}

/// The path without `%XX`; `None` where that is no text.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (code, after) = rest.split_at_checked(2)?;
        rest = after;
        bytes.extend(hex::decode(code).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once_or_not_at_all() {
        assert_eq!(decoded("/secret/52%3a54:00/user-data").as_deref(), Some("/secret/52:54:00/user-data"));
        assert_eq!(decoded("/public/%252e%252e").as_deref(), Some("/public/%2e%2e"));
        for bad in ["/%", "/%4", "/%zz", "/%ff"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }
}
