//! The Kubernetes API, as far as a node needs it: documents by path, and the two refusals that are answers.

use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};

use super::call::{Body, CallError, Caller, Credentials, parsed, refused};

/// How long the server may take to answer.
const TIME: Duration = Duration::from_secs(10);

/// How long it may take to say whether it is well.
const HEALTH: Duration = Duration::from_secs(3);

/// Largest answer, in bytes. A page of [`PAGE`] nodes has a megabyte or two.
const LIMIT: usize = 32 << 20;

/// How many items a list is asked for at once.
const PAGE: usize = 200;

/// Most pages of a list.
const PAGES: usize = 500;

/// What became of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It was carried out; the object as it is now.
    Done(Value),
    /// There is no such object (404).
    Missing,
    /// It exists already, or was changed in the meantime (409).
    Conflict,
}

impl Reply {
    /// The object, if the call was carried out.
    pub fn done(self) -> Option<Value> {
        match self {
            Self::Done(object) => Some(object),
            Self::Missing | Self::Conflict => None,
        }
    }
}

/// A way to one API server, or to the endpoint in front of all.
#[derive(Debug, Clone)]
pub struct Kube {
    caller: Caller,
    server: Url,
}

impl Kube {
    /// A client for the server at `server` (`https://address:6443`).
    ///
    /// # Errors
    /// Credentials that are none.
    pub fn new(server: Url, credentials: &Credentials) -> Result<Self, CallError> {
        Ok(Self { caller: Caller::new(credentials)?, server })
    }

    /// Whether the server says at `path` that it is well: `/readyz`, `/healthz` or `/livez`. Who asks may be nobody.
    ///
    /// # Errors
    /// No server, or another one, answers.
    pub async fn healthy(&self, path: &str) -> Result<bool, CallError> {
        let (status, _) = self.caller.call(Method::GET, &self.at(path), None, HEALTH, LIMIT).await?;
        Ok(status.is_success())
    }

    /// The object at `path`, as in `/api/v1/namespaces/kube-system/configmaps/khimg`.
    ///
    /// # Errors
    /// Any refusal but those of [`Reply`]; no answer.
    pub async fn get(&self, path: &str) -> Result<Reply, CallError> {
        self.send(Method::GET, &self.at(path), None).await
    }

    /// All objects of the collection at `path` that `selector`, a label selector, chooses; all, if it is empty.
    ///
    /// # Errors
    /// Any refusal; no answer; a list that never ends.
    pub async fn list(&self, path: &str, selector: &str) -> Result<Vec<Value>, CallError> {
        let mut items = Vec::new();
        let mut next = String::new();
        let mut url = self.at(path);
        for _ in 0..PAGES {
            url.query_pairs_mut()
                .clear()
                .append_pair("limit", &PAGE.to_string())
                .append_pair("labelSelector", selector)
                .append_pair("continue", &next);
            let (status, answer) = self.caller.call(Method::GET, &url, None, TIME, LIMIT).await?;
            if !status.is_success() {
                return Err(refused(&url, status, &answer));
            }
            let mut page: Value = parsed(&url, &answer)?;
            match page.get_mut("items").map(Value::take) {
                Some(Value::Array(mut found)) => items.append(&mut found),
                // Go writes an empty list as `null`.
                Some(Value::Null) => {}
                _ => return Err(CallError::Answer { url, reason: "it is no list".to_owned() }),
            }
            match page.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(more) if !more.is_empty() => next = more.to_owned(),
                _ => return Ok(items),
            }
        }
        Err(CallError::Answer { url, reason: format!("the list has more than {PAGES} pages") })
    }

    /// Makes `object` in the collection at `path`. [`Reply::Conflict`] if one of that name exists.
    ///
    /// # Errors
    /// As [`Self::get`]. Where no answer came, it may have been made.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Reply, CallError> {
        self.send(Method::POST, &self.at(path), Some(Body { media: "application/json", json: object })).await
    }

    /// Replaces the object at `path`. With a `resourceVersion` in its metadata, [`Reply::Conflict`] if that is not the
    /// present one any more.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn update(&self, path: &str, object: &Value) -> Result<Reply, CallError> {
        self.send(Method::PUT, &self.at(path), Some(Body { media: "application/json", json: object })).await
    }

    /// Merges `patch` into the object at `path` (RFC 7386). With a `resourceVersion` in its metadata as [`Self::update`].
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn patch(&self, path: &str, patch: &Value) -> Result<Reply, CallError> {
        let body = Body { media: "application/merge-patch+json", json: patch };
        self.send(Method::PATCH, &self.at(path), Some(body)).await
    }

    /// Removes the object at `path`; only while it has the identity `uid`, if one is given.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn delete(&self, path: &str, uid: Option<&str>) -> Result<Reply, CallError> {
        let options = match uid {
            Some(uid) => json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}),
            None => json!({"apiVersion": "v1", "kind": "DeleteOptions"}),
        };
        self.send(Method::DELETE, &self.at(path), Some(Body { media: "application/json", json: &options })).await
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.server.clone();
        url.set_path(path);
        url
    }

    async fn send(&self, method: Method, url: &Url, body: Option<Body<'_>>) -> Result<Reply, CallError> {
        let (status, answer) = self.caller.call(method, url, body, TIME, LIMIT).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(Reply::Missing),
            StatusCode::CONFLICT => Ok(Reply::Conflict),
            status if status.is_success() => parsed(url, &answer).map(Reply::Done),
            status => Err(refused(url, status, &answer)),
        }
    }
}
