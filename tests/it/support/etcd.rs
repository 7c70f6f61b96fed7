//! Real etcd servers (Debian's), with TLS from khimg's own authorities, each at a loopback address of its own.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use khimg::node::call::Credentials;
use khimg::node::etcd::Etcd;
use khimg::secrets::{Authority, KeyAlgorithm, Secret, Usage};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use tempfile::TempDir;

use super::daemon::{Daemon, available};

/// A loopback address that nothing else in this run uses.
pub fn loopback() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 1 | high, low, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An authority and what it signed, as PEM files.
pub struct Pki {
    directory: TempDir,
    authority: Authority,
}

impl Pki {
    /// A new authority.
    pub fn new(name: &str) -> Self {
        Self::of(Authority::generate(name, KeyAlgorithm::EcdsaP256).expect("an authority"))
    }

    /// One that exists.
    pub fn of(authority: Authority) -> Self {
        let pki = Self { directory: tempfile::tempdir().expect("a directory"), authority };
        pki.write("ca", &pki.authority);
        pki
    }

    fn write(&self, name: &str, signed: &Authority) {
        fs::write(self.file(&format!("{name}.crt")), &signed.certificate).expect("a certificate");
        fs::write(self.file(&format!("{name}.key")), signed.key.expose()).expect("a key");
    }

    /// Signs a certificate; its files are `name.crt` and `name.key`.
    pub fn issue(&self, name: &str, hosts: &[String], usage: Usage) {
        let signed = self.authority.issue(name, hosts, usage).expect("a certificate");
        self.write(name, &signed);
    }

    /// Signs a certificate of one of the administrators.
    pub fn issue_administrator(&self, name: &str) {
        let signer = KeyPair::from_pem(self.authority.key.expose()).expect("a key");
        let issuer = Issuer::from_ca_cert_pem(&self.authority.certificate, signer).expect("an authority");
        let (key, mut params) = (KeyPair::generate().expect("a key"), CertificateParams::default());
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, "system:masters");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &issuer).expect("a certificate").pem();
        self.write(name, &Authority { certificate, key: Secret::new(key.serialize_pem()) });
    }

    /// What the client `name` needs, whose certificate was issued.
    pub fn issued(&self, name: &str) -> Credentials {
        let (certificate, key) = (self.file(&format!("{name}.crt")), self.file(&format!("{name}.key")));
        Credentials::from_files(&self.file("ca.crt"), Some((&certificate, &key))).expect("credentials")
    }

    /// One of the files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A certificate for the client `name`, and what else it needs.
    pub fn credentials(&self, name: &str) -> Credentials {
        self.issue(name, &[], Usage::Client);
        self.issued(name)
    }
}

/// Where one server lives, and what it keeps; it runs or not.
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// What it keeps.
    pub data: PathBuf,
    daemon: Option<Daemon>,
}

impl Server {
    /// Where its clients reach it.
    pub fn client_url(&self) -> String {
        format!("https://{}:2379", self.address)
    }

    /// Where other members reach it.
    pub fn peer_url(&self) -> String {
        format!("https://{}:2380", self.address)
    }
}

/// Some servers that form one cluster.
pub struct Servers {
    /// Who signs for them.
    pub pki: Pki,
    data: TempDir,
    /// All of them.
    pub list: Vec<Server>,
}

impl Servers {
    /// So many servers that are not started yet; nothing where there is no etcd.
    pub fn new(count: usize) -> Option<Self> {
        if !available(&["etcd", "etcdctl", "setpriv"]) {
            return None;
        }
        let mut servers =
            Self { pki: Pki::new("etcd-ca"), data: tempfile::tempdir().expect("a directory"), list: Vec::new() };
        (0..count).for_each(|_| servers.place());
        Some(servers)
    }

    /// So many servers that run and have a leader.
    pub fn start(count: usize) -> Option<Self> {
        let mut servers = Self::new(count)?;
        let membership = servers.membership(0..count);
        for at in 0..count {
            servers.run(at, &membership, "new");
        }
        servers.wait_ready(0..count);
        Some(servers)
    }

    /// Makes room for one more.
    pub fn place(&mut self) {
        let (name, address) = (format!("m{}", self.list.len() + 1), loopback());
        // Members look at where a call comes from, which is another address of this machine.
        self.pki.issue(&name, &[address.to_string(), "127.0.0.1".to_owned()], Usage::Server);
        let data = self.data.path().join(&name);
        self.list.push(Server { name, address, data, daemon: None });
    }

    /// `name=URL,…` of some.
    pub fn membership(&self, which: impl Iterator<Item = usize>) -> String {
        let parts: Vec<_> = which.map(|at| format!("{}={}", self.list[at].name, self.list[at].peer_url())).collect();
        parts.join(",")
    }

    /// Starts one.
    pub fn run(&mut self, at: usize, membership: &str, state: &str) {
        let server = &self.list[at];
        let (ca, own) = (self.pki.file("ca.crt"), |end: &str| self.pki.file(&format!("{}.{end}", server.name)));
        let daemon = Daemon::start(|_| {
            let mut command = Command::new("etcd");
            command
                .args(["--name", &server.name, "--initial-cluster", membership, "--initial-cluster-state", state])
                .arg("--data-dir")
                .arg(&server.data)
                .args(["--listen-client-urls", &server.client_url(), "--advertise-client-urls", &server.client_url()])
                .args(["--listen-peer-urls", &server.peer_url()])
                .args(["--initial-advertise-peer-urls", &server.peer_url()])
                .args(["--client-cert-auth", "--peer-client-cert-auth", "--unsafe-no-fsync"])
                .args(["--heartbeat-interval", "100", "--election-timeout", "1000"]);
            for (argument, file) in [
                ("--trusted-ca-file", ca.clone()),
                ("--cert-file", own("crt")),
                ("--key-file", own("key")),
                ("--peer-trusted-ca-file", ca.clone()),
                ("--peer-cert-file", own("crt")),
                ("--peer-key-file", own("key")),
            ] {
                command.arg(argument).arg(file);
            }
            command
        });
        self.list[at].daemon = Some(daemon);
    }

    /// Waits until these serve clients.
    pub fn wait_ready(&mut self, which: impl Iterator<Item = usize>) {
        for at in which {
            let daemon = self.list[at].daemon.as_mut().expect("it was started");
            daemon.wait(|daemon| daemon.log().contains("ready to serve client requests").then_some(()));
        }
    }

    /// Stops one, as `systemctl stop` would.
    pub fn stop(&mut self, at: usize) {
        self.list[at].daemon = None;
    }

    /// A client for some of them.
    pub fn client(&self, which: impl Iterator<Item = usize>) -> Etcd {
        let endpoints = which.map(|at| self.list[at].client_url().parse().expect("a URL")).collect();
        Etcd::new(endpoints, &self.pki.credentials("client")).expect("a client")
    }

    /// etcd's own client, for one of them.
    pub fn etcdctl(&self, at: usize, arguments: &[&str]) -> String {
        self.pki.issue("etcdctl", &[], Usage::Client);
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &self.list[at].client_url()]);
        for (argument, file) in [("--cacert", "ca.crt"), ("--cert", "etcdctl.crt"), ("--key", "etcdctl.key")] {
            command.arg(argument).arg(self.pki.file(file));
        }
        super::daemon::run(command.args(arguments))
    }

    /// A place for files beside their data.
    pub fn path(&self, name: &str) -> PathBuf {
        self.data.path().join(name)
    }
}

/// etcd's own word on a snapshot.
pub fn snapshot_status(path: &Path) -> String {
    let mut command = Command::new("etcdctl");
    super::daemon::run(command.env("ETCDCTL_API", "3").args(["snapshot", "status"]).arg(path))
}
