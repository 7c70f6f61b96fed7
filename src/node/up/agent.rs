//! What a node that holds etcd answers to the others: whether its disk is empty, or else what it knows of who asks.
//!
//! HTTPS on the node's own address, one question: `GET /v1/standing`. Only whoever has a certificate of another such node
//! of this cluster is answered, and about nobody but itself.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::identity::{self, Identity};
use super::marks::{Mark, Marks};
use super::view::{self, View};
use super::{Node, disk};
use crate::node::call::Credentials;
use crate::node::decision::{Peer, Standing};
use crate::node::error::NodeError;

/// Where nodes answer. Nobody has registered it, and nothing of Kubernetes uses it.
pub const PORT: u16 = 10280;

/// The question.
pub(super) const PATH: &str = "v1/standing";

/// How long a connection may last: etcd has some seconds to find out whether it has a majority.
const TIME: Duration = Duration::from_secs(12);

/// How many may ask at once: nine masters are many.
const CROWD: usize = 32;

/// Most that is read of a request, in bytes; hyper takes no less.
const REQUEST: usize = 8 << 10;

/// How long a certificate is used. It is valid for a year.
const RENEWAL: Duration = Duration::from_secs(24 * 3600);

/// How long to wait before the address is tried again, which may not be there yet.
const PAUSE: Duration = Duration::from_secs(2);

/// An answer. Silence means that the node does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "disk")]
pub(super) enum Answer {
    /// Its disk is empty.
    Fresh,
    /// It has data.
    Data {
        /// Whether it is one of a majority right now.
        quorate: bool,
        /// What it knows of who asks.
        standing: Word,
    },
}

/// A standing, as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Word {
    Absent,
    Added,
    Expected,
    Started,
}

impl From<Answer> for Peer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Fresh => Self::Fresh,
            Answer::Data { quorate, standing } => Self::Member {
                quorate,
                me: match standing {
                    Word::Absent => Standing::Absent,
                    Word::Added => Standing::Added,
                    Word::Expected => Standing::Expected,
                    Word::Started => Standing::Started,
                },
            },
        }
    }
}

fn word(standing: Standing) -> Word {
    match standing {
        Standing::Absent => Word::Absent,
        Standing::Added => Word::Added,
        Standing::Expected => Word::Expected,
        Standing::Started => Word::Started,
    }
}

/// Answers for ever.
pub(super) async fn serve(node: Arc<Node>) -> Infallible {
    loop {
        if let Err(error) = serve_with_one_identity(&node).await {
            node.teller.note(format!("cannot answer the other nodes yet: {error}"));
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn serve_with_one_identity(node: &Arc<Node>) -> Result<(), NodeError> {
    let identity = Identity::issue(&node.file)?;
    let (acceptor, credentials) = (identity.acceptor()?, identity.credentials());
    let address = (node.file.address.addr(), PORT);
    let listen = |source| NodeError::Listen { address: address.into(), source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let crowd = Arc::new(Semaphore::new(CROWD));
    let end = Instant::now() + RENEWAL;
    while let Ok(accepted) = tokio::time::timeout_at(end.into(), listener.accept()).await {
        // Whoever went away again, or came when there were no descriptors, is no reason to end.
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&crowd).try_acquire_owned() else { continue };
        let (node, acceptor, credentials) = (Arc::clone(node), acceptor.clone(), credentials.clone());
        tokio::spawn(async move {
            let answered = answer(&node, &acceptor, &credentials, stream);
            // Who asks hears of a failure by getting no answer.
            let _ended = tokio::time::timeout(TIME, answered).await;
            drop(permit);
        });
    }
    Ok(())
}

async fn answer(node: &Arc<Node>, acceptor: &TlsAcceptor, credentials: &Credentials, stream: TcpStream) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let asking = certificate.and_then(identity::owner);
    // By the certificate's name, and only those that the cluster file names.
    let address = asking.and_then(|name| node.others().find(|other| other.name == name).map(|other| other.address));
    let service = service_fn(|request: Request<Incoming>| async move {
        let is_question = request.method() == Method::GET && request.uri().path().strip_prefix('/') == Some(PATH);
        let (status, body) = match address {
            None => (StatusCode::FORBIDDEN, Bytes::new()),
            Some(_) if !is_question => (StatusCode::NOT_FOUND, Bytes::new()),
            Some(address) => match look(node, credentials, address).await {
                Some(answer) => (StatusCode::OK, serde_json::to_vec(&answer).unwrap_or_default().into()),
                None => (StatusCode::SERVICE_UNAVAILABLE, Bytes::new()),
            },
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        Ok::<_, Infallible>(response)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(REQUEST)
        .timer(TokioTimer::new())
        .header_read_timeout(TIME)
        .serve_connection(TokioIo::new(stream), service);
    // As above.
    let _ended = connection.await;
}

/// What this node knows of the one at `asking`; `None` if it knows nothing.
async fn look(node: &Node, credentials: &Credentials, asking: IpAddr) -> Option<Answer> {
    if !disk::has_data(&node.file) {
        return Some(Answer::Fresh);
    }
    let view = own_view(node, credentials).await?;
    Some(Answer::Data { quorate: view.quorate, standing: word(view.standing(asking)) })
}

/// The membership that this node's own etcd knows.
pub(super) async fn own_view(node: &Node, credentials: &Credentials) -> Option<View> {
    let own = node.file.address.addr();
    if let Ok(Some(view)) = view::latest(own, credentials).await {
        return Some(view);
    }
    // A new member of a living cluster has heard of it what it was started with, and that is not what etcd has agreed on.
    let is_entering = Marks::read(&node.state).map_or(true, |marks| marks.has(Mark::Entering));
    if is_entering {
        return None;
    }
    view::on_disk(own, credentials).await.ok().filter(|view| !view.members.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_travel() {
        for answer in [Answer::Fresh, Answer::Data { quorate: true, standing: Word::Expected }] {
            let text = serde_json::to_string(&answer).expect("JSON");
            assert_eq!(serde_json::from_str::<Answer>(&text).expect("an answer"), answer, "{text}");
        }
        for standing in [Standing::Absent, Standing::Added, Standing::Expected, Standing::Started] {
            let peer = Peer::from(Answer::Data { quorate: false, standing: word(standing) });
            assert_eq!(peer, Peer::Member { quorate: false, me: standing });
        }
        let strange = r#"{"disk":"data","quorate":true,"standing":"king"}"#;
        assert!(serde_json::from_str::<Answer>(strange).is_err());
    }
}
