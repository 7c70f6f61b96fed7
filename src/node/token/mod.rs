//! The tokens that nodes join with: short-lived in the cluster, kept alive by all masters until the date that follows from
//! the cluster file, taken back by a word.
//!
//! ```text
//! seed ──────────── its token ─┐
//! Secret khimg-tokens ─ others ┼▶ keep ─▶ Secrets bootstrap-token-…: made, renewed, cut short or taken away
//! ConfigMap khimg ──── terms ──┘
//! ```
//!
//! All masters do the same at the same time, with clocks that differ. An expiry only ever moves on, never beyond the date
//! in the terms, and of two that write at once one finds that the other has. Whoever takes a token back writes the terms
//! first and removes the Secret then; whoever renews reads the terms again afterwards: in any order the token is gone.

mod admitted;
mod invitation;
mod object;
mod step;
mod terms;

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::call::CallError;
use super::error::NodeError;
use super::kube::{Kube, Reply};
use crate::input;
use crate::render::{JOIN_PATH, NodeFile};
use crate::secrets::{Secret, Token};
pub use invitation::{invite, is_invited};
use step::Step;
pub use terms::Terms;

/// Where Secrets are.
const SECRETS: &str = "/api/v1/namespaces/kube-system/secrets";

/// Largest configuration of kubeadm, in bytes.
const LIMIT: u64 = 1 << 20;

/// How long tokens live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Without being renewed.
    pub life: SignedDuration,
    /// After the cluster's formation, however often they are renewed.
    pub join: SignedDuration,
}

impl Policy {
    /// What the seed says.
    pub fn of(node: &NodeFile) -> Self {
        let seconds = |seconds: u64| SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        Self { life: seconds(node.token_seconds), join: seconds(node.join_seconds) }
    }
}

/// What a master found of one token, and did about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its public half.
    pub id: String,
    /// What was done.
    pub deed: Deed,
}

/// What was done about a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    /// Nothing: it lives long enough, or its time is over.
    Left,
    /// It lives again, after it had ended or was missing.
    Revived,
    /// It lives longer.
    Renewed,
    /// It lives no longer than the terms say.
    Shortened,
    /// It was taken back, and is gone.
    Removed,
    /// Somebody else changed it at the same moment.
    Raced,
}

/// A token as the cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Known {
    /// Its public half.
    pub id: String,
    /// Whether it was taken back.
    pub revoked: bool,
    /// Until when it lives unless it is renewed; nothing where it does not live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// The token in this node's seed.
///
/// # Errors
/// kubeadm's configuration cannot be read, or holds none.
pub fn of_this_node() -> Result<Token, NodeError> {
    let path = Path::new(JOIN_PATH);
    let text = input::read(path, LIMIT).map(Secret::new).map_err(NodeError::io("read", path))?;
    // Never the parser's own message: it may repeat the token.
    let options = serde_saphyr::options! { with_snippet: false };
    let read: Option<Value> = serde_saphyr::from_slice_with_options(text.expose(), options).ok();
    let token = read.as_ref().and_then(|read| read.pointer("/discovery/bootstrapToken/token")).and_then(Value::as_str);
    token
        .and_then(Token::parse)
        .ok_or_else(|| NodeError::Record { path: path.to_owned(), reason: "it has no bootstrap token".to_owned() })
}

/// How long a master waits before it looks after the tokens again: often enough that several rounds may fail.
pub fn pause(policy: &Policy, last: &[Kept]) -> SignedDuration {
    let usual = (policy.life / 8).clamp(SignedDuration::from_secs(2), SignedDuration::from_hours(1));
    // The cluster's own cleaner may just have been about to remove what had ended.
    let soon = last.iter().any(|kept| matches!(kept.deed, Deed::Revived | Deed::Raced));
    if soon { usual.min(SignedDuration::from_secs(30)) } else { usual }
}

/// One round of looking after all tokens: that of the seed, `own`, and those that were added. `now` is this machine's clock.
///
/// # Errors
/// The API server gives no useful answer. What was done until then stays, and the next round goes on.
pub async fn keep(kube: &Kube, own: &Token, policy: &Policy, now: Timestamp) -> Result<Vec<Kept>, NodeError> {
    let terms = Terms::agree(kube, policy, now).await?;
    let mut tokens = admitted::read(kube).await?;
    tokens.retain(|token| token.id() != own.id());
    tokens.insert(0, own.clone());
    let mut done = Vec::new();
    for token in &tokens {
        let deed = keep_one(kube, token, &terms, policy, now).await?;
        done.push(Kept { id: token.id().to_owned(), deed });
    }
    // What was taken back while it was being renewed.
    let latest = Terms::agree(kube, policy, now).await?;
    for kept in &mut done {
        if latest.is_revoked(&kept.id) && !terms.is_revoked(&kept.id) {
            kube.delete(&object::path(&kept.id), None).await?;
            kept.deed = Deed::Removed;
        }
    }
    Ok(done)
}

async fn keep_one(
    kube: &Kube,
    token: &Token,
    terms: &Terms,
    policy: &Policy,
    now: Timestamp,
) -> Result<Deed, NodeError> {
    let path = object::path(token.id());
    let found = kube.get(&path).await?.done();
    let sight = object::sight(found.as_ref(), token);
    let step = step::step(sight, terms.is_revoked(token.id()), terms.join_until, policy.life, now);
    let reply = match (step, &found) {
        (Step::Leave, _) => return Ok(Deed::Left),
        (Step::Remove, _) => kube.delete(&path, None).await?,
        (Step::Set(expires) | Step::Revive(expires), None) => {
            kube.create(SECRETS, &object::new(token, expires)).await?
        }
        (Step::Set(expires) | Step::Revive(expires), Some(found)) => {
            kube.patch(&path, &object::change(found, token, expires)).await?
        }
    };
    Ok(match (step, reply) {
        (Step::Leave, _) => Deed::Left,
        (Step::Remove, _) => Deed::Removed,
        (_, Reply::Missing | Reply::Conflict) => Deed::Raced,
        (Step::Revive(_), Reply::Done(_)) => Deed::Revived,
        (Step::Set(expires), Reply::Done(_)) => match sight {
            step::Sight::Until(before) if before <= expires => Deed::Renewed,
            _ => Deed::Shortened,
        },
    })
}

/// All tokens that khimg knows of in this cluster, that of the seed, `own`, first; and the terms.
///
/// # Errors
/// The API server gives no useful answer, or the cluster has no terms yet.
pub async fn list(kube: &Kube, own: Option<&Token>) -> Result<(Terms, Vec<Known>), NodeError> {
    let terms = Terms::read(kube).await?.ok_or_else(|| NodeError::from(missing()))?;
    let mut ids: Vec<String> = own.iter().map(|token| token.id().to_owned()).collect();
    ids.extend(admitted::read(kube).await?.iter().map(|token| token.id().to_owned()));
    ids.extend(terms.revoked.iter().cloned());
    let mut known: Vec<Known> = Vec::new();
    for id in ids {
        if known.iter().any(|other| other.id == id) {
            continue;
        }
        let found = kube.get(&object::path(&id)).await?.done();
        let expires = found.as_ref().and_then(object::expiration);
        known.push(Known { revoked: terms.is_revoked(&id), id, expires });
    }
    Ok((terms, known))
}

fn missing() -> CallError {
    CallError::Nobody { server: "cluster that khimg has formed" }
}

/// Takes a token back for good: nobody joins with it any more, and no master renews it. Nodes that have joined stay. An API
/// server that let it in a moment ago does so for 10 s more (k/k cmd/kube-apiserver, `TokenSuccessCacheTTL`).
///
/// # Errors
/// The API server gives no useful answer, or the cluster has no terms yet. It may be called again.
pub async fn revoke(kube: &Kube, id: &str) -> Result<(), NodeError> {
    Terms::change(kube, |terms| {
        terms.revoked.insert(id.to_owned());
    })
    .await?;
    kube.delete(&object::path(id), None).await?;
    Ok(())
}

/// Lets a token that was taken back be good again; the masters make it within a round.
///
/// # Errors
/// As [`revoke`].
pub async fn restore(kube: &Kube, id: &str) -> Result<(), NodeError> {
    Terms::change(kube, |terms| {
        terms.revoked.remove(id);
    })
    .await?;
    Ok(())
}

/// Adds a token of newer seeds, which is then as good as the first one; the masters make it within a round.
///
/// # Errors
/// As [`revoke`].
pub async fn admit(kube: &Kube, token: &Token) -> Result<(), NodeError> {
    admitted::add(kube, token).await?;
    restore(kube, token.id()).await
}

/// Lets all tokens be renewed until `date`, sooner or later than the cluster file said.
///
/// # Errors
/// As [`revoke`].
pub async fn extend(kube: &Kube, date: Timestamp) -> Result<(), NodeError> {
    Terms::change(kube, |terms| terms.join_until = date).await?;
    Ok(())
}
