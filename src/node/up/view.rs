//! What an etcd server says of the membership, and where a node stands in it.

use reqwest::{Method, Url};
use serde::Deserialize;

use crate::kubeadm::{ETCD_CLIENT_PORT, ETCD_PEER_PORT, host_port};
use crate::node::call::{CallError, Caller, Credentials, parsed};
use crate::node::decision::{Peer, Standing};
use crate::node::etcd::{Etcd, MemberId};
use std::net::IpAddr;
use std::time::Duration;

/// How long a server may take to list its members.
const TIME: Duration = Duration::from_secs(3);

/// Largest list, in bytes.
const LIMIT: usize = 1 << 18;

/// One member, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: MemberId,
    pub(super) name: String,
    pub(super) peer_urls: Vec<String>,
    has_taken_part: bool,
}

/// A membership, and whether it is the latest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) quorate: bool,
    /// The cluster's own number, where that is known.
    pub(super) cluster: Option<u64>,
    pub(super) members: Vec<Seen>,
}

impl View {
    /// The member at `address`.
    pub(super) fn member(&self, address: IpAddr) -> Option<&Seen> {
        let url = peer_url(address);
        self.members.iter().find(|member| member.peer_urls.contains(&url))
    }

    /// Where the node at `address` stands.
    pub(super) fn standing(&self, address: IpAddr) -> Standing {
        match self.member(address) {
            None => Standing::Absent,
            Some(member) if member.has_taken_part => Standing::Started,
            Some(member) if member.name.is_empty() => Standing::Added,
            Some(_) => Standing::Expected,
        }
    }

    /// What whoever has this view says of the node at `address`.
    pub(super) fn answer(&self, address: IpAddr) -> Peer {
        Peer::Member { quorate: self.quorate, me: self.standing(address) }
    }
}

/// Where other members reach the one at `address`.
pub(super) fn peer_url(address: IpAddr) -> String {
    format!("https://{}", host_port(address, ETCD_PEER_PORT))
}

/// The etcd at `address`.
pub(super) fn server(address: IpAddr, credentials: &Credentials) -> Result<Etcd, CallError> {
    Etcd::new(vec![url(address, ETCD_CLIENT_PORT, "")?], credentials)
}

/// `https://address:port/path`.
pub(super) fn url(address: IpAddr, port: u16, path: &str) -> Result<Url, CallError> {
    // An address and a port are always one.
    Url::parse(&format!("https://{}/{path}", host_port(address, port)))
        .map_err(|_| CallError::Nobody { server: "etcd" })
}

/// The latest membership, if the etcd at `address` is one of a majority.
pub(super) async fn latest(address: IpAddr, credentials: &Credentials) -> Result<Option<View>, CallError> {
    let etcd = server(address, credentials)?;
    if !etcd.quorate().await? {
        return Ok(None);
    }
    let membership = etcd.members().await?;
    let members = membership.members.into_iter().map(|member| Seen {
        id: member.id,
        name: member.name,
        peer_urls: member.peer_urls,
        has_taken_part: !member.client_urls.is_empty(),
    });
    Ok(Some(View { quorate: true, cluster: Some(membership.cluster), members: members.collect() }))
}

/// The membership that the etcd at `address` has on its disk, which may be an old one. Asked where the members ask each
/// other: a server that has no majority since it started does not answer its clients at all (etcd `server/embed`,
/// `ReadyNotify`).
pub(super) async fn on_disk(address: IpAddr, credentials: &Credentials) -> Result<View, CallError> {
    let url = url(address, ETCD_PEER_PORT, "members")?;
    let (status, body) = Caller::new(credentials)?.call(Method::GET, &url, None, TIME, LIMIT).await?;
    if !status.is_success() {
        return Err(crate::node::call::refused(&url, status, &body));
    }
    let members = parsed::<Vec<Told>>(&url, &body)?.into_iter().map(Seen::from);
    Ok(View { quorate: false, cluster: None, members: members.collect() })
}

/// A member, as members tell each other (etcd `server/etcdserver/api/membership`, `Member`).
#[derive(Debug, Deserialize)]
struct Told {
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(default, rename = "clientURLs")]
    client_urls: Vec<String>,
}

impl From<Told> for Seen {
    fn from(told: Told) -> Self {
        Self {
            id: MemberId(told.id),
            name: told.name,
            peer_urls: told.peer_urls,
            has_taken_part: !told.client_urls.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standings_follow_from_names_and_addresses() {
        // As etcd 3.4 answers.
        let told = r#"[{"id":10276657743932975437,"peerURLs":["https://10.0.0.11:2380"],"name":"m1","clientURLs":["https://10.0.0.11:2379"]},
            {"id":2,"peerURLs":["https://10.0.0.12:2380"],"name":"m2"},{"id":3,"peerURLs":["https://10.0.0.13:2380"]}]"#;
        let told: Vec<Told> = serde_json::from_str(told).expect("JSON");
        let view = View { quorate: false, cluster: None, members: told.into_iter().map(Seen::from).collect() };
        let at = |last: u8| view.standing(IpAddr::from([10, 0, 0, last]));
        assert_eq!(
            [11, 12, 13, 14].map(at),
            [Standing::Started, Standing::Expected, Standing::Added, Standing::Absent]
        );
    }
}
