//! The depot, to curl, wget and whoever means ill.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use super::{Project, certificate, content, curl};
use crate::support::daemon::available;

const ANY: [&str; 2] = ["--listen", "127.0.0.1:0"];

#[test]
fn files_come_whole_in_part_and_not_again() {
    let project = Project::new();
    let served = project.serve(&ANY);
    let url = served.url("/public/bundles/a.tar.zst");
    let whole = curl(&url, &[]);
    assert_eq!((whole.status, whole.body == content()), (200, true));
    let etag = whole.header("etag").expect("a tag").to_owned();
    assert!(project.dist().join("public/manifest.json").exists());
    assert_eq!(
        curl(&served.url("/public/manifest.json"), &[]).body,
        fs::read(project.dist().join("public/manifest.json")).expect("read")
    );
    for (range, expected) in
        [("0-0", 0..1), ("100-199", 100..200), ("-5", 2_999_995..3_000_000), ("2999999-", 2_999_999..3_000_000)]
    {
        let part = curl(&url, &["--range", range]);
        assert_eq!((part.status, part.body.as_slice()), (206, &content()[expected.clone()]), "{range}");
        let told = format!("bytes {}-{}/3000000", expected.start, expected.end - 1);
        assert_eq!(part.header("content-range"), Some(told.as_str()));
    }
    assert_eq!(curl(&url, &["--range", "3000000-"]).status, 416);
    let same = format!("If-None-Match: \"other\", {etag}");
    let head = curl(&url, &["--header", &same]);
    assert_eq!((head.status, head.body.len()), (304, 0));
    let (same, other) = (format!("If-Range: {etag}"), "If-Range: \"other\"");
    assert_eq!(curl(&url, &["--range", "0-9", "--header", &same]).status, 206);
    assert_eq!(curl(&url, &["--range", "0-9", "--header", other]).body.len(), 3_000_000);
    let head = curl(&url, &["--head"]);
    assert_eq!(
        (head.status, head.header("content-length"), head.header("accept-ranges")),
        (200, Some("3000000"), Some("bytes"))
    );
}

#[test]
fn curl_and_wget_go_on_where_they_were_cut_off() {
    let project = Project::new();
    let served = project.serve(&ANY);
    let url = served.url("/public/bundles/a.tar.zst");
    for program in ["curl", "wget"].into_iter().filter(|program| available(&[program])) {
        let file = project.path(program);
        fs::write(&file, &content()[..1_234_567]).expect("written");
        let mut command = Command::new(program);
        match program {
            "curl" => command.args(["-sf", "--noproxy", "*", "-C", "-", "-o"]).arg(&file),
            _ => command.args(["-q", "--no-proxy", "-c", "-O"]).arg(&file),
        };
        assert!(command.arg(&url).status().expect("runs").success(), "{program}");
        assert!(fs::read(&file).expect("readable") == content(), "{program}");
    }
}

#[test]
fn a_new_delivery_is_served_without_a_restart() {
    let project = Project::new();
    let served = project.serve(&ANY);
    let tag = |path: &str| curl(&served.url(path), &["--head"]).header("etag").map(str::to_owned).expect("a tag");
    let (before, lock) = (tag("/public/SHA256SUMS"), tag("/public/khimg.lock"));
    project.deliver("second");
    assert_eq!((tag("/public/SHA256SUMS") == before, tag("/public/khimg.lock")), (true, lock));
    assert!(curl(&served.url("/secret/worker-1/user-data"), &[]).text().contains("second secret"));
}

/// What is not listed is not there, however it is written, and nothing is ever listed to strangers.
#[test]
fn nothing_beside_the_delivery_can_be_reached() {
    let project = Project::new();
    fs::write(project.dist().join("public/stray"), "not listed").expect("written");
    fs::write(project.dist().join("outside"), "outside").expect("written");
    let served = project.serve(&ANY);
    for path in [
        "/",
        "/public",
        "/public/",
        "/public/bundles",
        "/public/bundles/",
        "/public/stray",
        "/public/../outside",
        "/public/../secret/master-1/user-data",
        "/public/%2e%2e/outside",
        "/public/..%2foutside",
        "/public/%252e%252e/outside",
        "/public//etc/passwd",
        "/public/bundles/./a.tar.zst",
        "/public/bundles/a.tar.zst/",
        "/public/bundles/a.tar.zst%00",
        "//etc/passwd",
        "/secret/",
        "/secret/master-1/",
        "/secret/master-1/cidata.iso",
        "/secret/master-1/../manifest.json",
        "/secret/manifest.json",
        "/files/kernel",
        "/report/master-1",
    ] {
        let reply = curl(&served.url(path), &[]);
        assert_eq!((reply.status, reply.body.len()), (404, 0), "{path}");
    }
    for method in ["PUT", "DELETE", "POST", "PATCH", "OPTIONS", "TRACE"] {
        assert_eq!(curl(&served.url("/public/khimg.lock"), &["-X", method]).status, 405, "{method}");
    }
    assert!(!served.log().contains("panicked"), "{}", served.log());
}

/// Sends bytes and gives back what comes until the server closes.
fn raw(served: &super::Served, bytes: &[u8]) -> String {
    let address = served.url("").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
    // The server may close before all is sent.
    let _sent = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _read = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn hostile_requests_are_refused_and_the_next_one_is_answered() {
    let project = Project::new();
    let served = project.serve(&ANY);
    let ranges: Vec<String> = (0..1000).map(|at| format!("{at}-{at}")).collect();
    let list = format!("Range: bytes={}", ranges[..20].join(","));
    let reply = curl(&served.url("/public/bundles/a.tar.zst"), &["--header", &list]);
    assert_eq!((reply.status, reply.body.len(), reply.header("content-range")), (416, 0, Some("bytes */3000000")));
    let get = "GET /public/khimg.lock HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    let long = format!("{get}Range: bytes={}\r\n\r\n", ranges.join(","));
    let many: String = (0..500).map(|at| format!("X-{at}: y\r\n")).collect();
    for (what, request) in [
        ("a huge list of ranges", long),
        ("a long header", format!("{get}X: {}\r\n\r\n", "y".repeat(1 << 20))),
        ("many headers", format!("{get}{many}\r\n")),
        ("a long path", format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "y".repeat(1 << 20))),
        ("two lengths", "POST /report/master-1 HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx".to_owned()),
        ("no HTTP", "\0\u{1}\u{2}\r\n\r\n".to_owned()),
        ("another version", "GET / HTTP/9.9\r\n\r\n".to_owned()),
    ] {
        let answer = raw(&served, request.as_bytes());
        let status = answer.split_whitespace().nth(1).unwrap_or("closed");
        assert!(["closed", "400", "414", "416", "431"].contains(&status), "{what}: {answer}");
        assert_eq!(curl(&served.url("/public/khimg.lock"), &[]).status, 200, "after {what}");
    }
    assert!(!served.log().contains("panicked"), "{}", served.log());
}

#[test]
fn with_tls_secrets_leave_there_alone() {
    if !available(&["openssl"]) {
        return;
    }
    let project = Project::new();
    let (certificate, key) = certificate(&project.path(""));
    let (certificate, key) = (certificate.to_str().expect("text"), key.to_str().expect("text"));
    let tls = ["--tls-listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key];
    let served = project.serve(&[&ANY[..], &tls].concat());
    assert_eq!(curl(&served.url("/secret/worker-1/user-data"), &[]).status, 404);
    assert_eq!(curl(&served.url("/public/khimg.lock"), &[]).status, 200);
    let secure = format!("{}/secret/worker-1/user-data", served.base("/secret"));
    assert!(secure.starts_with("https://"));
    assert_eq!(curl(&secure, &[]).status, 0, "nobody knows the certificate");
    let reply = curl(&secure, &["--cacert", certificate]);
    assert_eq!((reply.status, reply.text().contains("secret of worker-1")), (200, true));
    let wrong = project.run(&["--tls-listen", "127.0.0.1:0", "--tls-cert", key, "--tls-key", certificate]);
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(2) && said.contains("cannot be used for TLS"), "{said}");
}
