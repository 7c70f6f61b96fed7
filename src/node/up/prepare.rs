//! What must be true before a node can care about its cluster: its bundle is installed, the machine is fit, and the
//! runtime has the images.

use std::fs::{self, OpenOptions};
use std::path::Path;

use crate::cluster::Role;
use crate::node::check::{self, Finding, Verdict};
use crate::node::error::NodeError;
use crate::node::images::{self, Engine};
use crate::node::record::Installed;
use crate::node::state::State;
use crate::node::status::Journal;
use crate::node::{units, unpack};
use crate::render::NodeFile;

use super::progress::Teller;
use super::{Node, Pause, about, disk};

/// Waits until a bundle is installed, and gives what the seed says of the node.
pub(super) async fn installed(state: &State, teller: &Teller) -> Result<NodeFile, NodeError> {
    let mut pause = Pause::default();
    loop {
        let record = Installed::read(state)?;
        if record.pending.is_none() && record.current().is_some() {
            return about::read();
        }
        let what = if record.pending.is_some() { "the installation of a bundle to end" } else { "a bundle" };
        teller.waiting("install", what);
        pause.look().await;
    }
}

/// Waits until nothing keeps Kubernetes from running. A node that runs it already is not stopped by a machine that got worse.
pub(super) async fn fit(node: &Node) {
    let runs_kubernetes = matches!(node.file.role, Role::Master | Role::Worker);
    let mut pause = Pause::default();
    loop {
        let found = tokio::task::block_in_place(check::check);
        let failed: Vec<&Finding> = found.iter().filter(|finding| finding.verdict == Verdict::Fail).collect();
        if failed.is_empty() {
            return;
        }
        let told: Vec<String> = failed
            .iter()
            .map(|finding| {
                let hint = finding.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                format!("{}: {}{hint}", finding.check, finding.message)
            })
            .collect();
        if !runs_kubernetes || disk::has_data(&node.file) {
            node.teller.note(format!("this machine is not fit for Kubernetes: {}", told.join("; ")));
            return;
        }
        node.teller.waiting("check the machine", told.join("; "));
        pause.look().await;
    }
}

/// Where a pod's list of name servers comes from. The kubelet starts none without that file, not even those that have the
/// machine's own network.
const RESOLVER: &str = "/etc/resolv.conf";

/// Makes an empty list of name servers where there is none, as on a machine that knows no way out.
pub(super) fn resolver(node: &Node) {
    let path = Path::new(RESOLVER);
    // Follows a link, whose end may lie in a directory that somebody else makes at boot.
    let made = || {
        let end = fs::read_link(path).map_or_else(|_| path.to_owned(), |end| Path::new("/etc").join(end));
        if let Some(directory) = end.parent() {
            fs::create_dir_all(directory)?;
        }
        OpenOptions::new().append(true).create(true).open(&end)
    };
    if fs::metadata(path).is_err()
        && let Err(error) = made()
    {
        node.teller.note(format!("cannot make {RESOLVER}: {error}"));
    }
}

/// Sees to it that the container runtime runs and has all images of the bundle.
pub(super) async fn images(node: &Node) -> Result<(), NodeError> {
    let mut pause = Pause::default();
    loop {
        node.teller.working("import images");
        match tokio::task::block_in_place(|| import(node)) {
            Ok(()) => return Ok(()),
            Err(NodeError::Busy) => {
                node.teller.waiting("import images", "another khimg, which is at work on this node")
            }
            Err(error) => node.teller.failed("import images", &error),
        }
        pause.retry().await;
    }
}

fn import(node: &Node) -> Result<(), NodeError> {
    let _exclusive = node.state.lock()?;
    let Some(sha256) = Installed::read(&node.state)?.current().map(|current| current.sha256) else { return Ok(()) };
    let Some(bundle) = unpack::open(&node.state, &sha256)? else { return Ok(()) };
    let Some(engine) = Engine::of(&bundle.contents) else { return Ok(()) };
    units::start(engine.unit(), false)?;
    let journal = Journal::new(&node.state, &*node.teller.reporter, "up");
    images::import(engine, &bundle, &journal).map(drop)
}
