//! `khimg serve` as a user starts it, asked by real clients.

mod depot;
mod dhcp;
mod fuzz;
mod hosting;
mod machines;
mod netboot;
mod reports;
mod seeds;
pub mod wire;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use khimg::cluster::Role;
use khimg::deliver::{NodeSeed, PublicContent, PublicFile, deliver};
use khimg::digest::Digest;
use khimg::report::Silent;
use khimg::store::Store;

use crate::support::daemon::Daemon;
use crate::support::sandbox::Sandbox;
use crate::support::workshop::target;

/// A project with a delivery.
pub struct Project {
    sandbox: Sandbox,
    nodes: Vec<String>,
}

/// The cluster file: one master, and whatever `more` says of further nodes.
fn cluster(more: &str) -> String {
    format!(
        "apiVersion: khimg/v1\nname: served\nkubernetes: 1.34.2\n\
        endpoint: {{mode: vip-only, vip: 10.0.0.9, interface: eth0}}\n\
        network: {{podSubnet: 10.128.0.0/11, serviceSubnet: 10.96.0.0/12, cni: none}}\n\
        nodes:\n  - {{name: master-1, role: master, address: 10.0.0.1/16, mac: \"52:54:00:00:00:11\"}}\n{more}"
    )
}

/// Two workers that are known by other things than an Ethernet address.
const WORKERS: &str = "  - {name: worker-1, role: worker, address: 10.0.1.1/16, serial: ABC.123}\n  \
    - {name: worker-2, role: worker, address: 10.0.1.2/16, uuid: 4c4c4544-0042-3510-8051-b4c04f4a4e31}\n";

/// What a node proves its reports with.
pub fn token(node: &str) -> String {
    format!("the token of {node}")
}

/// What a public file of the delivery holds: any file of some size would do.
pub fn content() -> Vec<u8> {
    (0..3_000_000_u32).map(|at| (at % 251) as u8).collect()
}

impl Project {
    pub fn new() -> Self {
        Self::with(WORKERS, ["worker-1", "worker-2"].map(str::to_owned).to_vec())
    }

    /// A master, and so many workers more.
    pub fn large(count: usize) -> Self {
        let (mut text, mut nodes) = (String::new(), Vec::new());
        for at in 0..count {
            let (high, low) = (1 + at / 250, 1 + at % 250);
            writeln!(text, "  - {{name: node-{at}, role: worker, address: 10.0.{high}.{low}/16}}").expect("in memory");
            nodes.push(format!("node-{at}"));
        }
        Self::with(&text, nodes)
    }

    fn with(more: &str, mut nodes: Vec<String>) -> Self {
        let sandbox = Sandbox::new();
        sandbox.write("cluster.yaml", cluster(more));
        nodes.push("master-1".to_owned());
        let project = Self { sandbox, nodes };
        project.deliver("first");
        project
    }

    /// Delivers anew; seeds differ by `words`.
    pub fn deliver(&self, words: &str) {
        let target = target();
        let texts: Vec<[String; 4]> = self
            .nodes
            .iter()
            .map(|node| {
                [
                    format!("#cloud-config\n# {words} secret of {node}\n"),
                    format!("instance-id: served-{node}-{words}\nlocal-hostname: {node}\n"),
                    "version: 2\n".to_owned(),
                    format!("{}\n", Digest::of(token(node).as_bytes()).hex()),
                ]
            })
            .collect();
        let seeds: Vec<NodeSeed<'_>> = std::iter::zip(&self.nodes, &texts)
            .map(|(node, [user_data, meta_data, network, proof])| NodeSeed {
                node,
                role: if node == "master-1" { Role::Master } else { Role::Worker },
                target: &target,
                files: BTreeMap::from([
                    ("user-data", user_data.as_bytes()),
                    ("meta-data", meta_data.as_bytes()),
                    ("network-config", network.as_bytes()),
                    ("report.sha256", proof.as_bytes()),
                ]),
                disc: None,
            })
            .collect();
        let bytes = content();
        let public = [
            PublicFile { path: "bundles/a.tar.zst", content: PublicContent::Bytes(&bytes), origin: "a test" },
            PublicFile { path: "khimg.lock", content: PublicContent::Bytes(b"version: 1\n"), origin: "the lock" },
        ];
        let store = Store::open(&self.sandbox.store()).expect("a store");
        deliver(&[], &seeds, &public, &self.dist(), &store, &Silent).expect("delivers");
    }

    pub fn dist(&self) -> PathBuf {
        self.sandbox.path("dist")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path(name)
    }

    fn arguments(&self, command: &mut Command) {
        command.arg("serve").arg("--store").arg(self.sandbox.store());
        command.arg("--cluster").arg(self.sandbox.path("cluster.yaml")).arg("--dist").arg(self.dist());
    }

    /// Starts the program, which ends with what is returned.
    pub fn serve(&self, arguments: &[&str]) -> Served {
        let daemon = Daemon::start(|_| {
            let mut command = Command::new(assert_cmd::cargo::cargo_bin!("khimg"));
            self.arguments(&mut command);
            command.args(arguments);
            command
        });
        Served::wait(daemon)
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("khimg"));
        self.arguments(&mut command);
        command.args(arguments).output().expect("runs")
    }
}

/// A running server.
pub struct Served {
    daemon: Daemon,
    /// The URLs that it says it serves.
    places: Vec<String>,
}

impl Served {
    fn wait(mut daemon: Daemon) -> Self {
        let places = daemon.wait(|daemon| {
            let log = daemon.log();
            log.contains("ready\n")
                .then(|| log.lines().filter_map(|line| line.strip_prefix("serving ")).map(str::to_owned).collect())
        });
        Self { daemon, places }
    }

    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// The URL that ends so, without that end.
    fn base(&self, end: &str) -> &str {
        self.places
            .iter()
            .find_map(|place| place.strip_suffix(end))
            .unwrap_or_else(|| panic!("{end}: {:?}", self.places))
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base("/public"))
    }

    pub fn page(&self, path: &str) -> String {
        let page = self.places.iter().find(|place| place.starts_with("http") && place.ends_with('/')).expect("a page");
        format!("{}{path}", page.trim_end_matches('/'))
    }

    /// The most memory that it has held, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.daemon.peak_memory()
    }

    /// The process, to be ended without warning.
    pub fn kill(self) {
        self.daemon.kill();
    }
}

/// What curl is answered.
pub struct Reply {
    pub status: u16,
    pub headers: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self
            .headers
            .lines()
            .find(|line| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name)))?;
        Some(line.split_once(':')?.1.trim())
    }
}

/// Asks with curl, which sends exactly the path that it is given.
pub fn curl(url: &str, arguments: &[&str]) -> Reply {
    let folder = tempfile::tempdir().expect("a directory");
    let headers = folder.path().join("headers");
    let output = Command::new("curl")
        .args(["--silent", "--path-as-is", "--max-time", "60", "--noproxy", "*", "--dump-header"])
        .arg(&headers)
        .args(arguments)
        .arg(url)
        .output()
        .expect("curl runs");
    let headers = std::fs::read_to_string(&headers).unwrap_or_default();
    let status = headers.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Reply { status, headers, body: output.stdout }
}

/// A certificate for 127.0.0.1, and its key, made by openssl.
pub fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key) = (folder.join("server.crt"), folder.join("server.key"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args([
            "-subj",
            "/CN=depot",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=CA:FALSE",
            "-out",
        ])
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}
