//! What this disk has been through on the way into the cluster, one mark for each. A mark is made for good before, or right
//! after, the act that it stands for; a wiped disk has none.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::node::error::NodeError;
use crate::node::record::write_json;
use crate::node::state::State;

/// One thing that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mark {
    /// Certificates and kubeconfigs are complete and on disk.
    Credentials,
    /// The kubelet's configuration is complete and on disk.
    Kubelet,
    /// So is the manifest of the API server.
    Server,
    /// So are all manifests of the control plane.
    Manifests,
    /// A living etcd has been asked to take this node in, perhaps: made before asking. No etcd has run here since.
    Asked,
    /// etcd was started here as a member of a living cluster, and has not been seen among its majority yet.
    Entering,
    /// The node is known to the cluster as what it is.
    Known,
}

/// The marks on one disk.
#[derive(Debug, Clone)]
pub(super) struct Marks {
    path: PathBuf,
    made: BTreeSet<Mark>,
}

impl Marks {
    /// Reads the marks of `state`.
    pub(super) fn read(state: &State) -> Result<Self, NodeError> {
        let path = state.membership().join("marks.json");
        let made = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| NodeError::Record { path: path.clone(), reason: error.to_string() })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => return Err(NodeError::io("read", &path)(error)),
        };
        Ok(Self { path, made })
    }

    pub(super) fn has(&self, mark: Mark) -> bool {
        self.made.contains(&mark)
    }

    /// Makes and wipes marks in one step.
    pub(super) fn change(&mut self, make: &[Mark], wipe: &[Mark]) -> Result<(), NodeError> {
        let mut made = self.made.clone();
        made.retain(|mark| !wipe.contains(mark));
        made.extend(make);
        if made != self.made {
            write_json(&self.path, &made)?;
            self.made = made;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = State::at(dir.path());
        fs::create_dir(state.membership()).expect("a directory");
        let mut marks = Marks::read(&state).expect("none yet");
        marks.change(&[Mark::Asked, Mark::Kubelet], &[]).expect("made");
        marks.change(&[Mark::Entering], &[Mark::Asked]).expect("changed");
        let read = Marks::read(&state).expect("read");
        assert_eq!(read.made, BTreeSet::from([Mark::Kubelet, Mark::Entering]));
        assert!(read.has(Mark::Entering) && !read.has(Mark::Asked));
    }
}
