//! Layers: compressed once, kept in the store under the digest of their inputs, found again by every later build.

use serde::{Deserialize, Serialize};

use super::compress::{Compressor, Format, Parameters, Workers};
use super::error::PackError;
use super::member::{Listing, Member};
use super::recipe::Recipe;
use crate::digest::Digest;
use crate::store::{Stamp, Store, StoreError, Verified, Writer};

/// Kind of the store's memo: key of a recipe → blob of its [`Record`].
const MEMO: &str = "layer-v1";

/// A compressed layer in the store.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Name in the bundle, such as `packages/containerd`.
    pub name: String,
    /// The compressed segment.
    pub blob: Verified,
    /// Size in bytes before compression.
    pub raw_size: u64,
    /// How it was compressed.
    pub parameters: Parameters,
    /// What it holds.
    pub members: Vec<Member>,
    /// Whether it was found in the store rather than built.
    pub reused: bool,
    /// Its file when it was built, if this run did so: its bytes need no other proof.
    pub(super) built: Option<Stamp>,
}

/// A layer whose bytes are all there, but not yet safe in the store.
pub(super) struct Unsaved {
    name: String,
    key: Digest,
    raw_size: u64,
    parameters: Parameters,
    members: Vec<Member>,
    writer: Writer,
}

/// What is remembered of a layer beside its bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Record {
    sha256: Digest,
    size: u64,
    raw_size: u64,
    members: Vec<Member>,
}

impl Layer {
    /// The sum of what it holds.
    pub fn listing(&self) -> Listing {
        Listing::of(&self.members)
    }

    /// The layer that `recipe` with this key describes, if the store has it.
    pub(super) fn find(
        recipe: &Recipe<'_>,
        key: &Digest,
        format: Format,
        store: &Store,
    ) -> Result<Option<Self>, PackError> {
        let name = recipe.name.clone();
        let found = recall(store, key).map_err(|source| PackError::Store { layer: name.clone(), source })?;
        let parameters = Parameters::new(format, recipe.density);
        Ok(found.map(|(Record { raw_size, members, .. }, blob)| Self {
            name,
            blob,
            raw_size,
            parameters,
            members,
            reused: true,
            built: None,
        }))
    }

    /// Builds the layer of `recipe`, to be found by this key once it is saved.
    pub(super) fn make(
        recipe: &Recipe<'_>,
        key: Digest,
        format: Format,
        store: &Store,
        workers: &Workers,
    ) -> Result<Unsaved, PackError> {
        let parameters = Parameters::new(format, recipe.density);
        let failed = |source| PackError::Store { layer: recipe.name.clone(), source };
        let raw_size = recipe.length()?;
        let (writer, members) = compress(recipe, &parameters, raw_size, store.writer().map_err(failed)?, workers)?;
        Ok(Unsaved { name: recipe.name.clone(), key, raw_size, parameters, members, writer })
    }
}

impl Unsaved {
    /// Puts the layer into the store. Waits for the disk.
    pub(super) fn save(self, store: &Store) -> Result<Layer, PackError> {
        let Self { name, key, raw_size, parameters, members, writer } = self;
        let failed = |source| PackError::Store { layer: name.clone(), source };
        let blob = writer.commit().map_err(failed)?;
        let built = Some(blob.stamp().map_err(failed)?);
        let record = Record { sha256: blob.digest(), size: blob.size(), raw_size, members };
        store.keep_record(MEMO, &key, &record).map_err(failed)?;
        let members = record.members;
        Ok(Layer { name, blob, raw_size, parameters, members, reused: false, built })
    }
}

/// Writes the layer of `recipe`, compressed, to `out`.
pub(super) fn compress<W: std::io::Write>(
    recipe: &Recipe<'_>,
    parameters: &Parameters,
    raw_size: u64,
    out: W,
    workers: &Workers,
) -> Result<(W, Vec<Member>), PackError> {
    let failed = |source| PackError::Io { layer: recipe.name.clone(), source };
    let compressor = Compressor::new(out, parameters, raw_size, workers).map_err(failed)?;
    let (compressor, members) = recipe.write(compressor)?;
    Ok((compressor.finish().map_err(failed)?, members))
}

/// What the store remembers under `key`, if it is whole; whatever is not is simply built again.
fn recall(store: &Store, key: &Digest) -> Result<Option<(Record, Verified)>, StoreError> {
    let Some(record) = store.record::<Record>(MEMO, key)? else { return Ok(None) };
    let Some(blob) = store.get(&record.sha256)?.filter(|blob| blob.size() == record.size) else { return Ok(None) };
    Ok(Some((record, blob)))
}
