//! The documents: one index for a depot, one manifest for each bundle, one for everything else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Media type of an index.
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Media type of a manifest.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The kinds of artifact.
pub(super) const DEPOT: &str = "application/vnd.khimg.depot.v1";
pub(super) const BUNDLE: &str = "application/vnd.khimg.bundle.v1";
pub(super) const FILES: &str = "application/vnd.khimg.files.v1";

/// A piece of a bundle, and a whole file.
pub(super) const PIECE: &str = "application/vnd.khimg.bundle.piece.v1";
pub(super) const FILE: &str = "application/octet-stream";

/// The configuration of an artifact that has none (image specification 1.1, "Guidance for an Empty Descriptor").
pub(super) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
pub(super) const NOTHING: &[u8] = b"{}";

/// What a descriptor is called (image specification 1.1, "Pre-Defined Annotation Keys").
const TITLE: &str = "org.opencontainers.image.title";

/// A blob or a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(super) fn new(media_type: &str, digest: Digest, size: u64, title: Option<&str>) -> Self {
        let annotations = title.map(|title| (TITLE.to_owned(), title.to_owned())).into_iter().collect();
        Self { media_type: media_type.to_owned(), digest, size, annotations }
    }

    pub(super) fn title(&self) -> Option<&str> {
        self.annotations.get(TITLE).map(String::as_str)
    }
}

/// One artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) schema_version: u32,
    pub(super) media_type: String,
    pub(super) artifact_type: String,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

impl Manifest {
    pub(super) fn new(artifact_type: &str, layers: Vec<Descriptor>) -> Self {
        let config = Descriptor::new(EMPTY, Digest::of(NOTHING), NOTHING.len() as u64, None);
        let (media_type, artifact_type) = (MANIFEST.to_owned(), artifact_type.to_owned());
        Self { schema_version: 2, media_type, artifact_type, config, layers }
    }
}

/// All artifacts of a depot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    pub(super) schema_version: u32,
    pub(super) media_type: String,
    pub(super) artifact_type: String,
    pub(super) manifests: Vec<Descriptor>,
}

impl Index {
    pub(super) fn new(manifests: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: INDEX.to_owned(), artifact_type: DEPOT.to_owned(), manifests }
    }
}

/// The text of a document.
pub(super) fn json<T: Serialize>(document: &T) -> Vec<u8> {
    // Texts and numbers: serialisation to memory has no way to fail.
    serde_json::to_vec(document).unwrap_or_default()
}
