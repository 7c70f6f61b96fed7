//! Small requests: limits, retries, what is sent and what is kept secret.

use std::sync::Arc;

use khimg::exit::Explain;
use khimg::net::{Authorization, Net, NetError, NetOptions, Request, Source};
use khimg::report::Silent;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use super::{Bench, PATH, impatient, mirror_with, told, url, wanted};
use crate::support::mirror::{Fault, Mirror};

#[test]
fn reads_and_tries_again_and_gives_up() {
    let mirror = Mirror::start();
    mirror.put("a", "content").put("b", "content").put("c", "content").put("d", "content").put("e", "content");
    mirror.fault("b", Fault::unavailable_once()).fault("c", Fault::unavailable()).fault("d", Fault::dropped_midway());
    mirror.fault("e", Fault::hang_headers());
    let bench = Bench::new();
    let read = |path: &str, limit| {
        let result = bench.runtime.block_on(bench.net.read(&url(&format!("{}/{path}", mirror.url())), limit));
        result.map(|bytes| String::from_utf8(bytes).expect("text")).map_err(|error| {
            let cause = std::error::Error::source(&error).expect("a cause").to_string();
            (error.exit() as u8, cause, mirror.hits(path).len())
        })
    };
    assert_eq!(read("a", 7), Ok("content".to_owned()));
    assert_eq!(read("a", 6), Err((6, "has more than the 6 bytes that it may have".to_owned(), 2)));
    assert_eq!(read("b", 7), Ok("content".to_owned()));
    assert_eq!(read("c", 7), Err((5, "answers 503 Service Unavailable".to_owned(), 3)));
    assert_eq!(read("d", 7), Ok("content".to_owned()));
    assert_eq!(read("e", 7), Err((5, "was silent for too long".to_owned(), 3)));
    assert_eq!(read("none", 7), Err((5, "answers 404 Not Found".to_owned(), 1)));
}

#[test]
fn gives_registries_any_answer() {
    let mirror = Mirror::start();
    mirror.fault("v2/", Fault::status(401)).fault("v2/busy", Fault::status(503));
    let bench = Bench::new();
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static("application/vnd.oci.image.index.v1+json"));
    let get = |path: &str| {
        let request = Request { url: url(&format!("{}/{path}", mirror.url())), headers: headers.clone(), limit: 100 };
        bench.runtime.block_on(bench.net.get(&request)).expect("an answer").status.as_u16()
    };
    assert_eq!((get("v2/"), get("v2/busy")), (401, 503));
    assert_eq!((mirror.hits("v2/").len(), mirror.hits("v2/busy").len()), (1, 3));
    let hit = &mirror.hits("v2/")[0];
    assert_eq!(hit.header("accept"), Some("application/vnd.oci.image.index.v1+json"));
    assert_eq!(hit.header("accept-encoding"), Some("identity"));
    assert!(hit.header("user-agent").expect("a name").starts_with("khimg/"));
}

#[test]
fn credentials_are_sent_and_never_shown() {
    let content = b"content";
    let mirror = mirror_with(content);
    mirror.fault(PATH, Fault::status(503).times(1)).fault(PATH, Fault::status(403).times(1));
    let bench = Bench::new();
    let mut download = wanted(content, &[&mirror]);
    let source = &mut download.origins[0];
    source.url.set_query(Some("signature=hunter2"));
    source.authorization = Some(Authorization::new("Bearer hunter2"));
    assert!(!format!("{download:?}").contains("Bearer"));
    let error = bench.download(&download).expect_err("forbidden");
    assert!(!format!("{error} {error:?} {}", bench.notes()).contains("hunter2"), "{error:?}");
    bench.download(&download).expect("served");
    assert_eq!(mirror.hits(PATH)[0].header("authorization"), Some("Bearer hunter2"));

    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Basic aHVudGVyMg=="));
    let request = Request { url: url("http://me:hunter2@nowhere.invalid/?a=hunter2"), headers, limit: 1 };
    let error = bench.runtime.block_on(bench.net.get(&request)).expect_err("no such host");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn another_host_never_gets_the_credentials() {
    let content = b"content";
    let (first, second) = (mirror_with(content), mirror_with(content));
    // localhost and 127.0.0.1 are two hosts to a client.
    first.fault(PATH, Fault::redirect(format!("{}/{PATH}", second.url().replace("127.0.0.1", "localhost"))));
    let mut download = wanted(content, &[&first]);
    download.origins[0].authorization = Some(Authorization::new("Bearer hunter2"));
    Bench::new().download(&download).expect("served");
    assert_eq!(second.hits(PATH)[0].header("authorization"), None);
}

#[test]
fn offline_opens_no_socket() {
    let content = b"content";
    let mirror = mirror_with(content);
    let bench = Bench::with(NetOptions { offline: true, ..impatient() });
    let error = bench.download(&wanted(content, &[&mirror])).expect_err("offline");
    assert!(matches!(error, NetError::Offline { .. }), "{error:?}");
    assert_eq!(told(&error).0, 5);
    assert!(error.hint().expect("a remedy").contains("khimg fetch"));
    let read = bench.runtime.block_on(bench.net.read(&url(mirror.url()), 10)).expect_err("offline");
    assert!(matches!(read, NetError::Offline { .. }), "{read:?}");
    bench.store.insert_bytes(content).expect("stored");
    bench.download(&wanted(content, &[&mirror])).expect("in the store");
    assert_eq!(mirror.log().len(), 0);
}

#[test]
fn a_proxy_sees_every_request() {
    let content = b"content";
    let proxy = mirror_with(content);
    let bench = Bench::with(NetOptions { proxy: khimg::net::Proxy::Url(url(proxy.url())), ..impatient() });
    let mut download = wanted(content, &[]);
    let origin = khimg::net::address::join("http://nowhere.invalid/", PATH).expect("a URL");
    download.origins.push(Source { mirror: "far".to_owned(), url: origin, authorization: None });
    bench.download(&download).expect("served by the proxy");
    assert_eq!(proxy.hits(PATH)[0].header("host"), Some("nowhere.invalid"));
}

#[test]
fn a_bad_ca_file_is_told_before_anything_else() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("ca.pem");
    let open = || {
        let error = Net::new(NetOptions { ca_file: Some(path.clone()), ..impatient() }, Arc::new(Silent)).err();
        told(&error.expect("refused"))
    };
    assert_eq!(open().0, 2);
    std::fs::write(&path, "no certificate").expect("written");
    assert!(open().1.contains("it holds no certificate"), "{}", open().1);
    std::fs::write(&path, "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n").expect("written");
    assert_eq!(open().0, 2);
}
