//! A copy of everything that etcd holds: its database file as it streams in, behind it etcd's own SHA-256 of it. That is the
//! file that `etcdctl snapshot restore` takes, which checks the same trailer.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::json;

use super::answer::Number;
use super::{Etcd, PATHS, at, is_unknown_path};
use crate::digest::{Digest, Hasher};
use crate::node::call::{Body, CallError, parsed, refused, silent};
use crate::node::durable;
use crate::node::error::NodeError;

/// Length of the trailer, in bytes.
const TRAILER: usize = 32;

/// Pages of a database are multiples of this, so that a file with a trailer is not (etcd `etcdutl/snapshot`).
const PAGE: u64 = 512;

/// Largest part of the stream, in bytes: etcd sends 32 KiB at a time, a third more in base64.
const MAX_PART: usize = 1 << 20;

/// Largest snapshot, in bytes: twice the largest quota that etcd suggests (etcd documentation, "System limits").
const MAX: u64 = 16 << 30;

/// A snapshot that was written and proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Size of the file in bytes, with its trailer.
    pub size: u64,
    /// SHA-256 of the database, which is also the trailer.
    pub sha256: Digest,
}

/// One part of the stream.
#[derive(Debug, Deserialize)]
struct Part {
    result: Option<Chunk>,
    error: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Chunk {
    #[serde(default)]
    remaining_bytes: Number,
    #[serde(default)]
    blob: String,
}

impl Etcd {
    /// Writes a snapshot to `path`, mode 0600: whole and proven by etcd's own digest, or not at all. Taken from the first
    /// server that answers; without a majority it may lack the latest.
    ///
    /// # Errors
    /// No server answers, the stream breaks off or is not what its digest says, or the file cannot be written.
    pub async fn snapshot(&self, path: &Path) -> Result<Snapshot, NodeError> {
        let mut last = CallError::Nobody { server: "etcd" };
        for endpoint in &self.endpoints {
            match self.stream(endpoint, path).await {
                Err(NodeError::Call(error)) => last = error,
                done => return done,
            }
        }
        Err(last.into())
    }

    async fn stream(&self, endpoint: &Url, path: &Path) -> Result<Snapshot, NodeError> {
        let mut first = None;
        for version in PATHS {
            let url = at(endpoint, version, "maintenance/snapshot");
            let body = Body { media: "application/json", json: &json!({}) };
            let answer = self.caller.send(Method::POST, &url, Some(body), None).await?;
            if answer.status().is_success() {
                return receive(&url, answer, path).await;
            }
            let status = answer.status();
            let error = refused(&url, status, &text(&url, answer).await?);
            if !is_unknown_path(&error) {
                return Err(error.into());
            }
            first.get_or_insert(error);
        }
        Err(first.unwrap_or(CallError::Nobody { server: "etcd" }).into())
    }
}

/// A short body.
async fn text(url: &Url, mut answer: reqwest::Response) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(silent(url))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_PART {
            break;
        }
    }
    Ok(bytes)
}

/// Writes what streams in beside `path`, and moves it there once it is proven.
async fn receive(url: &Url, mut answer: reqwest::Response, path: &Path) -> Result<Snapshot, NodeError> {
    let beside = durable::beside(path);
    durable::remove(&beside)?;
    let io = NodeError::io("write", &beside);
    let file = File::options().write(true).create_new(true).mode(0o600).open(&beside).map_err(&io)?;
    let mut writer = Writer { file, hasher: Hasher::default(), tail: Vec::new(), size: 0, done: false };
    let mut line = Vec::new();
    let written = async {
        while let Some(chunk) = answer.chunk().await.map_err(silent(url))? {
            for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(piece);
                if line.len() > MAX_PART {
                    return Err(wrong(url, format!("a part has more than {MAX_PART} bytes")));
                }
                if line.ends_with(b"\n") {
                    writer.part(url, &line).and_then(|bytes| writer.write(url, &bytes, &io))?;
                    line.clear();
                }
            }
        }
        if !line.is_empty() {
            writer.part(url, &line).and_then(|bytes| writer.write(url, &bytes, &io))?;
        }
        writer.finish(url, &io)
    }
    .await;
    if written.is_err() {
        durable::remove(&beside)?;
    }
    let snapshot = written?;
    durable::rename(&beside, path)?;
    Ok(snapshot)
}

/// Hashes and writes all but the trailer, which comes last.
struct Writer {
    file: File,
    hasher: Hasher,
    /// The last bytes that came: they may be the trailer.
    tail: Vec<u8>,
    size: u64,
    /// Whether nothing remains to be sent.
    done: bool,
}

impl Writer {
    fn part(&mut self, url: &Url, line: &[u8]) -> Result<Vec<u8>, NodeError> {
        let part: Part = parsed(url, line)?;
        let Some(chunk) = part.result else {
            let reason = part.error.map_or_else(|| "a part is empty".to_owned(), |error| error.to_string());
            return Err(wrong(url, reason.chars().take(500).collect()));
        };
        self.done = chunk.remaining_bytes.0 == 0;
        STANDARD.decode(&chunk.blob).map_err(|error| wrong(url, error.to_string()))
    }

    fn write(&mut self, url: &Url, bytes: &[u8], io: impl Fn(std::io::Error) -> NodeError) -> Result<(), NodeError> {
        self.size += bytes.len() as u64;
        if self.size > MAX {
            return Err(wrong(url, format!("it has more than {MAX} bytes")));
        }
        self.file.write_all(bytes).map_err(io)?;
        self.tail.extend_from_slice(bytes);
        let known = self.tail.len().saturating_sub(TRAILER);
        self.hasher.update(&self.tail[..known]);
        self.tail.drain(..known);
        Ok(())
    }

    fn finish(self, url: &Url, io: impl Fn(std::io::Error) -> NodeError) -> Result<Snapshot, NodeError> {
        let sha256 = self.hasher.digest();
        if !self.done || self.size <= TRAILER as u64 || self.size % PAGE != TRAILER as u64 {
            return Err(wrong(url, format!("it broke off after {} bytes", self.size)));
        }
        if hex::encode(&self.tail) != sha256.hex() {
            let reason = format!("the snapshot has {sha256}, and etcd sent sha256:{}", hex::encode(&self.tail));
            return Err(wrong(url, reason));
        }
        self.file.sync_all().map_err(io)?;
        Ok(Snapshot { size: self.size, sha256 })
    }
}

fn wrong(url: &Url, reason: String) -> NodeError {
    CallError::Answer { url: url.clone(), reason }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a stream of these parts, each with how much remains after it.
    fn written(parts: &[(&[u8], u64)]) -> Result<Snapshot, NodeError> {
        let url: Url = "https://etcd.test".parse().expect("a URL");
        let file = tempfile::tempfile().expect("a file");
        let mut writer = Writer { file, hasher: Hasher::default(), tail: Vec::new(), size: 0, done: false };
        let io = NodeError::io("write", Path::new("snapshot"));
        for (blob, remaining) in parts {
            let result = json!({"remaining_bytes": remaining.to_string(), "blob": STANDARD.encode(blob)});
            let bytes = writer.part(&url, json!({"result": result}).to_string().as_bytes())?;
            writer.write(&url, &bytes, &io)?;
        }
        writer.finish(&url, &io)
    }

    #[test]
    fn only_what_the_trailer_proves_is_a_snapshot() {
        let database = [7_u8; 1024];
        let hash = Digest::of(&database);
        let trailer = hex::decode(hash.hex()).expect("hex");
        let whole = Snapshot { size: 1056, sha256: hash };
        let [first, second] = [&database[..600], &database[600..]];
        assert_eq!(written(&[(first, 424), (second, 0), (&trailer, 0)]).expect("whole"), whole);
        // The trailer may come in pieces.
        let pieces = written(&[(&database, 0), (&trailer[..5], 0), (&trailer[5..], 0)]);
        assert_eq!(pieces.expect("whole"), whole);
        for (parts, why) in [
            (vec![(first, 424), (&trailer[..], 0)], "broke off after 632 bytes"),
            (vec![(first, 424)], "broke off after 600 bytes"),
            (vec![(&database[..], 0)], "broke off after 1024 bytes"),
            (vec![(&database[..], 4), (&trailer, 4)], "broke off"),
            (vec![(&[8; 1024][..], 0), (&trailer, 0)], "and etcd sent"),
            (vec![(&trailer[..], 0)], "broke off after 32 bytes"),
            (vec![], "broke off after 0 bytes"),
        ] {
            let error = written(&parts).expect_err(why);
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn a_part_that_says_no_is_told() {
        let url: Url = "https://etcd.test".parse().expect("a URL");
        let file = tempfile::tempfile().expect("a file");
        let mut writer = Writer { file, hasher: Hasher::default(), tail: Vec::new(), size: 0, done: false };
        for (line, why) in [
            (r#"{"error":{"message":"no space"}}"#, "no space"),
            (r#"{}"#, "empty"),
            (r#"{"result":{"blob":"%"}}"#, "Invalid"),
            ("<html>", "expected"),
        ] {
            let error = writer.part(&url, line.as_bytes()).expect_err(why);
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
