//! Sockets for HTTP, with and without TLS, and what bounds each connection.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, version};

use super::answer::{Site, Way};
use super::body::{Answered, Meter};
use super::error::ServeError;
use super::{board::Board, page};
use crate::input;

/// How many connections are served at once. Others wait in the kernel's queue.
const CROWD: usize = 4096;

/// How many may wait there.
const QUEUE: u32 = 4096;

/// How long a client may take for a handshake or for the head of a request.
const HEAD: Duration = Duration::from_secs(10);

/// How long a connection may stay without a request and without a byte of an answer taken.
const SILENCE: Duration = Duration::from_secs(60);

/// Most that is read of a request's head, in bytes; hyper takes no less.
const REQUEST: usize = 8 << 10;

/// How long to wait when no connection can be taken, for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Largest PEM file, in bytes.
const MAX_PEM: u64 = 1 << 20;

/// What is answered on a socket.
#[derive(Clone)]
pub enum Content {
    /// Depot, boot scripts and reports; secrets if so said.
    Site(Arc<Site>, bool),
    /// The live table.
    Page(Arc<Board>),
}

/// A socket that is open.
pub struct Door {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Door {
    /// Opens a socket on `address`, on one interface only where that is named.
    ///
    /// # Errors
    /// The address is not this machine's, or taken, or not allowed.
    pub fn open(address: SocketAddr, interface: Option<&str>, tls: Option<TlsAcceptor>) -> Result<Self, ServeError> {
        let listener =
            bind(address, interface).map_err(|source| ServeError::Listen { what: format!("TCP {address}"), source })?;
        Ok(Self { listener, tls })
    }

    /// Where it is.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> Result<SocketAddr, ServeError> {
        let told = self.listener.local_addr();
        told.map_err(|source| ServeError::Listen { what: "an address that is not told".to_owned(), source })
    }

    /// Answers for ever.
    pub async fn serve(self, content: Content) -> Infallible {
        let crowd = Arc::new(Semaphore::new(CROWD));
        loop {
            let Ok(permit) = Arc::clone(&crowd).acquire_owned().await else { continue };
            let Ok((stream, peer)) = self.listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let (content, tls) = (content.clone(), self.tls.clone());
            tokio::spawn(async move {
                // Who asks hears of a failure by getting no answer.
                let _ended = connection(stream, peer, tls, content).await;
                drop(permit);
            });
        }
    }
}

fn bind(address: SocketAddr, interface: Option<&str>) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server that is started again need not wait for the former one's last connections.
    socket.set_reuseaddr(true)?;
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    socket.bind(address)?;
    socket.listen(QUEUE)
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    content: Content,
) -> Result<(), hyper::Error> {
    let Ok(local) = stream.local_addr() else { return Ok(()) };
    // An answer's last piece must not wait for the client's acknowledgement of the one before.
    let _slower = stream.set_nodelay(true);
    let way = Way {
        peer: peer.ip().to_canonical(),
        local,
        secrets: matches!(content, Content::Site(_, true)),
        meter: Meter::default(),
    };
    match tls {
        None => talk(stream, way, content).await,
        Some(tls) => match tokio::time::timeout(HEAD, tls.accept(stream)).await {
            Ok(Ok(stream)) => talk(stream, way, content).await,
            _ => Ok(()),
        },
    }
}

async fn talk<S>(stream: S, way: Way, content: Content) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let meter = way.meter.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (way, content) = (way.clone(), content.clone());
        async move {
            match content {
                Content::Site(site, _) => Ok::<Response<Answered>, Infallible>(site.answer(&way, request).await),
                Content::Page(board) => page::answer(&board, &request),
            }
        }
    });
    let connection = http1::Builder::new()
        .max_buf_size(REQUEST)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    loop {
        let before = meter.count();
        match tokio::time::timeout(SILENCE, connection.as_mut()).await {
            Ok(ended) => return ended,
            Err(_) if meter.count() == before => return Ok(()),
            Err(_) => {}
        }
    }
}

/// What TLS shows to clients: a certificate with its chain, and its key.
///
/// # Errors
/// Files that cannot be read, are no PEM, or do not fit each other.
pub fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, ServeError> {
    let broken = |path: &Path, reason: String| ServeError::Tls { path: path.to_path_buf(), reason };
    let read = |path: &Path| input::read(path, MAX_PEM).map_err(|error| broken(path, error.to_string()));
    let chain = CertificateDer::pem_slice_iter(&read(certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| broken(certificate, error.to_string()))?;
    let pem = zeroize::Zeroizing::new(read(key)?);
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| broken(key, error.to_string()))?;
    // 1.2 as well: machines that boot have old clients.
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| broken(certificate, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
