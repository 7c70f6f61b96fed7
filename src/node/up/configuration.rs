//! kubeadm's configuration files as the seed brought them, put together for what a node does next.

use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::kubernetes::KubernetesVersion;
use crate::kubernetes::quirks;
use crate::node::durable;
use crate::node::error::NodeError;
use crate::render::{INIT_PATH, STORED_PATH};

/// What is put together here holds the token, and is of no use after a boot.
const SCRATCH: &str = "/run/khimg";

/// Between two documents, as khimg writes them.
const BETWEEN: &str = "\n---\n";

/// What kubeadm stores in the cluster, with this node's own document in front: without a default route kubeadm finds no
/// address for the node by itself, whatever it is to do.
pub(super) fn stored() -> Result<PathBuf, NodeError> {
    let (init, stored) = (read(INIT_PATH)?, read(STORED_PATH)?);
    let text = format!("{}{BETWEEN}{stored}", own_document(&init)?);
    keep("stored.yaml", &text)
}

/// What this node starts its etcd with as a member of a living cluster: `members` is `name=URL,…`, itself among them.
pub(super) fn entering(version: KubernetesVersion, members: &str) -> Result<PathBuf, NodeError> {
    keep("entering.yaml", &with_members(&read(INIT_PATH)?, version, members)?)
}

fn read(path: &str) -> Result<String, NodeError> {
    fs::read_to_string(path).map_err(NodeError::io("read", Path::new(path)))
}

fn broken(reason: impl ToString) -> NodeError {
    NodeError::Record { path: PathBuf::from(INIT_PATH), reason: reason.to_string() }
}

/// The `InitConfiguration`, which comes first.
fn own_document(init: &str) -> Result<&str, NodeError> {
    init.split_once(BETWEEN).map(|(own, _)| own).ok_or_else(|| broken("it has one document only"))
}

fn with_members(init: &str, version: KubernetesVersion, members: &str) -> Result<String, NodeError> {
    let mut documents = Vec::new();
    for text in init.split(BETWEEN) {
        let mut document: Value = serde_saphyr::from_str(text).map_err(|_| broken("a document is not YAML"))?;
        if document.get("kind").and_then(Value::as_str) == Some("ClusterConfiguration") {
            let local = document.pointer_mut("/etcd/local").and_then(Value::as_object_mut);
            let local = local.ok_or_else(|| broken("it has no etcd of its own"))?;
            let arguments = [("initial-cluster", members), ("initial-cluster-state", "existing")];
            let arguments = if quirks::kubeadm_api(version).arguments_are_a_list() {
                arguments.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
            } else {
                let pairs = arguments.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
                Value::Object(pairs.collect::<Map<String, Value>>())
            };
            local.insert("extraArgs".to_owned(), arguments);
            documents.push(serde_saphyr::to_string(&document).map_err(broken)?);
        } else {
            documents.push(text.to_owned());
        }
    }
    Ok(documents.iter().map(|text| text.trim_end()).collect::<Vec<_>>().join(BETWEEN))
}

/// Writes a file that only root can read.
fn keep(name: &str, text: &str) -> Result<PathBuf, NodeError> {
    let directory = Path::new(SCRATCH);
    if !directory.is_dir() {
        DirBuilder::new().mode(0o700).create(directory).map_err(NodeError::io("make directory", directory))?;
    }
    let path = directory.join(name);
    durable::remove(&path)?;
    let made = File::options().write(true).create_new(true).mode(0o600).open(&path);
    made.and_then(|mut file| file.write_all(text.as_bytes())).map_err(NodeError::io("write", &path))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INIT: &str = "kind: InitConfiguration\nbootstrapTokens:\n- token: abcdef.0123456789abcdef\n---\n\
        kind: ClusterConfiguration\netcd:\n  local:\n    dataDir: /var/lib/etcd\n    extraArgs:\n      initial-cluster: a=b\n\
        \x20     initial-cluster-state: new\n---\nkind: KubeletConfiguration\n";

    fn at(minor: u16) -> KubernetesVersion {
        KubernetesVersion { minor, patch: 0 }
    }

    #[test]
    fn the_nodes_own_document_comes_first() {
        assert!(own_document(INIT).expect("there").ends_with("token: abcdef.0123456789abcdef"));
        assert!(own_document("kind: InitConfiguration\n").is_err());
    }

    #[test]
    fn the_first_membership_gives_way_to_the_present_one() {
        let members = "m1=https://10.0.0.11:2380,m2=https://10.0.0.12:2380";
        for minor in [20, 34] {
            let text = with_members(INIT, at(minor), members).expect("changed");
            let documents: Vec<&str> = text.split(BETWEEN).collect();
            assert_eq!((documents.len(), documents[0]), (3, own_document(INIT).expect("there")));
            let cluster: Value = serde_saphyr::from_str(documents[1]).expect("YAML");
            let expected = if minor == 20 {
                json!({"initial-cluster": members, "initial-cluster-state": "existing"})
            } else {
                json!([{"name": "initial-cluster", "value": members}, {"name": "initial-cluster-state", "value": "existing"}])
            };
            assert_eq!(cluster["etcd"]["local"], json!({"dataDir": "/var/lib/etcd", "extraArgs": expected}));
        }
    }
}
