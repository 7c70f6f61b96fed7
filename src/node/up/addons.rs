//! What a new cluster gets beside what kubeadm itself sets up. The network and the DNS service come first, and without them
//! there is no cluster. The user's own follow when it stands, each by itself: one that is broken keeps only itself out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::{Value, json};
use tokio::process::Command;

use super::program::run;
use super::{Node, RECORD, TURN};
use crate::node::error::NodeError;
use crate::node::kube::{Kube, Reply};
use crate::node::kubeconfig::ADMIN;
use crate::render;

/// Where the cluster keeps which of the user's have not been applied yet, in the data of [`RECORD`].
const OUTSTANDING: &str = "addons";

/// Shortest and longest pause before a broken one is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// The manifests on this node: in the order in which they are to be applied, and the user's by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Manifests {
    required: Vec<PathBuf>,
    optional: Vec<(String, PathBuf)>,
}

impl Manifests {
    /// Those that the bundle brought.
    pub(super) fn read() -> Result<Self, NodeError> {
        Self::below(Path::new(render::MANIFESTS))
    }

    fn below(directory: &Path) -> Result<Self, NodeError> {
        let mut found = Self::default();
        if !directory.is_dir() {
            return Ok(found);
        }
        let read = NodeError::io("read", directory);
        for entry in fs::read_dir(directory).map_err(&read)? {
            let path = entry.map_err(&read)?.path();
            match path.file_name().and_then(|name| name.to_str()).and_then(render::addon).map(str::to_owned) {
                Some(name) => {
                    found.optional.push((name, path));
                }
                None => found.required.push(path),
            }
        }
        found.required.sort();
        found.optional.sort_by(|(_, one), (_, other)| one.cmp(other));
        Ok(found)
    }

    /// Applies those without which there is no cluster.
    pub(super) async fn apply_required(&self) -> Result<(), NodeError> {
        for path in &self.required {
            apply(path).await?;
        }
        Ok(())
    }

    /// What the record of a new cluster says of the others: all of them are still to come.
    pub(super) fn outstanding(&self) -> Value {
        let names: Vec<&str> = self.optional.iter().map(|(name, _)| name.as_str()).collect();
        json!({OUTSTANDING: names.join(" ")})
    }
}

async fn apply(path: &Path) -> Result<(), NodeError> {
    let mut command = Command::new("kubectl");
    command.args(["--kubeconfig", ADMIN, "apply", "--filename"]).arg(path);
    run(command).await.map_err(|error| match error {
        NodeError::Command { command, status, output } => {
            NodeError::Command { command, status, output: without_patch(&output).to_owned() }
        }
        other => other,
    })
}

/// kubectl repeats a patch that was refused, with what a Secret holds in it, and says why after that.
fn without_patch(output: &str) -> &str {
    output.rsplit_once(" for: ").map_or(output, |(_, why)| why)
}

/// Applies what no master has applied yet, until nothing is left; what fails is told and tried again. Masters take turns, so
/// that usually one does it all. Ends when nothing is left.
pub(super) async fn keep(node: &Node, kube: &Kube) {
    let manifests = match Manifests::read() {
        Ok(manifests) => manifests,
        // To have none and not to know of any is not the same: others may know.
        Err(error) => return node.teller.note(format!("cannot read the addons: {error}")),
    };
    let turn = Instant::now() + TURN * node.rank();
    let mut broken = BTreeMap::new();
    let mut pause = PAUSES.0;
    loop {
        let left = match kube.get(RECORD).await {
            Ok(Reply::Done(record)) => names(&record),
            // Told elsewhere.
            Ok(_) | Err(_) => None,
        };
        if left.as_ref().is_some_and(Vec::is_empty) {
            node.teller.warn(Vec::new());
            return;
        }
        if let Some(left) = left.filter(|_| Instant::now() >= turn) {
            broken.clear();
            for name in left {
                let applied = match manifests.optional.iter().find(|(own, _)| *own == name) {
                    Some((_, path)) => apply(path).await,
                    // A newer bundle has it no more.
                    None => Ok(()),
                };
                let done = match applied {
                    Ok(()) => strike(kube, &name).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = done {
                    broken.insert(name, error.to_string());
                }
            }
            let told = broken.iter().map(|(name, why)| format!("the addon {name} is not applied: {why}"));
            node.teller.warn(told.collect());
            pause = if broken.is_empty() { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
        }
        tokio::time::sleep(pause.mul_f64(rand::rng().random_range(0.6..1.0))).await;
    }
}

/// What is still to be applied; `None` where the record does not say.
fn names(record: &Value) -> Option<Vec<String>> {
    let data = record.get("data")?;
    // Clusters of an older khimg have no list: there, all was applied before the record was made.
    let text = data.get(OUTSTANDING).map_or(Some(""), Value::as_str)?;
    Some(text.split_whitespace().map(str::to_owned).collect())
}

/// Takes a name off the list. Whoever changes the record at the same time leads to another round.
async fn strike(kube: &Kube, name: &str) -> Result<(), NodeError> {
    let Reply::Done(record) = kube.get(RECORD).await? else { return Ok(()) };
    let left: Vec<String> = names(&record).unwrap_or_default().into_iter().filter(|one| one != name).collect();
    let patch = json!({
        "metadata": {"resourceVersion": record.pointer("/metadata/resourceVersion")},
        "data": {OUTSTANDING: left.join(" ")},
    });
    kube.patch(RECORD, &patch).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_are_no_condition() {
        let dir = tempfile::tempdir().expect("a directory");
        let directory = dir.path();
        assert_eq!(Manifests::below(&directory.join("none")).expect("nothing").outstanding(), json!({"addons": ""}));
        for name in ["50-01-a.yaml", "20-coredns.yaml", "50-00-z.yaml", "10-flannel.yaml"] {
            fs::write(directory.join(name), "").expect("written");
        }
        let found = Manifests::below(directory).expect("read");
        assert_eq!(found.required, ["10-flannel.yaml", "20-coredns.yaml"].map(|name| directory.join(name)));
        let outstanding = found.outstanding();
        assert_eq!(outstanding, json!({"addons": "z a"}));
        let record = json!({"data": outstanding});
        assert_eq!(names(&record), Some(vec!["z".to_owned(), "a".to_owned()]));
        assert_eq!(names(&json!({"data": {"formedAt": "then"}})), Some(Vec::new()));
        assert_eq!(names(&json!({})), None);
    }

    #[test]
    fn what_a_patch_holds_is_not_told() {
        let said = r#"Error from server (Forbidden): error when applying patch: {"data":{"key":"c2VjcmV0"}} to: Resource: "/v1, Resource=secrets" for: "50-00-a.yaml": admission webhook denied"#;
        assert_eq!(without_patch(said), r#""50-00-a.yaml": admission webhook denied"#);
        assert_eq!(without_patch("no matches for kind"), "no matches for kind");
    }
}
