//! What the seed says of this machine, and how it reaches its cluster's etcd.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Url;
use tokio::net::TcpStream;

use super::identity::{self, Identity};
use super::marks::{Mark, Marks};
use super::{agent, disk, view};
use crate::kubeadm::{API_PORT, ETCD_CLIENT_PORT, ETCD_PEER_PORT};
use crate::node::call::{CallError, Credentials};
use crate::node::decision::Standing;
use crate::node::durable;
use crate::node::error::NodeError;
use crate::node::kube::Kube;
use crate::node::state::State;
use crate::render::node_file::Member;
use crate::render::{CA_PATH, NodeFile, node_file};
use crate::secrets::Usage;

/// How long a connection may take to come about. Nodes of a cluster are near each other.
const CONNECT: Duration = Duration::from_secs(3);

/// Reads what the seed says.
pub(in crate::node) fn read() -> Result<NodeFile, NodeError> {
    let path = Path::new(node_file::PATH);
    let text = fs::read_to_string(path).map_err(NodeError::io("read", path))?;
    serde_saphyr::from_str(&text)
        .map_err(|error| NodeError::Record { path: path.to_owned(), reason: error.to_string() })
}

/// The nodes that hold the cluster's etcd, this one among them if it does.
pub(in crate::node) fn holders(node: &NodeFile) -> impl Iterator<Item = &Member> {
    let role = disk::etcd_role(node);
    node.nodes.iter().filter(move |member| member.role == role)
}

/// Where clients reach the etcd at `address`.
pub(in crate::node) fn etcd_url(address: IpAddr) -> Result<Url, CallError> {
    view::url(address, ETCD_CLIENT_PORT, "")
}

/// What this node shows to etcd.
pub(in crate::node) fn credentials(node: &NodeFile) -> Result<Credentials, NodeError> {
    Ok(Identity::issue(node)?.credentials())
}

/// Forgets how this disk entered its cluster: what is there now came otherwise, or will. `known` too, if it is to register
/// anew.
pub(in crate::node) fn forget_entering(state: &State, known: bool) -> Result<(), NodeError> {
    let all = [Mark::Asked, Mark::Entering, Mark::Known];
    Marks::read(state)?.change(&[], if known { &all } else { &all[..2] })
}

/// The other masters on which anything listens that belongs to a cluster: etcd, whether it has a majority or not, or a khimg
/// that is about to start one.
pub(in crate::node) async fn listening(node: &NodeFile) -> Vec<String> {
    let ports = [ETCD_CLIENT_PORT, ETCD_PEER_PORT, agent::PORT];
    let others = holders(node).filter(|member| member.name != node.name);
    let asked = others.map(|member| async {
        let connections = ports.map(|port| tokio::time::timeout(CONNECT, TcpStream::connect((member.address, port))));
        let listens = join_all(connections).await.into_iter().any(|tried| matches!(tried, Ok(Ok(_))));
        listens.then(|| member.name.clone())
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// What those of the other members of etcd say of this node that can be reached and have a majority.
pub(in crate::node) async fn standings(node: &NodeFile) -> Result<Vec<Standing>, NodeError> {
    let (credentials, own) = (credentials(node)?, node.address.addr());
    let mut told = Vec::new();
    for member in holders(node).filter(|member| member.name != node.name) {
        match view::latest(member.address, &credentials).await {
            Ok(Some(view)) => told.push(view.standing(own)),
            Ok(None) => {}
            // Not a server of this cluster's etcd that could be asked.
            Err(error) if error.never_sent() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(told)
}

/// Issues what the API server shows to an external etcd, into the directory `pki`.
pub(in crate::node) fn issue_etcd_client(node: &NodeFile, pki: &Path) -> Result<(), NodeError> {
    let client = identity::authority(node.role)?.issue("kube-apiserver-etcd-client", &[], Usage::Client)?;
    let path = |ending: &str| pki.join(format!("apiserver-etcd-client.{ending}"));
    durable::write(&path("key"), 0o600, |file| file.write_all(client.key.expose().as_bytes()))?;
    durable::write(&path("crt"), 0o644, |file| file.write_all(client.certificate.as_bytes()))
}

/// The API server of the master at `address`, asked as nobody.
pub(in crate::node) fn api_server(address: IpAddr) -> Result<Kube, NodeError> {
    let credentials = Credentials::from_files(Path::new(CA_PATH), None)?;
    Ok(Kube::new(view::url(address, API_PORT, "")?, &credentials)?)
}
