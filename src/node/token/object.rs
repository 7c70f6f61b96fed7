//! A token as the cluster keeps it: the Secret `bootstrap-token-<id>` (kubernetes.io, "Authenticating with bootstrap
//! tokens").

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::SECRETS;
use super::step::Sight;
use crate::secrets::Token;

/// The path of a token's Secret.
pub(super) fn path(id: &str) -> String {
    format!("{SECRETS}/bootstrap-token-{id}")
}

/// The fields of a token that ends then; the same that kubeadm writes.
fn fields(token: &Token, expires: Timestamp) -> Value {
    json!({
        "token-id": token.id(),
        "token-secret": token.secret(),
        "expiration": written(expires),
        "usage-bootstrap-signing": "true",
        "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
        "description": "khimg: joins the nodes of the cluster file",
    })
}

/// As RFC 3339 with whole seconds.
pub(super) fn written(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A new Secret.
pub(super) fn new(token: &Token, expires: Timestamp) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": format!("bootstrap-token-{}", token.id()),
            "namespace": "kube-system",
            "labels": {"app.kubernetes.io/managed-by": "khimg"},
        },
        "type": "bootstrap.kubernetes.io/token",
        "stringData": fields(token, expires),
    })
}

/// A change of `found` that holds only while nobody else changes it.
pub(super) fn change(found: &Value, token: &Token, expires: Timestamp) -> Value {
    json!({
        "metadata": {"resourceVersion": found.pointer("/metadata/resourceVersion")},
        "stringData": fields(token, expires),
    })
}

fn field(object: &Value, name: &str) -> Option<String> {
    let text = object.get("data")?.get(name)?.as_str()?;
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}

/// When a Secret's token ends.
pub(super) fn expiration(object: &Value) -> Option<Timestamp> {
    field(object, "expiration")?.parse().ok()
}

/// What `found` is for `token`.
pub(super) fn sight(found: Option<&Value>, token: &Token) -> Sight {
    let Some(found) = found else { return Sight::Missing };
    let has = |name: &str, value: &str| field(found, name).as_deref() == Some(value);
    let is_sound = has("token-id", token.id())
        && has("token-secret", token.secret())
        && has("usage-bootstrap-signing", "true")
        && has("usage-bootstrap-authentication", "true");
    match (is_sound, field(found, "expiration")) {
        (false, _) => Sight::Damaged,
        (true, None) => Sight::Endless,
        (true, Some(text)) => text.parse().map_or(Sight::Damaged, Sight::Until),
    }
}
