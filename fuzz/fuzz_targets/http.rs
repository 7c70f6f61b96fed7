//! Whole connections to `khimg serve`, over a real socket.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use khimg::arch::Arch;
use khimg::catalog;
use khimg::cluster::{self, Role};
use khimg::deliver::{NodeSeed, PublicContent, PublicFile, deliver};
use khimg::digest::Digest;
use khimg::report::Silent;
use khimg::serve::{ServeOptions, serve};
use khimg::store::Store;
use khimg::target::Target;
use libfuzzer_sys::fuzz_target;

const CLUSTER: &str = "apiVersion: khimg/v1\nname: served\nkubernetes: 1.34.2\n\
    endpoint: {mode: vip-only, vip: 10.0.0.9, interface: eth0}\n\
    network: {podSubnet: 10.128.0.0/11, serviceSubnet: 10.96.0.0/12, cni: none}\n\
    nodes:\n  - {name: m, role: master, address: 10.0.0.1/16, mac: \"52:54:00:00:00:11\", serial: ABC}\n";

/// Where the server is, and its delivery, which stays as long as this process.
static SERVER: LazyLock<(SocketAddr, tempfile::TempDir)> = LazyLock::new(|| {
    let catalog = catalog::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let cluster = cluster::parse("cluster.yaml", CLUSTER, Path::new("."), &catalog);
    let cluster = cluster.unwrap_or_else(|problems| panic!("{problems}"));
    let folder = tempfile::tempdir().expect("a directory");
    let dist = folder.path().join("dist");
    let target = Target { os: "debian-12".to_owned(), arch: Arch::Amd64 };
    let proof = Digest::of(b"token").hex();
    let files: BTreeMap<&str, &[u8]> = BTreeMap::from([
        ("user-data", &b"#cloud-config\n# the secret\n"[..]),
        ("meta-data", b"instance-id: m\n"),
        ("network-config", b"version: 2\n"),
        ("report.sha256", proof.as_bytes()),
    ]);
    let seeds = [NodeSeed { node: "m", role: Role::Master, target: &target, files, disc: None }];
    let public = [PublicFile { path: "a", content: PublicContent::Bytes(b"0123456789"), origin: "a test" }];
    let store = Store::open(&folder.path().join("store")).expect("a store");
    deliver(&[], &seeds, &public, &dist, &store, &Silent).expect("delivers");
    let options = ServeOptions {
        dist,
        record: folder.path().join("served"),
        boot: None,
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        tls: None,
        status: None,
        netboot: None,
    };
    let runtime = Box::leak(Box::new(tokio::runtime::Runtime::new().expect("a runtime")));
    let _inside = runtime.enter();
    let server = serve(&cluster, &options, Arc::new(Silent)).expect("serves");
    let place = server.places[0].trim_start_matches("http://").split('/').next().expect("a place").parse();
    runtime.spawn(server.run());
    (place.expect("an address"), folder)
});

/// Secrets that left, by the bytes that were answered.
static LEFT: LazyLock<Mutex<BTreeSet<Vec<u8>>>> = LazyLock::new(Mutex::default);

fuzz_target!(|bytes: &[u8]| {
    let mut stream = TcpStream::connect(SERVER.0).expect("the server is there");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
    // A port for each of many connections in a second: none may linger.
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("settable");
    let _sent = stream.write_all(bytes);
    let _closed = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _read = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(&answer));
    let tells = |what: &[u8]| answer.windows(what.len()).any(|window| window == what);
    assert!(!tells(b"m/user-data"), "the list of secrets");
    if tells(b"# the secret") {
        assert!(LEFT.lock().expect("sound").insert(b"user-data".to_vec()), "a seed left twice");
    }
});
