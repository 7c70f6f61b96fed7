//! kubeconfigs as kubeadm writes them: which server, and who asks.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use serde::Deserialize;

use super::call::{CallError, Credentials, pem};
use super::kube::Kube;
use crate::input;
use crate::secrets::Secret;

/// The administrator's, on masters.
pub const ADMIN: &str = "/etc/kubernetes/admin.conf";

/// The one that may do anything before the administrator's was given its rights, on masters from 1.29 on.
pub const SUPER_ADMIN: &str = "/etc/kubernetes/super-admin.conf";

/// The kubelet's own, on every node of a cluster.
pub const KUBELET: &str = "/etc/kubernetes/kubelet.conf";

/// Largest kubeconfig, in bytes.
pub(super) const LIMIT: u64 = 1 << 20;

/// A kubeconfig, read: the context that it stands in.
#[derive(Debug, Clone)]
pub struct Kubeconfig {
    /// The API server's address.
    pub server: Url,
    /// The cluster's authority, and the client.
    pub credentials: Credentials,
    /// The client's certificate, PEM.
    pub certificate: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    current_context: String,
    clusters: Vec<NamedCluster>,
    contexts: Vec<NamedContext>,
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: Url,
    certificate_authority_data: Option<String>,
    certificate_authority: Option<String>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate_data: Option<String>,
    client_certificate: Option<String>,
    client_key_data: Option<Secret<String>>,
    client_key: Option<String>,
}

impl Kubeconfig {
    /// Reads the kubeconfig at `path`, and the certificates and key that it names.
    ///
    /// # Errors
    /// A file that cannot be read or is no kubeconfig with a certificate authority and a client certificate.
    pub fn read(path: &Path) -> Result<Self, CallError> {
        let text = input::read(path, LIMIT)
            .map(Secret::new)
            .map_err(|source| CallError::Credentials { path: path.to_owned(), source })?;
        let wrong = |reason: &str| CallError::Kubeconfig { path: path.to_owned(), reason: reason.to_owned() };
        let options = serde_saphyr::options! { with_snippet: false };
        // Never the parser's own message: it may repeat a key.
        let file: File = serde_saphyr::from_slice_with_options(text.expose(), options)
            .map_err(|_| wrong("it is not YAML of that form"))?;
        let context = file.contexts.iter().find(|context| context.name == file.current_context);
        let context = &context.ok_or_else(|| wrong("it lacks its current context"))?.context;
        let cluster = file.clusters.iter().find(|cluster| cluster.name == context.cluster);
        let cluster = &cluster.ok_or_else(|| wrong("it lacks the cluster of its current context"))?.cluster;
        let user = file.users.iter().find(|user| user.name == context.user);
        let user = &user.ok_or_else(|| wrong("it lacks the user of its current context"))?.user;
        let bytes = |data: Option<&str>, file: Option<&str>, what: &str| match (data, file) {
            (Some(data), _) => STANDARD.decode(data).map_err(|_| wrong(&format!("its {what} is not base64"))),
            (None, Some(file)) => pem(Path::new(file)),
            (None, None) => Err(wrong(&format!("it has no {what}"))),
        };
        let ca = bytes(
            cluster.certificate_authority_data.as_deref(),
            cluster.certificate_authority.as_deref(),
            "certificate authority",
        )?;
        let certificate =
            bytes(user.client_certificate_data.as_deref(), user.client_certificate.as_deref(), "client certificate")?;
        let key = bytes(
            user.client_key_data.as_ref().map(|key| key.expose().as_str()),
            user.client_key.as_deref(),
            "client key",
        )?;
        let credentials = Credentials::new(&ca, Some((&certificate, &Secret::new(key))));
        Ok(Self { server: cluster.server.clone(), credentials, certificate })
    }

    /// A client for the server that it names.
    ///
    /// # Errors
    /// Credentials that are none.
    pub fn connect(&self) -> Result<Kube, CallError> {
        Kube::new(self.server.clone(), &self.credentials)
    }
}
