//! Out of a registry.

use std::path::{Path, PathBuf};

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::document::{BUNDLE, DEPOT, Descriptor, FILES, Index, Manifest};
use super::{ArtifactError, Reference};
use crate::deliver::manifest::PUBLIC;
use crate::deliver::{Restored, restore};
use crate::digest::Digest;
use crate::lock::Blob;
use crate::registry::{Document, Registry};
use crate::render::tree::TargetPath;
use crate::store::Store;

/// Blobs on their way at once.
const AT_ONCE: usize = 4;

/// What was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Digest of the index: the name of this depot.
    pub digest: Digest,
    /// Where it was put.
    pub depot: PathBuf,
    /// Blobs that were fetched.
    pub new: usize,
    /// Blobs that the store had.
    pub known: usize,
}

/// Fetches the depot that `reference` names and puts it at `out`, in place of a former one.
///
/// # Errors
/// Something else at the tag, or not what is `expected`; blobs that are not what their manifest says; those of the store and of `out`.
pub async fn pull(
    reference: &Reference,
    expected: Option<&Digest>,
    out: &Path,
    registry: &Registry<'_>,
    store: &Store,
) -> Result<Pulled, ArtifactError> {
    let foreign = |reason: &str| ArtifactError::Foreign { reference: reference.to_string(), reason: reason.to_owned() };
    let (text, digest) = registry.document(&reference.place, &reference.tag).await?;
    if let Some(expected) = expected.filter(|expected| **expected != digest) {
        return Err(ArtifactError::Another { reference: reference.to_string(), expected: *expected, actual: digest });
    }
    let index: Index = serde_json::from_slice(&text).map_err(|_| foreign("it is no index"))?;
    if index.artifact_type != DEPOT {
        return Err(foreign(&format!("it is of the type {:?}", index.artifact_type)));
    }
    let mut files: Vec<(String, Vec<Descriptor>)> = Vec::new();
    let mut wanted: Vec<(Digest, Descriptor)> = Vec::new();
    for entry in &index.manifests {
        let (text, _) = registry.document(&reference.place, &entry.digest.to_string()).await?;
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|_| foreign("it names no manifest"))?;
        wanted.extend(manifest.layers.iter().map(|layer| (entry.digest, layer.clone())));
        match manifest.artifact_type.as_str() {
            BUNDLE => files.push((path(entry).ok_or_else(|| foreign("a bundle has no path"))?, manifest.layers)),
            FILES => {
                for layer in manifest.layers {
                    let path = path(&layer).ok_or_else(|| foreign("a file has no path"))?;
                    files.push((path, vec![layer]));
                }
            }
            other => return Err(foreign(&format!("it holds something of the type {other:?}"))),
        }
    }
    wanted.sort_by_key(|(_, layer)| layer.digest);
    wanted.dedup_by(|(_, a), (_, b)| a.digest == b.digest);
    let (name, places) = (reference.to_string(), std::slice::from_ref(&reference.place));
    let one = async |(manifest, layer): &(Digest, Descriptor)| -> Result<usize, ArtifactError> {
        let there = store.get(&layer.digest)?.is_some_and(|blob| blob.size() == layer.size);
        let document = Document { name: &name, manifest: *manifest };
        let blob = Blob { media_type: layer.media_type.clone(), size: layer.size, sha256: layer.digest };
        registry.fetch(document, &blob, places, store).await?;
        Ok(usize::from(!there))
    };
    let new: Vec<usize> = stream::iter(&wanted).map(one).buffer_unordered(AT_ONCE).try_collect().await?;
    let new = new.iter().sum();
    let pieces: Vec<(String, Vec<Digest>)> = files
        .into_iter()
        .map(|(path, layers)| (format!("{PUBLIC}/{path}"), layers.iter().map(|layer| layer.digest).collect()))
        .collect();
    let restored: Vec<Restored<'_>> =
        pieces.iter().map(|(path, pieces)| Restored { path, secret: false, pieces }).collect();
    let depot = restore(&restored, out, store)?;
    Ok(Pulled { digest, depot, new, known: wanted.len() - new })
}

/// The path below `public/` that a descriptor names, if it is a sound one.
fn path(descriptor: &Descriptor) -> Option<String> {
    let path = descriptor.title()?;
    let sound = format!("/{path}").parse::<TargetPath>().is_ok() && !path.split('/').any(|part| part.starts_with('.'));
    sound.then(|| path.to_owned())
}
