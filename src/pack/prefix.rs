//! The front of a bundle: all its layers but the last.
//!
//! What a user changes comes last in a bundle, and a SHA-256 goes on from where it stands. So the store remembers how far the
//! digest of a bundle was when the front had been hashed, and which files that were: if nobody has touched them since, neither
//! the digest nor the next bundle's file needs them to be read again.

use serde::{Deserialize, Serialize};

use super::error::PackError;
use super::layer::Layer;
use crate::digest::{Digest, Hasher};
use crate::store::{Stamp, Store};

/// Kind of the store's memo: digests of the layers → [`Record`].
const MEMO: &str = "prefix-v1";

/// Layers whose bytes were proven and hashed one behind the other.
#[derive(Clone)]
pub(super) struct Prefix {
    /// Behind the last of them.
    pub(super) hasher: Hasher,
    /// Their files when they were read.
    pub(super) stamps: Vec<Stamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    hasher: String,
    stamps: Vec<Stamp>,
}

impl Prefix {
    /// Hashes `layers`, or remembers how it was when their files were the same.
    pub(super) fn new(layers: &[Layer], store: &Store) -> Result<Self, PackError> {
        let digests: Vec<Digest> = layers.iter().map(|layer| layer.blob.digest()).collect();
        // Strings: serialisation to memory has no way to fail.
        let key = Digest::of(&serde_json::to_vec(&digests).unwrap_or_default());
        if let Some(known) = Self::recall(layers, &key, store)? {
            return Ok(known);
        }
        let (mut hasher, mut stamps) = (Hasher::default(), Vec::new());
        for layer in layers {
            stamps.push(layer.blob.prove(layer.built.as_ref(), |bytes| hasher.update(bytes)).map_err(failed(layer))?);
        }
        if let Some(last) = layers.last() {
            let record = Record { hasher: hasher.pause(), stamps: stamps.clone() };
            store.keep_record(MEMO, &key, &record).map_err(failed(last))?;
        }
        Ok(Self { hasher, stamps })
    }

    fn recall(layers: &[Layer], key: &Digest, store: &Store) -> Result<Option<Self>, PackError> {
        let Some(last) = layers.last() else { return Ok(None) };
        let Some(Record { hasher, stamps }) = store.record(MEMO, key).map_err(failed(last))? else { return Ok(None) };
        let mut now = Vec::new();
        for layer in layers {
            now.push(layer.blob.stamp().map_err(failed(layer))?);
        }
        let size: u64 = layers.iter().map(|layer| layer.blob.size()).sum();
        let fits = |hasher: &Hasher| stamps == now && hasher.count() == size;
        Ok(Hasher::resume(&hasher).filter(fits).map(|hasher| Self { hasher, stamps }))
    }
}

fn failed(layer: &Layer) -> impl FnOnce(crate::store::StoreError) -> PackError {
    let layer = layer.name.clone();
    move |source| PackError::Store { layer, source }
}
