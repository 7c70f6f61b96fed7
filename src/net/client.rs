//! The one HTTP client.

use std::path::Path;

use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder};

use super::error::causes;
use super::{NetError, NetOptions, Proxy, redirect};
use crate::input;

/// Largest file of certificates, in bytes: Mozilla's whole list has a quarter of a million.
const MAX_PEM: u64 = 16 << 20;

/// The certificates of a PEM file.
pub(super) fn roots(path: &Path) -> Result<Vec<Certificate>, NetError> {
    let unusable = |reason: String| NetError::CaFile { path: path.to_path_buf(), reason };
    let pem = input::read(path, MAX_PEM).map_err(|e| unusable(e.to_string()))?;
    let roots = Certificate::from_pem_bundle(&pem).map_err(|e| unusable(causes(&e)))?;
    if roots.is_empty() {
        return Err(unusable("it holds no certificate".to_owned()));
    }
    Ok(roots)
}

pub(super) fn build(options: &NetOptions, roots: &[Certificate]) -> Result<Client, String> {
    let configured = configured(options)?;
    match configured.tls_certs_merge(roots.iter().cloned()).build() {
        Ok(client) => Ok(client),
        // A machine without any certificate authority (Debian without ca-certificates): plain http must still work, https
        // then fails as untrusted.
        Err(_) => self::configured(options)?.tls_certs_only(roots.iter().cloned()).build().map_err(|e| causes(&e)),
    }
}

fn configured(options: &NetOptions) -> Result<ClientBuilder, String> {
    // Bytes are hashed and resumed as they lie on the server: nobody may compress them on the way.
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let builder = Client::builder()
        .user_agent(concat!("khimg/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .referer(false)
        .retry(reqwest::retry::never())
        .redirect(redirect::policy())
        .connect_timeout(options.connect_timeout)
        .read_timeout(options.read_timeout)
        .pool_max_idle_per_host(options.per_host.max(1));
    match &options.proxy {
        Proxy::Environment => Ok(builder),
        Proxy::Direct => Ok(builder.no_proxy()),
        Proxy::Url(url) => Ok(builder.proxy(reqwest::Proxy::all(url.clone()).map_err(|e| causes(&e.without_url()))?)),
    }
}
