//! The table as a small web page and as JSON, on an address of its own: it names nodes, which not everybody has to know.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;

use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::board::Board;
use super::body::Answered;

/// Styles stand in the page; nothing is loaded, nothing is run.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5>\
<title>khimg serve</title><style>body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}\
td,th{text-align:left;padding:.3em .8em;border-bottom:1px solid #ccc}.ready{color:#060}.failed{color:#a00}</style>\
<table><tr><th>node<th>role<th>boot<th>seed<th>fetched<th>status";

/// Answers `/` and `/status.json`.
pub fn answer<B>(board: &Arc<Board>, request: &Request<B>) -> Result<Response<Answered>, Infallible> {
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/") => (StatusCode::OK, "text/html; charset=utf-8", html(board)),
        (&Method::GET | &Method::HEAD, "/status.json") => {
            (StatusCode::OK, "application/json", serde_json::to_string(&board.now()).unwrap_or_default())
        }
        (&Method::GET | &Method::HEAD, _) => (StatusCode::NOT_FOUND, "text/plain", String::new()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", String::new()),
    };
    let mut response = Response::new(Answered::bytes(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}

fn html(board: &Board) -> String {
    let mut text = HEAD.to_owned();
    for row in board.now() {
        let class = row.told.as_ref().map_or("", |(_, told)| told.condition.name());
        // A text in memory takes all that is written.
        let _written = write!(text, "<tr class={class:?}><td>{}<td>{}", escape(&row.node), row.role.name());
        for cell in row.cells() {
            let _written = write!(text, "<td>{}", escape(&cell));
        }
    }
    text + "</table></html>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_that_a_node_says_becomes_markup() {
        assert_eq!(super::escape("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
