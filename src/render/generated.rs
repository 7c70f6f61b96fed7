//! Files of a node that are built from types instead of templates: kubeadm's configurations, the PKI, and what
//! `khimg node` reads.

use std::str::FromStr;

use super::error::RenderError;
use super::images::{self, Names};
use super::node_file::{self, NodeFile};
use super::tree::{Content, Entry, Mode, TargetPath, Tree};
use crate::cluster::{Cluster, Node, Role};
use crate::digest::Digest;
use crate::kubeadm::Settings;
use crate::kubernetes::KubernetesVersion;
use crate::secrets::{Authority, Secrets};

/// The CA's certificate for everybody who only has to recognise the cluster. Not below kubeadm's own directory: a worker's
/// `kubeadm join` refuses a CA that lies there already.
pub const CA_PATH: &str = "/etc/khimg/ca.crt";

/// What a master forms the cluster with.
pub const INIT_PATH: &str = "/etc/khimg/kubeadm-init.yaml";

/// What the cluster stores: the same without etcd's first membership.
pub const STORED_PATH: &str = "/etc/khimg/kubeadm-stored.yaml";

/// What a node joins with.
pub const JOIN_PATH: &str = "/etc/khimg/kubeadm-join.yaml";

/// Where the node says how far it is: one line, a URL. Without it, it tells nobody.
pub const REPORT_URL_PATH: &str = "/etc/khimg/report/url";

/// What it shows there: one line.
pub const REPORT_TOKEN_PATH: &str = "/etc/khimg/report/token";

/// The only authorities whose certificates count there, where the cluster file names them.
pub const REPORT_CA_PATH: &str = "/etc/khimg/report/ca.crt";

/// The two trees of one node.
pub(super) struct Files {
    pub(super) public: Tree,
    pub(super) secret: Tree,
}

impl Files {
    fn put(tree: &mut Tree, path: &str, mode: Mode, bytes: Vec<u8>, origin: &str) -> Result<(), RenderError> {
        let entry = Entry { mode, content: Content::Bytes(bytes), origin: origin.to_owned() };
        tree.0.insert(TargetPath::from_str(path)?, entry);
        Ok(())
    }

    fn public(&mut self, path: &str, text: &str, origin: &str) -> Result<(), RenderError> {
        Self::put(&mut self.public, path, Mode::Plain, text.as_bytes().to_vec(), origin)
    }

    fn secret(&mut self, path: &str, text: &str, origin: &str) -> Result<(), RenderError> {
        Self::put(&mut self.secret, path, Mode::Private, text.as_bytes().to_vec(), origin)
    }

    /// A part of the PKI. Public parts go with the secret ones: they are of no use without them.
    fn pki(&mut self, path: &str, mode: Mode, text: &str) -> Result<(), RenderError> {
        Self::put(&mut self.secret, path, mode, text.as_bytes().to_vec(), "the cluster's PKI")
    }

    fn authority(&mut self, path: &str, authority: &Authority) -> Result<(), RenderError> {
        self.pki(&format!("{path}.crt"), Mode::Plain, &authority.certificate)?;
        self.pki(&format!("{path}.key"), Mode::Private, authority.key.expose())
    }
}

/// The generated files of `node`. `version` is there where the role carries Kubernetes.
pub(super) fn files(
    (cluster, secrets): (&Cluster, &Secrets),
    node: &Node,
    version: Option<KubernetesVersion>,
    (names, cni_bin): (&Names, &str),
) -> Result<Files, RenderError> {
    let mut files = Files { public: Tree::default(), secret: Tree::default() };
    let hash = secrets.ca_hash()?;
    // `ca_hash` prints a digest, so this reads one.
    let hash = Digest::from_str(&hash).unwrap_or_else(|_| Digest::of(hash.as_bytes()));
    let about = NodeFile::new(cluster, node, version, hash);
    let about =
        serde_saphyr::to_string(&about).map_err(|source| RenderError::Yaml { path: node_file::PATH, source })?;
    files.public(node_file::PATH, &about, "the cluster file")?;
    files.public(CA_PATH, &secrets.ca.certificate, "the cluster's PKI")?;

    if let Some(version) = version {
        let images = images::for_kubeadm(names, node.role, cluster.network.dns, cluster.target_of(node))?;
        let settings = Settings { cluster, version, images: &images, cni_bin, secrets };
        if node.role == Role::Master {
            files.secret(INIT_PATH, &settings.init(node)?, "kubeadm's configuration")?;
            files.public(STORED_PATH, &settings.stored()?, "kubeadm's configuration")?;
        }
        files.secret(JOIN_PATH, &settings.join(node)?, "kubeadm's configuration")?;
    }
    if node.role == Role::Master {
        files.authority("/etc/kubernetes/pki/ca", &secrets.ca)?;
        files.authority("/etc/kubernetes/pki/front-proxy-ca", &secrets.front_proxy_ca)?;
        files.pki("/etc/kubernetes/pki/sa.pub", Mode::Plain, &secrets.service_account.public)?;
        files.pki("/etc/kubernetes/pki/sa.key", Mode::Private, secrets.service_account.private.expose())?;
        // With an external etcd too: the node issues its own client certificate, and renews it.
        files.authority("/etc/kubernetes/pki/etcd/ca", &secrets.etcd_ca)?;
    }
    if node.role == Role::Etcd {
        // The member issues its own server and peer certificates, so that their keys never leave it.
        files.authority(&format!("{}/ca", node_file::ETCD_PKI), &secrets.etcd_ca)?;
    }
    if let Some(reports) = &cluster.seeding.reports {
        files.public(REPORT_URL_PATH, &format!("{}/report/{}\n", reports.url, node.name), "the cluster file")?;
        files.secret(
            REPORT_TOKEN_PATH,
            &format!("{}\n", secrets.report_token(&node.name).expose().trim_end()),
            "the secrets",
        )?;
        if let Some(ca) = &reports.ca {
            files.public(REPORT_CA_PATH, ca, "the cluster file")?;
        }
    }
    Ok(files)
}
