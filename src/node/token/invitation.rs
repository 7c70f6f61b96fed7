//! What a cluster tells in public to those that want to join, and signs with each token for its holders: the ConfigMap
//! `kube-public/cluster-info` (kubernetes.io, "Authenticating with Bootstrap Tokens").
//!
//! The controller manager signs it, too, but only when all its controllers are there, some seconds after the API server. The
//! signature depends on nothing but the text and the token, so that it finds its own.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::node::error::NodeError;
use crate::node::kube::{Kube, Reply};
use crate::secrets::Token;

/// Where it is.
const INFORMATION: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

/// What is signed.
const KUBECONFIG: &str = "/data/kubeconfig";

/// Where the signature for the holders of `token` is.
fn place(token: &Token) -> String {
    format!("jws-kubeconfig-{}", token.id())
}

/// Signs the public information with `token`, unless that was done. Nothing happens where there is none yet, or where somebody
/// changes it at the same moment.
///
/// # Errors
/// The API server gives no useful answer.
pub async fn invite(kube: &Kube, token: &Token) -> Result<(), NodeError> {
    let Reply::Done(information) = kube.get(INFORMATION).await? else { return Ok(()) };
    let Some(kubeconfig) = information.pointer(KUBECONFIG).and_then(Value::as_str) else { return Ok(()) };
    let place = place(token);
    let signature = signature(kubeconfig, token.id(), token.secret());
    if information["data"][&place] == signature.as_str() {
        return Ok(());
    }
    let version = &information["metadata"]["resourceVersion"];
    kube.patch(INFORMATION, &json!({"metadata": {"resourceVersion": version}, "data": {place: signature}})).await?;
    Ok(())
}

/// Whether the cluster behind `kube`, which may be asked by nobody in particular, has signed its information for the holders of
/// `token`.
///
/// # Errors
/// The API server gives no useful answer.
pub async fn is_invited(kube: &Kube, token: &Token) -> Result<bool, NodeError> {
    let Reply::Done(information) = kube.get(INFORMATION).await? else { return Ok(false) };
    Ok(information["data"].get(place(token)).is_some())
}

/// The detached signature of `text` (RFC 7515, appendix F) by HMAC-SHA256, as go-jose writes it: kubeadm compares the whole of
/// it with its own (k8s.io/cluster-bootstrap token/jws).
fn signature(text: &str, id: &str, secret: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{id}"}}"#));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{header}.{}", URL_SAFE_NO_PAD.encode(text)).as_bytes());
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Kubernetes' own tests expect (k/k staging/src/k8s.io/cluster-bootstrap/token/jws/jws_test.go).
    #[test]
    fn signs_as_kubernetes_does() {
        let text = "Hello from the other side. I must have called a thousand times.";
        assert_eq!(
            signature(text, "joshua", "my voice is my passcode"),
            "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8"
        );
    }
}
