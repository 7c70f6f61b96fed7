//! Every fault, with and without another mirror.

use super::{Bench, PATH, bytes, impatient, mirror_with, read, told, wanted};
use crate::support::mirror::{Fault, Mirror};
use khimg::net::Source;
use std::time::Duration;

const SIZE: usize = 200_000;

type Outcome = Result<(), (u8, &'static str)>;

/// A fault, and what comes of it where no other mirror is: a success, or the exit code and a part of the message.
fn table() -> Vec<(&'static str, Fault, Outcome)> {
    vec![
        ("not_found", Fault::not_found(), Err((5, "answers 404 Not Found"))),
        ("forbidden", Fault::status(403), Err((5, "answers 403 Forbidden"))),
        ("no content", Fault::status(204), Err((5, "answers 204 No Content"))),
        ("unavailable", Fault::unavailable(), Err((5, "answers 503 Service Unavailable"))),
        ("unavailable_once", Fault::unavailable_once(), Ok(())),
        ("busy_once", Fault::busy_once(3600), Ok(())),
        ("truncated", Fault::truncated(), Err((5, "broke off"))),
        ("too_short", Fault::too_short(), Err((6, "has 199999 bytes instead of 200000"))),
        ("too_long", Fault::too_long(), Err((6, "has 200008 bytes instead of 200000"))),
        ("wrong_bytes", Fault::wrong_bytes(), Err((6, "instead of sha256:"))),
        ("a page instead", Fault::instead("<html>please log in</html>"), Err((6, "has 26 bytes instead of 200000"))),
        ("dropped_midway", Fault::dropped_midway(), Ok(())),
        ("endless_redirect", Fault::endless_redirect(), Err((5, "it redirects more than 10 times"))),
        ("circle", Fault::redirect(format!("/{PATH}")), Err((5, "it redirects in a circle"))),
        ("elsewhere", Fault::redirect("ftp://127.0.0.1/x"), Err((5, "something other than http or https"))),
        ("ignores_range", Fault::ignores_range(), Ok(())),
        ("wrong_content_range", Fault::wrong_content_range(), Ok(())),
        ("changed_etag", Fault::changed_etag(bytes(SIZE, 9)), Ok(())),
        ("hang_headers", Fault::hang_headers(), Err((5, "was silent for too long"))),
        ("slow_headers", Fault::slow_headers(), Ok(())),
        ("unannounced", Fault::unannounced(), Ok(())),
    ]
}

#[test]
fn another_mirror_serves_whatever_is_wrong_with_the_first() {
    let content = bytes(SIZE, 1);
    let good = mirror_with(&content);
    for (name, fault, _) in table() {
        let bad = mirror_with(&content);
        bad.fault(PATH, fault);
        let bench = Bench::new();
        let blob = bench.download(&wanted(&content, &[&bad, &good])).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(read(&blob), content, "{name}");
    }
}

#[test]
fn alone_it_ends_well_or_says_what_is_wrong() {
    let content = bytes(SIZE, 1);
    for (name, fault, expected) in table() {
        let mirror = mirror_with(&content);
        mirror.fault(PATH, fault);
        let bench = Bench::new();
        match (bench.download(&wanted(&content, &[&mirror])), expected) {
            (Ok(blob), Ok(())) => assert_eq!(read(&blob), content, "{name}"),
            (Err(error), Err((exit, text))) => {
                let (actual, message) = told(&error);
                assert!(message.contains(text), "{name}: {message}");
                assert_eq!(actual, exit, "{name}: {message}");
                assert!(message.starts_with("no mirror could serve some 1.0 (sha256:"), "{name}: {message}");
            }
            (Ok(_), Err(_)) => panic!("{name}: succeeded"),
            (Err(error), Ok(())) => panic!("{name}: {error}"),
        }
    }
}

#[test]
fn what_may_pass_is_tried_three_times_and_the_rest_once() {
    let content = bytes(10, 1);
    for (fault, times) in [
        (Fault::unavailable(), 3),
        (Fault::status(429), 3),
        (Fault::status(401), 1),
        (Fault::not_found(), 1),
        (Fault::wrong_bytes(), 1),
        (Fault::too_long(), 1),
    ] {
        let mirror = mirror_with(&content);
        mirror.fault(PATH, fault.clone());
        Bench::new().download(&wanted(&content, &[&mirror])).expect_err("all fail");
        assert_eq!(mirror.hits(PATH).len(), times, "{fault:?}");
    }
}

#[test]
fn every_mirror_is_named_with_its_reason() {
    let content = bytes(1000, 1);
    let mirrors = [Mirror::start(), mirror_with(&content), mirror_with(&content)];
    mirrors[1].fault(PATH, Fault::wrong_bytes());
    mirrors[2].fault(PATH, Fault::unavailable());
    let error = Bench::new().download(&wanted(&content, &mirrors.each_ref())).expect_err("all fail");
    let (exit, message) = told(&error);
    assert_eq!(exit, 5, "not all of them lied");
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines.len(), 4, "{message}");
    assert!(
        lines[1].starts_with("  m0: http://127.0.0.1:") && lines[1].ends_with("answers 404 Not Found"),
        "{message}"
    );
    assert!(lines[2].starts_with("  m1: ") && lines[2].contains(" instead of sha256:"), "{message}");
    assert!(lines[3].starts_with("  m2: ") && lines[3].contains("503"), "{message}");
}

#[test]
fn a_slow_mirror_is_left_and_from_then_on_asked_last() {
    let content = bytes(SIZE, 1);
    let (slow, good) = (mirror_with(&content), mirror_with(&content));
    slow.fault(PATH, Fault::slow());
    let bench = Bench::new();
    assert_eq!(read(&bench.download(&wanted(&content, &[&slow, &good])).expect("served")), content);
    assert!(bench.notes().contains("is too slow"), "{}", bench.notes());
    let more = bytes(SIZE, 2);
    good.put(PATH, &more[..]);
    bench.download(&wanted(&more, &[&slow, &good])).expect("served");
    assert_eq!(slow.hits(PATH).len(), 1);
}

#[test]
fn a_slow_mirror_is_better_than_none() {
    let content = bytes(1000, 1);
    let slow = mirror_with(&content);
    slow.fault(PATH, Fault::slow());
    let bench = Bench::new();
    assert_eq!(read(&bench.download(&wanted(&content, &[&slow])).expect("served")), content);
}

#[test]
fn a_host_that_nobody_answers_on_is_asked_once_in_a_run() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
    let bench = Bench::new();
    let good = Mirror::start();
    for seed in 0..20 {
        let content = bytes(1000, seed);
        good.put(PATH, &content[..]);
        let mut wanted = wanted(&content, &[&good]);
        let dead = super::url(&format!("http://{free}/x"));
        wanted.origins.insert(0, Source { mirror: "dead".to_owned(), url: dead, authorization: None });
        bench.download(&wanted).expect("served");
    }
    assert_eq!(bench.notes().matches("cannot be reached").count(), 1, "{}", bench.notes());
}

#[test]
fn without_any_host_it_ends_at_once_with_the_cause() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
    let bench = Bench::new();
    for name in [format!("http://{free}/x"), "http://nowhere.invalid/x".to_owned()] {
        let mut wanted = wanted(b"x", &[]);
        wanted.origins.push(Source { mirror: "dead".to_owned(), url: super::url(&name), authorization: None });
        let (exit, message) = told(&bench.download(&wanted).expect_err("nobody is there"));
        assert_eq!(exit, 5);
        assert!(message.contains("dead: ") && message.contains("reached"), "{message}");
        assert!(!message.contains("error sending request for url"), "{message}");
    }
}

#[test]
fn an_unknown_size_is_bounded_by_the_limit() {
    let content = bytes(SIZE, 1);
    let mirror = mirror_with(&content);
    let bench = Bench::new();
    for (unannounced, limit, good) in [(false, 199_999, false), (true, 199_999, false), (true, 200_000, true)] {
        mirror.repair();
        if unannounced {
            mirror.fault(PATH, Fault::unannounced());
        }
        let mut wanted = wanted(&content, &[&mirror]);
        (wanted.size, wanted.limit) = (None, limit);
        match bench.download(&wanted) {
            Ok(_) => assert!(good),
            Err(error) => assert!(!good && error.to_string().contains("more than the 199999 bytes"), "{error}"),
        }
    }
}

#[test]
fn no_host_gets_more_than_its_share() {
    let mirror = Mirror::start();
    let bench =
        Bench::with(khimg::net::NetOptions { per_host: 2, read_timeout: Duration::from_secs(5), ..impatient() });
    let mut downloads = Vec::new();
    for seed in 0..8 {
        let content = bytes(1000, seed);
        let path = format!("file-{seed}");
        mirror.put(&path, &content[..]).fault(&path, Fault::slow_headers());
        let mut wanted = wanted(&content, &[&mirror]);
        wanted.origins[0].url.set_path(&path);
        downloads.push(wanted);
    }
    let all = downloads.iter().map(|wanted| bench.net.download(wanted, &bench.store));
    let results = bench.runtime.block_on(futures_util::future::join_all(all));
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert!(mirror.most_at_once() <= 2, "{}", mirror.most_at_once());
}
