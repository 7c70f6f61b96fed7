//! `khimg serve` against nginx on the same files, with 200 clients at once.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use khimg::deliver::{PublicContent, PublicFile, deliver};
use khimg::report::Silent;
use khimg::store::Store;

use crate::figure::{Figure, median, time};
use crate::support::daemon::{Daemon, available};
use crate::support::sandbox::Sandbox;

/// How many fetch at once.
const CLIENTS: usize = 200;

/// What each of them fetches, in bytes.
const SIZE: usize = 16 << 20;

const ROUNDS: usize = 5;

/// The most memory that the server may have held, in bytes.
const MEMORY: u64 = 100_000_000;

const CLUSTER: &str = "\
apiVersion: khimg/v1
name: figures
kubernetes: 1.34.2
endpoint: {mode: vip-only, vip: 10.0.0.9, interface: eth0}
nodes:
  - {name: master-1, role: master, address: 10.0.0.1/24}
";

/// All clients at once, as lean as they can be, since they share the processors with the server: until the last has it all.
fn fetch(address: &str, path: &str) {
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(address).expect("connects");
                let request = format!("GET {path} HTTP/1.1\r\nHost: depot\r\nConnection: close\r\n\r\n");
                stream.write_all(request.as_bytes()).expect("asks");
                let (mut buffer, mut count) = (vec![0; 256 << 10], 0);
                loop {
                    match stream.read(&mut buffer).expect("reads") {
                        0 => break,
                        read => count += read,
                    }
                }
                assert!((SIZE..SIZE + 1024).contains(&count), "{count} bytes");
            });
        }
    });
}

fn nginx(public: &Path) -> (Daemon, String) {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let address = format!("127.0.0.1:{port}");
    let daemon = Daemon::start(|folder| {
        let shown = folder.display();
        // Debian's own settings, without its log.
        let text = format!(
            "daemon off; user root; worker_processes auto; pid {shown}/pid; error_log {shown}/errors;\n\
            events {{ worker_connections 768; }}\n\
            http {{ sendfile on; tcp_nopush on; access_log off; client_body_temp_path {shown}/body;\n\
            server {{ listen {address}; root {}; }} }}\n",
            public.display()
        );
        fs::write(folder.join("nginx.conf"), text).expect("written");
        let mut command = Command::new("nginx");
        command.arg("-c").arg(folder.join("nginx.conf")).arg("-e").arg(folder.join("errors"));
        command
    });
    (daemon, address)
}

fn serve(sandbox: &Sandbox) -> (Daemon, String) {
    let mut daemon = Daemon::start(|_| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("khimg"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--store"]).arg(sandbox.store());
        command.arg("--cluster").arg(sandbox.path("cluster.yaml")).arg("--dist").arg(sandbox.path("dist"));
        command
    });
    let address = daemon.wait(|daemon| {
        let log = daemon.log();
        log.contains("ready\n").then_some(())?;
        let place = log.lines().find_map(|line| line.strip_prefix("serving http://")?.strip_suffix("/public"));
        place.map(str::to_owned)
    });
    (daemon, address)
}

pub fn measure() -> Vec<Figure> {
    if !available(&["nginx"]) {
        return Vec::new();
    }
    let sandbox = Sandbox::new();
    sandbox.write("cluster.yaml", CLUSTER);
    let bytes: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
    let file = PublicFile { path: "bundles/a", content: PublicContent::Bytes(&bytes), origin: "a figure" };
    let store = Store::open(&sandbox.store()).expect("a store");
    deliver(&[], &[], &[file], &sandbox.path("dist"), &store, &Silent).expect("delivers");
    let (mut peer, peer_address) = nginx(&sandbox.path("dist/public"));
    peer.wait(|_| TcpStream::connect(&peer_address).ok());
    let (daemon, address) = serve(&sandbox);
    let (mut own, mut others): (Vec<Duration>, Vec<Duration>) = Default::default();
    // The first round of each only warms up.
    for round in 0..=ROUNDS {
        let times = (time(|| fetch(&address, "/public/bundles/a")), time(|| fetch(&peer_address, "/bundles/a")));
        if round > 0 {
            own.push(times.0);
            others.push(times.1);
        }
    }
    let peak = daemon.peak_memory();
    vec![
        Figure::times("serve: 200 clients, 16 MiB each, against nginx", median(own), median(others), 1.25),
        Figure::sizes("serve: peak memory with 200 clients: 100 MB", peak, MEMORY, 1.0),
    ]
}
