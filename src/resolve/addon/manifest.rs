//! Which images a manifest starts.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::catalog::{BadReference, Reference};

/// Where Kubernetes' objects list containers (`core/v1` PodSpec).
const LISTS: [&str; 2] = ["containers", "initContainers"];

/// How deep collections may nest: schemas of custom resources have some forty levels.
const MAX_DEPTH: usize = 100;

/// Reading one level takes some 50 KiB in a debug build.
const STACK: usize = 32 << 20;

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not YAML, or not of Kubernetes.
    #[error("it is not a list of Kubernetes' objects: {0}")]
    Malformed(String),
    /// An image that cannot be carried.
    #[error(transparent)]
    Image(#[from] BadReference),
    /// An image that a node would try to pull each time.
    #[error("{image} is pulled each time that it starts: imagePullPolicy is {policy}")]
    Pulled {
        /// The image.
        image: String,
        /// `Always`, written or by default.
        policy: &'static str,
    },
}

impl ManifestError {
    /// What could be done.
    pub fn remedy(&self) -> String {
        match self {
            Self::Malformed(_) => "look at the manifest: `kubectl apply --dry-run=client -f FILE`".to_owned(),
            Self::Image(error) => error.remedy(),
            Self::Pulled { .. } => {
                "keep a copy as `file:` with `imagePullPolicy: IfNotPresent` there: a node may have no route".to_owned()
            }
        }
    }
}

/// The full names of all images that the objects of a manifest start.
///
/// # Errors
/// No YAML, no objects, or an image that a bundle cannot carry.
pub fn images(bytes: &[u8]) -> Result<BTreeSet<String>, ManifestError> {
    let text = std::str::from_utf8(bytes).map_err(|error| ManifestError::Malformed(error.to_string()))?;
    let documents = read(text)?;
    let mut found = BTreeSet::new();
    let mut objects = 0;
    for document in documents.iter().filter(|document| !document.is_null()) {
        if !(document["apiVersion"].is_string() && document["kind"].is_string()) {
            return Err(ManifestError::Malformed("a document has no apiVersion and kind".to_owned()));
        }
        objects += 1;
        collect(document, &mut found)?;
    }
    match objects {
        0 => Err(ManifestError::Malformed("it is empty".to_owned())),
        _ => Ok(found),
    }
}

/// On a stack that holds what the limit on depth allows, whatever the caller's has.
fn read(text: &str) -> Result<Vec<Value>, ManifestError> {
    let options = || {
        serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
            with_snippet: false,
        }
    };
    let parse =
        || serde_saphyr::from_multiple_with_options::<Value>(text, options()).map_err(|error| error.to_string());
    let parsed = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, parse);
        thread.map(|thread| thread.join().unwrap_or_else(|_| Err("it cannot be read".to_owned())))
    });
    parsed.unwrap_or_else(|error| Err(error.to_string())).map_err(ManifestError::Malformed)
}

fn collect(value: &Value, found: &mut BTreeSet<String>) -> Result<(), ManifestError> {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::Array(containers) if LISTS.contains(&key.as_str()) => {
                        for container in containers {
                            found.extend(image(container)?);
                        }
                    }
                    _ => collect(value, found)?,
                }
            }
            Ok(())
        }
        Value::Array(list) => list.iter().try_for_each(|value| collect(value, found)),
        _ => Ok(()),
    }
}

/// The full name of a container's image. A node without a route can start it only if it need not pull it
/// (Kubernetes documentation, "Images": the default is `Always` for the tag `latest` and for none).
fn image(container: &Value) -> Result<Option<String>, ManifestError> {
    let Some(written) = container["image"].as_str() else { return Ok(None) };
    let reference: Reference = written.parse()?;
    let pulled = match container["imagePullPolicy"].as_str() {
        Some("Always") => Some("Always"),
        None if reference.tag == "latest" => Some("Always, as for every tag `latest`"),
        _ => None,
    };
    match pulled {
        Some(policy) => Err(ManifestError::Pulled { image: written.to_owned(), policy }),
        None => Ok(Some(reference.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Result<Vec<String>, String> {
        images(text.as_bytes()).map(|images| images.into_iter().collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn finds_every_container() {
        let text = "---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: apps/v1\n  kind: DaemonSet\n  spec:\n    template:\n      spec:\n        initContainers: [{name: a, image: 'b:1'}]\n        containers:\n        - {name: c, image: quay.io/d/e:2}\n        - {name: f, image: g, imagePullPolicy: IfNotPresent}\n---\napiVersion: batch/v1\nkind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{image: 'quay.io/d/e:2'}]}}}}}\n";
        assert_eq!(
            told(text),
            Ok(["docker.io/library/b:1", "docker.io/library/g:latest", "quay.io/d/e:2"].map(str::to_owned).to_vec())
        );
    }

    #[test]
    fn what_cannot_be_carried_is_refused() {
        let pod =
            |container: &str| format!("apiVersion: v1\nkind: Pod\nspec: {{containers: [{{name: a, {container}}}]}}\n");
        for (text, expected) in [
            (pod("image: nginx"), "is pulled each time"),
            (pod("image: 'nginx:latest'"), "is pulled each time"),
            (pod("image: 'nginx:1', imagePullPolicy: Always"), "imagePullPolicy is Always"),
            (pod("image: 'Nginx:1'"), "is not the name of an image"),
            (pod(&format!("image: 'nginx@sha256:{}'", "0".repeat(64))), "by its digest"),
            (String::new(), "it is empty"),
            ("<html>".to_owned(), "no apiVersion"),
            ("a: [".to_owned(), "not a list of Kubernetes' objects"),
            (format!("{}{}", "[".repeat(5000), "]".repeat(5000)), "not a list of Kubernetes' objects"),
        ] {
            let said = told(&text).expect_err(&text);
            assert!(said.contains(expected), "{said}");
        }
        assert_eq!(told(&pod("command: [a]")), Ok(Vec::new()));
    }
}
