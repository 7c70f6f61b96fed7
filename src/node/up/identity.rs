//! Who this node is to the others that hold the cluster's etcd: a certificate that it issues itself, from the authority
//! that only they have. It stays in memory.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, version};

use crate::cluster::Role;
use crate::input;
use crate::node::call::Credentials;
use crate::node::error::NodeError;
use crate::render::NodeFile;
use crate::render::node_file::ETCD_PKI;
use crate::secrets::{Authority, Secret, Usage};

/// What precedes a node's name in the certificate. etcd's own certificates have the bare name.
const PREFIX: &str = "khimg:";

/// Largest PEM file, in bytes.
const MAX_PEM: u64 = 1 << 16;

/// The authority of etcd, with its key: on masters, or on the nodes of an external etcd.
pub(super) fn authority(role: Role) -> Result<Authority, NodeError> {
    let directory = if role == Role::Etcd { ETCD_PKI } else { "/etc/kubernetes/pki/etcd" };
    let read = |ending: &str| {
        let path = Path::new(directory).join(format!("ca.{ending}"));
        let bytes = input::read(&path, MAX_PEM).map_err(NodeError::io("read", &path))?;
        String::from_utf8(bytes).map_err(|_| NodeError::Record { path, reason: "it is not PEM".to_owned() })
    };
    Ok(Authority { certificate: read("crt")?, key: Secret::new(read("key")?) })
}

/// A node's certificate, with its key.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    ca: String,
    own: Authority,
}

impl Identity {
    /// Issues a new one.
    pub(super) fn issue(node: &NodeFile) -> Result<Self, NodeError> {
        let authority = authority(node.role)?;
        let names = [node.name.clone(), node.address.addr().to_string()];
        let own = authority.issue(&format!("{PREFIX}{}", node.name), &names, Usage::Server)?;
        Ok(Self { ca: authority.certificate, own })
    }

    /// To call etcd and the other nodes with.
    pub(super) fn credentials(&self) -> Credentials {
        let key = Secret::new(self.own.key.expose().clone().into_bytes());
        Credentials::new(self.ca.as_bytes(), Some((self.own.certificate.as_bytes(), &key)))
    }

    /// To be called with: takes in those only whose certificate comes from the same authority.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, NodeError> {
        let broken = |reason: String| NodeError::Identity { reason };
        let pem = |error: tokio_rustls::rustls::pki_types::pem::Error| broken(error.to_string());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.ca.as_bytes()) {
            roots.add(certificate.map_err(pem)?).map_err(|error| broken(error.to_string()))?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| broken(error.to_string()))?;
        let chain = CertificateDer::pem_slice_iter(self.own.certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(pem)?;
        let key = PrivateKeyDer::from_pem_slice(self.own.key.expose().as_bytes()).map_err(pem)?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])
            .map_err(|error| broken(error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| broken(error.to_string()))?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// The node that a certificate of this kind belongs to.
pub(super) fn owner(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?.as_str().ok()?.strip_prefix(PREFIX)?.to_owned();
    Some(name)
}
