//! Tokens of newer seeds, kept in the cluster itself so that masters with older seeds renew them too: the Secret
//! `kube-system/khimg-tokens`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::SECRETS;
use crate::node::error::NodeError;
use crate::node::kube::{Kube, Reply};
use crate::secrets::{Secret, Token};

const NAME: &str = "khimg-tokens";

fn path() -> String {
    format!("{SECRETS}/{NAME}")
}

/// All of them, in the order of their public halves. What is no token is passed over.
pub(super) async fn read(kube: &Kube) -> Result<Vec<Token>, NodeError> {
    let Reply::Done(object) = kube.get(&path()).await? else { return Ok(Vec::new()) };
    let data = object.get("data").and_then(Value::as_object);
    let token = |value: &Value| {
        let bytes = Secret::new(STANDARD.decode(value.as_str()?).ok()?);
        Token::parse(std::str::from_utf8(bytes.expose()).ok()?)
    };
    Ok(data.into_iter().flatten().filter_map(|(_, value)| token(value)).collect())
}

/// Adds one.
pub(super) async fn add(kube: &Kube, token: &Token) -> Result<(), NodeError> {
    let data: Map<String, Value> = Map::from_iter([(token.id().to_owned(), Value::String(token.expose().to_owned()))]);
    if let Reply::Done(_) = kube.patch(&path(), &json!({"stringData": data})).await? {
        return Ok(());
    }
    let object = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": NAME,
            "namespace": "kube-system",
            "labels": {"app.kubernetes.io/managed-by": "khimg"},
        },
        "type": "Opaque",
        "stringData": data,
    });
    // Made by somebody else in the meantime: then it takes the change.
    if kube.create(SECRETS, &object).await? == Reply::Conflict {
        kube.patch(&path(), &json!({"stringData": data})).await?;
    }
    Ok(())
}
