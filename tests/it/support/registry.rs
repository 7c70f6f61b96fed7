//! A real registry (the CNCF's, as Debian packs it), filled through its own protocol.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use khimg::digest::Digest;

use super::daemon::{Daemon, available};
use super::images::TestImage;

/// A running registry.
pub struct LocalRegistry {
    // Ended before its storage goes.
    daemon: Daemon,
    address: SocketAddr,
}

/// Where a registry keeps its blobs, so that another one with other rules can serve the same.
pub struct Storage(tempfile::TempDir);

impl Storage {
    /// An empty one.
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }
}

impl LocalRegistry {
    /// Starts one that lets everybody in; nothing where the machine has none.
    pub fn open(storage: &Storage) -> Option<Self> {
        Self::start(storage, |_| String::new())
    }

    /// Starts one with the section `auth` of its configuration, made by `auth` of the daemon's directory.
    pub fn start(storage: &Storage, auth: impl FnOnce(&Path) -> String) -> Option<Self> {
        if !available(&["docker-registry", "setpriv"]) {
            return None;
        }
        let mut daemon = Daemon::start(|directory| {
            let mut config = format!(
                "version: 0.1\nlog: {{accesslog: {{disabled: true}}}}\n\
                 storage:\n  filesystem: {{rootdirectory: {}}}\n\
                 http: {{addr: \"127.0.0.1:0\", secret: not-a-secret}}\n",
                storage.0.path().display()
            );
            config.write_str(&auth(directory)).expect("in memory");
            fs::write(directory.join("config.yml"), config).expect("a configuration");
            let mut command = Command::new("docker-registry");
            command.arg("serve").arg(directory.join("config.yml"));
            command
        });
        let address = daemon.wait(|daemon| {
            let log = daemon.log();
            let (_, rest) = log.split_once("listening on ")?;
            rest.split(['"', ',']).next()?.parse().ok()
        });
        Some(Self { daemon, address })
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// How many blobs were sent to it, by its own log.
    pub fn uploads(&self) -> usize {
        let finished = |line: &&str| {
            ["response completed", "http.request.method=PUT", "/blobs/uploads/"].iter().all(|part| line.contains(part))
        };
        self.daemon.log().lines().filter(finished).count()
    }

    /// The base of a mirror: `http://127.0.0.1:port`.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts an image's blobs and its manifest in place; `tag` may be a digest.
    pub async fn push(&self, repository: &str, tag: &str, image: &TestImage) {
        for blob in image.layers.iter().chain([&image.config]) {
            self.push_blob(repository, blob).await;
        }
        self.push_manifest(repository, tag, &image.manifest_type, &image.manifest).await;
    }

    async fn push_blob(&self, repository: &str, blob: &[u8]) {
        let client = reqwest::Client::new();
        let begin =
            client.post(format!("{}/v2/{repository}/blobs/uploads/", self.base())).send().await.expect("an answer");
        assert_eq!(begin.status(), 202);
        let place = begin.headers()["location"].to_str().expect("text").to_owned();
        let mark = if place.contains('?') { '&' } else { '?' };
        let place = format!("{place}{mark}digest={}", Digest::of(blob));
        let put = client.put(place).body(blob.to_vec()).send().await.expect("an answer");
        assert_eq!(put.status(), 201, "{}", put.text().await.unwrap_or_default());
    }

    /// Puts a manifest or an index in place.
    pub async fn push_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) {
        let url = format!("{}/v2/{repository}/manifests/{tag}", self.base());
        let put = reqwest::Client::new().put(url).header("content-type", media_type).body(bytes.to_vec());
        let put = put.send().await.expect("an answer");
        assert_eq!(put.status(), 201, "{}", put.text().await.unwrap_or_default());
    }
}
