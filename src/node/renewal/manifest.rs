//! Static pods, started anew by a mark in their manifests: the kubelet replaces a pod whose manifest has changed. Taking a
//! manifest away and putting it back would do the same, and a power cut in between would leave a master without it.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::node::durable;
use crate::node::error::NodeError;

/// The annotation.
pub(super) const MARK: &str = "khimg.io/renewed";

/// Marks the manifest at `path`. `false` if it has this mark already.
pub(super) fn mark(path: &Path, stamp: &str) -> Result<bool, NodeError> {
    let text = fs::read_to_string(path).map_err(NodeError::io("read", path))?;
    let marked = marked(&text, stamp).ok_or_else(|| NodeError::Record {
        path: path.to_owned(),
        reason: "it is not a manifest as kubeadm writes it".to_owned(),
    })?;
    if marked == text {
        return Ok(false);
    }
    // What is prepared beside it begins with a dot, and the kubelet looks at nothing that does.
    durable::write(path, 0o600, |file| file.write_all(marked.as_bytes()))?;
    Ok(true)
}

/// `text` with the mark; `None` if it would then be anything else than before, with the mark.
fn marked(text: &str, stamp: &str) -> Option<String> {
    let line = format!("    {MARK}: \"{stamp}\"\n");
    let (mut out, mut inside, mut done) = (String::new(), false, false);
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(one) = lines.next() {
        if one.trim_start().starts_with(&format!("{MARK}:")) {
            continue;
        }
        out.push_str(one);
        if one.trim_end() == "metadata:" {
            inside = true;
            let block = lines.clone().take_while(|line| line.starts_with(' '));
            if !block.into_iter().any(|line| line.trim_end() == "  annotations:") {
                out.push_str("  annotations:\n");
                out.push_str(&line);
                done = true;
            }
        } else if inside && !done && one.trim_end() == "  annotations:" {
            out.push_str(&line);
            done = true;
        } else if !one.starts_with(' ') {
            inside = false;
        }
    }
    let (mut before, mut after): (Value, Value) = (parse(text)?, parse(&out)?);
    let put = after.pointer_mut("/metadata/annotations")?.as_object_mut()?.remove(MARK)?;
    if let Some(annotations) = before.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(MARK);
    } else {
        before
            .pointer_mut("/metadata")?
            .as_object_mut()?
            .insert("annotations".to_owned(), Value::Object(Default::default()));
    }
    (put == stamp && before == after).then_some(out)
}

fn parse(text: &str) -> Option<Value> {
    serde_saphyr::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETCD: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  annotations:\n    kubeadm.kubernetes.io/etcd.advertise-client-urls: https://10.0.0.1:2379\n  creationTimestamp: null\n  labels:\n    component: etcd\nspec:\n  containers: []\nstatus: {}\n";
    const SCHEDULER: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  creationTimestamp: null\n  labels:\n    component: kube-scheduler\nspec: {}\n";

    #[test]
    fn a_mark_is_all_that_changes() {
        for text in [ETCD, SCHEDULER] {
            let once = marked(text, "one").expect("marked");
            assert_eq!(
                once.replace("    khimg.io/renewed: \"one\"\n", "").replace("  annotations:\n  creation", "  creation"),
                text
            );
            assert_eq!(marked(&once, "one").as_ref(), Some(&once));
            let twice = marked(&once, "two").expect("marked");
            assert_eq!(twice, once.replace("\"one\"", "\"two\""));
        }
    }

    #[test]
    fn what_it_does_not_understand_it_leaves() {
        for text in [
            "",
            "kind: Pod\n",
            "kind: Pod\nmetadata: {name: x}\n",
            "kind: Pod\nmetadata:\n  annotations: {a: b}\n  name: x\n",
            "kind: Pod\nmetadata:\n    name: x\n",
            "[",
        ] {
            assert_eq!(marked(text, "one"), None, "{text}");
        }
    }
}
