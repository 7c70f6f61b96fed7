//! One master at a time: the Lease `kube-system/khimg-renewal`.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::RenewalError;
use crate::node::error::NodeError;
use crate::node::kube::{Kube, Reply};
use crate::node::lease::{self, LEASES, holder};

const NAME: &str = "khimg-renewal";

/// How long a turn lasts, if nobody ends it: longer than all restarts together may take.
const TURN: SignedDuration = SignedDuration::from_mins(30);

/// How far the clocks of masters may be apart.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// This node's turn.
pub(super) struct Turn<'a> {
    kube: &'a Kube,
    name: &'a str,
}

fn began(lease: &Value) -> Option<Timestamp> {
    lease.pointer("/spec/renewTime").and_then(Value::as_str)?.parse().ok()
}

impl<'a> Turn<'a> {
    /// Takes the turn for the node `name`.
    pub(super) async fn take(kube: &'a Kube, name: &'a str, now: Timestamp) -> Result<Self, NodeError> {
        let path = lease::path(NAME);
        let found = kube.get(&path).await?.done();
        let over = |began: Timestamp| began.saturating_add(TURN + SKEW).unwrap_or(began) < now;
        if let Some(other) = found.as_ref().and_then(holder).filter(|other| *other != name)
            && !found.as_ref().and_then(began).is_none_or(over)
        {
            return Err(RenewalError::NotMyTurn { other: other.to_owned() }.into());
        }
        let spec = json!({
            "holderIdentity": name,
            "leaseDurationSeconds": TURN.as_secs(),
            "renewTime": now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
        });
        let reply = match &found {
            Some(lease) => {
                let version = lease.pointer("/metadata/resourceVersion");
                kube.patch(&path, &json!({"metadata": {"resourceVersion": version}, "spec": spec})).await?
            }
            None => kube.create(LEASES, &lease::new(NAME, &spec)).await?,
        };
        match reply {
            Reply::Done(_) => Ok(Self { kube, name }),
            Reply::Missing | Reply::Conflict => {
                Err(RenewalError::NotMyTurn { other: "another master".to_owned() }.into())
            }
        }
    }

    /// Ends it.
    pub(super) async fn end(&self) -> Result<(), NodeError> {
        let path = lease::path(NAME);
        let Reply::Done(lease) = self.kube.get(&path).await? else { return Ok(()) };
        if holder(&lease) == Some(self.name) {
            let version = lease.pointer("/metadata/resourceVersion");
            let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"holderIdentity": ""}});
            self.kube.patch(&path, &patch).await?;
        }
        Ok(())
    }
}
