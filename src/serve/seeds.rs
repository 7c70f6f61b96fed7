//! Secret seeds: each file leaves once for each node and epoch, and only after that is on record.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::mpsc::{self, Receiver, Sender};

use tokio::sync::oneshot;

use super::error::ServeError;
use super::ledger::{Claim, Ledger};
use super::tree::{Delivered, SecretFile};
use crate::digest::Digest;
use crate::input;

/// The files of a seed that cloud-init's NoCloud asks for. Discs and what clouds are given are not served.
pub const FILES: [&str; 3] = ["meta-data", "network-config", "user-data"];

/// Beside them, and never served: a digest.
const PROOF: &str = "report.sha256";

/// cloud-init asks for it again and again where there is none, so there is one without content, for any machine that is known.
const VENDOR_DATA: &str = "vendor-data";

/// Largest file of a seed, in bytes: beyond the largest limit of any platform, and far beyond what khimg makes.
const MAX_SEED: u64 = 4 << 20;

/// Most claims that are decided together.
const TOGETHER: usize = 4096;

/// What comes of a request for a file of a seed.
#[derive(Debug)]
pub enum Answer {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// The node has no such file.
    None,
    /// It was handed out before.
    Gone,
    /// It cannot be read, or not be put on record: nothing leaves.
    Failed(String),
}

/// A claim, and where its verdict goes.
type Waiting = (Claim, oneshot::Sender<Result<bool, String>>);

/// Decides who gets a seed.
#[derive(Clone)]
pub struct Seeds {
    queue: Sender<Waiting>,
}

impl Seeds {
    /// Takes over the record.
    ///
    /// # Errors
    /// The thread that writes it cannot be started.
    pub fn new(ledger: Ledger) -> Result<Self, ServeError> {
        let (queue, waiting) = mpsc::channel();
        let started =
            std::thread::Builder::new().name("khimg-ledger".to_owned()).spawn(move || decide(ledger, &waiting));
        started.map_err(|source| ServeError::Listen { what: "the record".to_owned(), source })?;
        Ok(Self { queue })
    }

    /// The file `name` of `node`'s seed, for the one who asks from `to`. Looking at it without taking it is `peek`.
    pub async fn file(&self, delivered: &Delivered, node: &str, name: &str, to: IpAddr, peek: bool) -> Answer {
        let Some(seed) = delivered.secret.get(node) else { return Answer::None };
        if name == VENDOR_DATA {
            return Answer::Bytes(Vec::new());
        }
        let Some(file) = seed.get(name).filter(|_| FILES.contains(&name)) else { return Answer::None };
        // Before it counts as handed out: a file that cannot be read can be asked for again.
        let bytes = match read(file) {
            Ok(bytes) => bytes,
            Err(reason) => return Answer::Failed(reason),
        };
        if peek {
            return Answer::Bytes(bytes);
        }
        let claim = Claim { node: node.to_owned(), epoch: epoch(seed), file: name.to_owned(), to };
        let (verdict, answer) = oneshot::channel();
        if self.queue.send((claim, verdict)).is_err() {
            return Answer::Failed("the record is closed".to_owned());
        }
        match answer.await {
            Ok(Ok(true)) => Answer::Bytes(bytes),
            Ok(Ok(false)) => Answer::Gone,
            Ok(Err(reason)) => Answer::Failed(reason),
            Err(_) => Answer::Failed("the record is closed".to_owned()),
        }
    }
}

/// Decides until nobody can ask any more. All that wait are decided together, so that one write to the disk serves them all.
fn decide(mut ledger: Ledger, waiting: &Receiver<Waiting>) {
    while let Ok(first) = waiting.recv() {
        let (claims, askers): (Vec<_>, Vec<_>) =
            std::iter::once(first).chain(waiting.try_iter()).take(TOGETHER).unzip();
        match ledger.claim(&claims) {
            Ok(verdicts) => {
                for (asker, verdict) in askers.into_iter().zip(verdicts) {
                    // Whoever went away meanwhile has had its chance: the record cannot know what it has seen.
                    let _gone = asker.send(Ok(verdict));
                }
            }
            Err(error) => {
                let reason = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
                for asker in askers {
                    let _gone = asker.send(Err(format!("{error}{reason}")));
                }
            }
        }
    }
}

fn read(file: &SecretFile) -> Result<Vec<u8>, String> {
    let bytes = input::read(&file.path, MAX_SEED).map_err(|error| format!("{}: {error}", file.path.display()))?;
    if Digest::of(&bytes) != file.sha256 {
        return Err(format!("{} was changed since it was made", file.path.display()));
    }
    Ok(bytes)
}

/// What tells one seed of a node from another: all that it is handed.
fn epoch(seed: &BTreeMap<String, SecretFile>) -> Digest {
    let mut text = String::new();
    for (name, file) in seed.iter().filter(|(name, _)| FILES.contains(&name.as_str())) {
        text.push_str(&format!("{name} {}\n", file.sha256));
    }
    Digest::of(text.as_bytes())
}

/// The digest of what `node` proves its reports with; none where it was told to send none.
pub fn proof(delivered: &Delivered, node: &str) -> Option<Digest> {
    let text = read(delivered.secret.get(node)?.get(PROOF)?).ok()?;
    std::str::from_utf8(&text).ok()?.trim().parse().ok()
}
