//! What all masters agree on: the ConfigMap `kube-system/khimg`. Whoever writes first has its way; what is there already
//! stays.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::object::written;
use super::{Policy, missing};
use crate::node::error::NodeError;
use crate::node::kube::{Kube, Reply};

const MAPS: &str = "/api/v1/namespaces/kube-system/configmaps";
const PATH: &str = "/api/v1/namespaces/kube-system/configmaps/khimg";

/// Fields of the map.
const FORMED: &str = "formedAt";
const UNTIL: &str = "joinUntil";
const REVOKED: &str = "revokedTokens";

/// How often a change is tried anew when somebody else was faster.
const TRIES: u32 = 20;

/// Until when nodes may join, and with what not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// When the cluster was formed.
    pub formed_at: Timestamp,
    /// After this date no token is renewed.
    pub join_until: Timestamp,
    /// Public halves of the tokens that were taken back.
    pub revoked: BTreeSet<String>,
}

impl Terms {
    /// Whether the token was taken back.
    pub fn is_revoked(&self, id: &str) -> bool {
        self.revoked.contains(id)
    }

    /// The terms of a cluster; `None` where there are none yet.
    ///
    /// # Errors
    /// The API server gives no useful answer.
    pub(super) async fn read(kube: &Kube) -> Result<Option<Self>, NodeError> {
        Ok(kube.get(PATH).await?.done().as_ref().and_then(Self::parse))
    }

    /// The terms of a cluster, made from `policy` if there are none.
    pub(super) async fn agree(kube: &Kube, policy: &Policy, now: Timestamp) -> Result<Self, NodeError> {
        for _ in 0..TRIES {
            let found = kube.get(PATH).await?.done();
            if let Some(terms) = found.as_ref().and_then(Self::parse) {
                return Ok(terms);
            }
            let formed_at = found.as_ref().and_then(formed).unwrap_or(now);
            let join_until = formed_at.saturating_add(policy.join).unwrap_or(Timestamp::MAX);
            let terms = Self { formed_at, join_until, revoked: BTreeSet::new() };
            let reply = match &found {
                Some(found) => kube.patch(PATH, &terms.change_of(found)).await?,
                None => kube.create(MAPS, &terms.object()).await?,
            };
            if let Reply::Done(_) = reply {
                return Ok(terms);
            }
        }
        Err(contended())
    }

    /// Changes the terms, against others who do the same.
    pub(super) async fn change(kube: &Kube, change: impl Fn(&mut Self)) -> Result<Self, NodeError> {
        for _ in 0..TRIES {
            let found = kube.get(PATH).await?.done().ok_or_else(missing)?;
            let before = Self::parse(&found).ok_or_else(missing)?;
            let mut terms = before.clone();
            change(&mut terms);
            if terms == before {
                return Ok(terms);
            }
            if let Reply::Done(_) = kube.patch(PATH, &terms.change_of(&found)).await? {
                return Ok(terms);
            }
        }
        Err(contended())
    }

    /// What `object` says; `None` if it lacks a date.
    fn parse(object: &Value) -> Option<Self> {
        let text = |name: &str| object.get("data")?.get(name)?.as_str();
        Some(Self {
            formed_at: formed(object)?,
            join_until: text(UNTIL)?.parse().ok()?,
            revoked: text(REVOKED).unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
        })
    }

    fn data(&self) -> Map<String, Value> {
        let revoked: Vec<&str> = self.revoked.iter().map(String::as_str).collect();
        let fields =
            [(FORMED, written(self.formed_at)), (UNTIL, written(self.join_until)), (REVOKED, revoked.join(" "))];
        fields.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
    }

    fn object(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "khimg",
                "namespace": "kube-system",
                "labels": {"app.kubernetes.io/managed-by": "khimg"},
            },
            "data": self.data(),
        })
    }

    /// A change of `found` that holds only while nobody else changes it.
    fn change_of(&self, found: &Value) -> Value {
        json!({"metadata": {"resourceVersion": found.pointer("/metadata/resourceVersion")}, "data": self.data()})
    }
}

fn formed(object: &Value) -> Option<Timestamp> {
    object.get("data")?.get(FORMED)?.as_str()?.parse().ok()
}

fn contended() -> NodeError {
    NodeError::Contended { what: "ConfigMap kube-system/khimg", tries: TRIES }
}
