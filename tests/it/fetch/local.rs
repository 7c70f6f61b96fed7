//! `file:` mirrors: a directory in place of a server.

use khimg::net::{Download, Source};
use khimg::store::Claim;
use url::Url;

use super::{Bench, bytes, read, told, url, wanted};

fn from(content: &[u8], address: Url) -> Download {
    let source = Source { mirror: "disk".to_owned(), url: address, authorization: None };
    Download { origins: vec![source], ..wanted(content, &[]) }
}

#[test]
fn a_directory_is_a_mirror() {
    let content = bytes(600_000, 1);
    let bench = Bench::with(khimg::net::NetOptions { offline: true, ..super::impatient() });
    let path = bench.dir.path().join("a b+c.deb");
    std::fs::write(&path, &content).expect("written");
    let address =
        khimg::net::address::join(Url::from_directory_path(bench.dir.path()).expect("a URL").as_str(), "a b+c.deb");
    let download = from(&content, address.expect("a URL"));
    if let Claim::Mine(mut partial) = bench.store.claim(&download.digest).expect("a claim") {
        partial.write(&content[..1000]).expect("written");
    }
    assert_eq!(read(&bench.download(&download).expect("served")), content);
    let text =
        bench.runtime.block_on(bench.net.read(&Url::from_file_path(&path).expect("a URL"), 600_000)).expect("served");
    assert_eq!(text, content);
}

#[test]
fn what_is_no_file_is_refused() {
    let bench = Bench::new();
    let fifo = bench.dir.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    for (address, text) in [
        (Url::from_file_path(&fifo).expect("a URL"), "not a regular file"),
        (Url::from_file_path("/dev/zero").expect("a URL"), "not a regular file"),
        (Url::from_file_path(bench.dir.path()).expect("a URL"), "not a regular file"),
        (Url::from_file_path(bench.dir.path().join("none")).expect("a URL"), "No such file"),
        (url("file://elsewhere/x"), "another machine"),
        (url("ftp://elsewhere/x"), "neither http, https nor file"),
    ] {
        let (exit, message) = told(&bench.download(&from(b"x", address.clone())).expect_err("refused"));
        assert!(exit == 5 && message.contains(text), "{address}: {message}");
    }
}

#[test]
fn a_wrong_file_is_refused() {
    let bench = Bench::new();
    let path = bench.dir.path().join("file");
    std::fs::write(&path, "wrong").expect("written");
    let address = Url::from_file_path(&path).expect("a URL");
    assert_eq!(told(&bench.download(&from(b"right", address.clone())).expect_err("refused")).0, 6);
    assert_eq!(told(&bench.download(&from(b"longer than that", address)).expect_err("refused")).0, 6);
}
