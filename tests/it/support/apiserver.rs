//! A real kube-apiserver, out of the image of the tests' mirror, on a real etcd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use khimg::node::call::Credentials;
use khimg::node::kube::Kube;
use khimg::secrets::{Authority, KeyAlgorithm, KeyPair, Usage};
use reqwest::Url;
use serde_json::json;
use tempfile::TempDir;

use super::daemon::{Daemon, run};
use super::etcd::{Pki, Servers, loopback};
use super::lab::lab;

/// The program, taken out of its image once.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = PROGRAM.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let image = format!("docker://{}/google_containers/kube-apiserver:v1.20.2", lab().registry);
        let layers = directory.path().join("image");
        run(Command::new("skopeo")
            .args(["copy", "--quiet", "--src-tls-verify=false", &image])
            .arg(format!("dir:{}", layers.display())));
        let manifest = fs::read(layers.join("manifest.json")).expect("a manifest");
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
        for layer in manifest["layers"].as_array().expect("layers") {
            let digest = layer["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
            run(Command::new("tar").arg("-xf").arg(layers.join(digest)).arg("-C").arg(directory.path()));
        }
        fs::remove_dir_all(&layers).expect("removed");
        let found = walkdir::WalkDir::new(directory.path()).into_iter().filter_map(Result::ok);
        let found = found.map(walkdir::DirEntry::into_path).find(|path| path.ends_with("kube-apiserver"));
        (directory, found.expect("the program is in its image"))
    });
    path
}

/// A running API server and the etcd below it.
pub struct ApiServer {
    // Ended before etcd is.
    _daemon: Daemon,
    _etcd: Servers,
    pki: Pki,
    /// Its address.
    pub url: Url,
}

impl ApiServer {
    /// Starts one; nothing where there is no etcd.
    pub fn start() -> Option<Self> {
        let authority = Authority::generate("kubernetes", KeyAlgorithm::EcdsaP256).expect("an authority");
        Self::start_with(&authority)
    }

    /// The same, of a cluster with this authority.
    pub fn start_with(authority: &Authority) -> Option<Self> {
        let etcd = Servers::start(1)?;
        let (pki, address) = (Pki::of(authority.clone()), loopback());
        pki.issue("apiserver", &[address.to_string()], Usage::Server);
        etcd.pki.issue("apiserver", &[], Usage::Client);
        let accounts = KeyPair::generate(KeyAlgorithm::Rsa2048).expect("a key pair");
        fs::write(pki.file("sa.pub"), &accounts.public).expect("written");
        fs::write(pki.file("sa.key"), accounts.private.expose()).expect("written");
        let program = program();
        let mut daemon = Daemon::start(|directory| {
            let mut command = Command::new(program);
            let mut file = |argument: &str, path: PathBuf| {
                command.arg(format!("--{argument}={}", path.display()));
            };
            file("etcd-cafile", etcd.pki.file("ca.crt"));
            file("etcd-certfile", etcd.pki.file("apiserver.crt"));
            file("etcd-keyfile", etcd.pki.file("apiserver.key"));
            file("client-ca-file", pki.file("ca.crt"));
            file("tls-cert-file", pki.file("apiserver.crt"));
            file("tls-private-key-file", pki.file("apiserver.key"));
            file("service-account-key-file", pki.file("sa.pub"));
            file("service-account-signing-key-file", pki.file("sa.key"));
            file("cert-dir", directory.to_owned());
            command
                .arg(format!("--etcd-servers={}", etcd.list[0].client_url()))
                .arg(format!("--bind-address={address}"))
                .args(["--secure-port=6443", "--service-cluster-ip-range=10.96.0.0/16"])
                .args(["--service-account-issuer=https://kubernetes.default", "--authorization-mode=Node,RBAC"])
                .args(["--enable-bootstrap-token-auth=true", "--endpoint-reconciler-type=none"])
                .arg("--disable-admission-plugins=ServiceAccount");
            command
        });
        let url: Url = format!("https://{address}:6443").parse().expect("a URL");
        pki.issue_administrator("admin");
        let probe = Kube::new(url.clone(), &pki.issued("admin")).expect("a client");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        daemon.wait(|_| {
            let system = "/api/v1/namespaces/kube-system";
            let well = async {
                matches!(probe.healthy("/readyz").await, Ok(true))
                    && probe.get(system).await.is_ok_and(|reply| reply.done().is_some())
            };
            runtime.block_on(well).then_some(())
        });
        Some(Self { _daemon: daemon, _etcd: etcd, pki, url })
    }

    /// An administrator.
    pub fn client(&self) -> Kube {
        Kube::new(self.url.clone(), &self.pki.issued("admin")).expect("a client")
    }

    /// The authority alone.
    pub fn nobody(&self) -> Credentials {
        Credentials::from_files(&self.pki.file("ca.crt"), None).expect("credentials")
    }

    /// A kubeconfig of an administrator, in `directory`.
    pub fn kubeconfig(&self, directory: &Path) -> PathBuf {
        let (path, file) = (directory.join("admin.conf"), |name: &str| self.file(name).display().to_string());
        let cluster = json!({"server": self.url, "certificate-authority": file("ca.crt")});
        let user = json!({"client-certificate": file("admin.crt"), "client-key": file("admin.key")});
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": cluster}],
            "users": [{"name": "it", "user": user}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        });
        fs::write(&path, config.to_string()).expect("written");
        path
    }

    /// One of the authority's files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.pki.file(name)
    }
}
