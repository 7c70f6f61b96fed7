//! etcd, through the JSON gateway that every server has on its clients' port (etcd documentation, "gRPC gateway"): who its
//! members are, whether they have a majority, and a copy of what they hold.
//!
//! The gateway's path is `/v3` from etcd 3.4 on and `/v3beta` in 3.3. Numbers of 64 bits travel as strings, and what is zero
//! or empty is left out.

mod answer;
pub(super) mod data;
mod snapshot;
pub(in crate::node) mod wal;

use std::fmt;
use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};

use super::call::{Body, CallError, Caller, Credentials, parsed, refused};
pub use snapshot::Snapshot;

/// How long etcd may take to answer: it gives up by itself after 7 s (etcd `server/config`, `ReqTimeout`).
const TIME: Duration = Duration::from_secs(8);

/// How long a read that needs a majority may take before there is none. An election takes 1 s to 2 s.
const QUORUM: Duration = Duration::from_secs(4);

/// Largest answer, in bytes: a list of members has some hundred for each.
const LIMIT: usize = 1 << 20;

/// The gateway's paths, the newest first.
const PATHS: [&str; 2] = ["v3", "v3beta"];

/// What a member is known by, written in hexadecimal as etcd's own tools do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it is known by.
    pub id: MemberId,
    /// Its name; empty while it was added and has not started.
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; empty until it has taken part.
    pub client_urls: Vec<String>,
    /// Whether it has no vote yet.
    pub learner: bool,
}

/// What one server says of the membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The cluster's own number.
    pub cluster: u64,
    /// The server that answered.
    pub asked: MemberId,
    /// All members, in the order of their numbers.
    pub members: Vec<Member>,
}

/// What one server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The server that answered.
    pub member: MemberId,
    /// Its version.
    pub version: String,
    /// The leader that it follows, if it knows one. It may have been lost since: see [`Etcd::quorate`].
    pub leader: Option<MemberId>,
    /// Size of its database in bytes.
    pub size: u64,
}

/// A way to some servers of one etcd cluster.
#[derive(Debug, Clone)]
pub struct Etcd {
    caller: Caller,
    endpoints: Vec<Url>,
}

/// Whether a call that failed somewhere may be made again elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// It changes nothing.
    None,
    /// It may have been carried out although no answer came.
    Change,
}

impl Etcd {
    /// A client for the servers at `endpoints` (`https://address:2379`), which are asked in this order.
    ///
    /// # Errors
    /// Credentials that are none.
    pub fn new(endpoints: Vec<Url>, credentials: &Credentials) -> Result<Self, CallError> {
        Ok(Self { caller: Caller::new(credentials)?, endpoints })
    }

    /// The members, as the first server that answers knows them. Where that has no majority, it may have missed something.
    ///
    /// # Errors
    /// No server answers with a list.
    pub async fn members(&self) -> Result<Membership, CallError> {
        let (url, answer) = self.ask("cluster/member/list", &json!({}), TIME, Effect::None).await?;
        parsed::<answer::Membership>(&url, &answer).map(Membership::from)
    }

    /// Adds a member, which then has to be started; without a vote if it is a `learner` (etcd 3.4 or newer).
    ///
    /// # Errors
    /// etcd refuses, for instance because a member is being added or has these URLs, or because not all members have been
    /// connected for 5 s; or no answer came, and it may have been added.
    pub async fn add(&self, peer_urls: &[String], learner: bool) -> Result<Member, CallError> {
        let mut call = json!({"peerURLs": peer_urls});
        if learner {
            call["isLearner"] = Value::Bool(true);
        }
        let (url, answer) = self.ask("cluster/member/add", &call, TIME, Effect::Change).await?;
        parsed::<answer::Added>(&url, &answer).map(|added| added.member.into())
    }

    /// Takes a member out. `false` if there was none.
    ///
    /// # Errors
    /// etcd refuses, for instance because the others would have no majority; or no answer came, and it may be out.
    pub async fn remove(&self, id: MemberId) -> Result<bool, CallError> {
        let call = json!({"ID": id.0.to_string()});
        match self.ask("cluster/member/remove", &call, TIME, Effect::Change).await {
            Ok(_) => Ok(true),
            Err(CallError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the first server that answers says of itself.
    ///
    /// # Errors
    /// No server answers.
    pub async fn status(&self) -> Result<Status, CallError> {
        let (url, answer) = self.ask("maintenance/status", &json!({}), TIME, Effect::None).await?;
        parsed::<answer::Status>(&url, &answer).map(Status::from)
    }

    /// Whether the first server that can be reached is one of a majority right now: it can do a read that a majority has to
    /// confirm. All that it says of the membership afterwards is at least as new as this.
    ///
    /// # Errors
    /// No server can be reached.
    pub async fn quorate(&self) -> Result<bool, CallError> {
        // One key that need not exist; reads are linearizable unless they say otherwise.
        let call = json!({"key": "AA==", "count_only": true});
        match self.ask("kv/range", &call, QUORUM, Effect::Change).await {
            Ok(_) => Ok(true),
            Err(CallError::Refused { status, .. }) if status.is_server_error() => Ok(false),
            Err(CallError::Silent { source, .. }) if source.is_timeout() && !source.is_connect() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Calls one server after the other until one answers.
    async fn ask(
        &self,
        method: &str,
        call: &Value,
        time: Duration,
        effect: Effect,
    ) -> Result<(Url, Vec<u8>), CallError> {
        let mut last = CallError::Nobody { server: "etcd" };
        for endpoint in &self.endpoints {
            match self.ask_one(endpoint, method, call, time).await {
                Ok(answer) => return Ok(answer),
                Err(error) if effect == Effect::Change && !error.never_sent() => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn ask_one(
        &self,
        endpoint: &Url,
        method: &str,
        call: &Value,
        time: Duration,
    ) -> Result<(Url, Vec<u8>), CallError> {
        let mut last = None;
        for path in PATHS {
            let url = at(endpoint, path, method);
            let body = Body { media: "application/json", json: call };
            let (status, answer) = self.caller.call(Method::POST, &url, Some(body), time, LIMIT).await?;
            if status.is_success() {
                return Ok((url, answer));
            }
            let error = refused(&url, status, &answer);
            if !is_unknown_path(&error) {
                return Err(error);
            }
            last.get_or_insert(error);
        }
        Err(last.unwrap_or(CallError::Nobody { server: "etcd" }))
    }
}

/// The address of a method of the gateway.
fn at(endpoint: &Url, path: &str, method: &str) -> Url {
    let mut url = endpoint.clone();
    url.set_path(&format!("{path}/{method}"));
    url
}

/// Whether the server has no such path, rather than etcd having no such member: that one says so in its own words.
fn is_unknown_path(error: &CallError) -> bool {
    matches!(error, CallError::Refused { status: StatusCode::NOT_FOUND, message, .. } if !message.starts_with("etcdserver:"))
}
