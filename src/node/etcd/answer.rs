//! What the gateway answers, as it is written.

use serde::{Deserialize, Deserializer, de::Error};

use super::{Member, MemberId};

/// A number of 64 bits, which travels as a string.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Number(pub(super) u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Header {
    cluster_id: Number,
    member_id: Number,
}

#[derive(Debug, Deserialize)]
pub(super) struct Membership {
    #[serde(default)]
    header: Header,
    members: Vec<OneMember>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Added {
    pub(super) member: OneMember,
}

#[derive(Debug, Deserialize)]
pub(super) struct OneMember {
    #[serde(rename = "ID")]
    id: Number,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(default, rename = "clientURLs")]
    client_urls: Vec<String>,
    #[serde(default, rename = "isLearner")]
    is_learner: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Status {
    #[serde(default)]
    header: Header,
    #[serde(default)]
    version: String,
    #[serde(default)]
    leader: Number,
    #[serde(default, rename = "dbSize")]
    size: Number,
}

impl From<OneMember> for Member {
    fn from(read: OneMember) -> Self {
        Self {
            id: MemberId(read.id.0),
            name: read.name,
            peer_urls: read.peer_urls,
            client_urls: read.client_urls,
            learner: read.is_learner,
        }
    }
}

impl From<Membership> for super::Membership {
    fn from(read: Membership) -> Self {
        let mut members: Vec<Member> = read.members.into_iter().map(Member::from).collect();
        members.sort_by_key(|member| member.id);
        Self { cluster: read.header.cluster_id.0, asked: MemberId(read.header.member_id.0), members }
    }
}

impl From<Status> for super::Status {
    fn from(read: Status) -> Self {
        Self {
            member: MemberId(read.header.member_id.0),
            version: read.version,
            leader: (read.leader.0 != 0).then_some(MemberId(read.leader.0)),
            size: read.size.0,
        }
    }
}
