//! A packed bundle: its pieces in order, each with its digest, and the digest of the whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::compress::{Compressor, Density, Format, Parameters, Workers};
use super::contents::{CONTENTS, Contents};
use super::error::PackError;
use super::layer::Layer;
use super::locator::Locator;
use super::member::What;
use super::plan::PROGRAM;
use super::prefix::Prefix;
use super::recipe::ROOTFS;
use super::segment::{END, Segment};
use crate::cluster::Role;
use crate::digest::Digest;
use crate::render::tree::Mode;
use crate::store::{Stamp, Store};
use crate::target::Target;

/// A bundle whose layers lie in the store, ready to be written anywhere.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Its table of contents.
    pub contents: Contents,
    /// How it is packed.
    pub format: Format,
    /// Its layers, in order.
    pub layers: Vec<Layer>,
    /// Digest of the whole file.
    pub sha256: Digest,
    /// Size of the whole file in bytes.
    pub size: u64,
    /// The files of the first layers when they were proven.
    stamps: Vec<Stamp>,
    /// The compressed layer with the table of contents.
    table: Vec<u8>,
    /// The compressed end of the archive, and where the table is.
    end: Vec<u8>,
}

/// A stretch of a bundle file that can be decompressed by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// Name of the layer; `contents` for the last piece but one and `end` for the last.
    pub name: String,
    /// Where it begins, in bytes from the beginning of the file.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

impl Bundle {
    /// Puts layers together and computes the digest of the whole.
    pub(super) fn new(
        contents: Contents,
        format: Format,
        layers: Vec<Layer>,
        store: &Store,
        workers: &Workers,
    ) -> Result<Self, PackError> {
        check_paths(&contents.stem(), &layers)?;
        let text = contents.to_json();
        let failed = |source| PackError::Io { layer: CONTENTS.to_owned(), source };
        let mut segment = Segment::new(Vec::new());
        let fill = |out: &mut dyn Write| out.write_all(&text);
        segment.file(CONTENTS, Mode::Plain, text.len() as u64, None, fill).map_err(failed)?;
        let table = squeeze(&segment.finish().0, format, workers).map_err(failed)?;
        let mut end = squeeze(&END, format, workers).map_err(failed)?;
        let offset = layers.iter().map(|layer| layer.blob.size()).sum();
        end.extend(Locator { offset, size: table.len() as u64 }.to_bytes(format));

        let (last, front) = layers.split_last().map_or((None, &[][..]), |(last, front)| (Some(last), front));
        let Prefix { mut hasher, stamps } = Prefix::new(front, store)?;
        if let Some(layer) = last {
            let failed = |source| PackError::Store { layer: layer.name.clone(), source };
            layer.blob.prove(layer.built.as_ref(), |bytes| hasher.update(bytes)).map_err(failed)?;
        }
        hasher.update(&table);
        hasher.update(&end);
        let (sha256, size) = (hasher.digest(), hasher.count());
        Ok(Self { contents, format, layers, sha256, size, stamps, table, end })
    }

    /// The role that it is for.
    pub fn role(&self) -> Role {
        self.contents.role
    }

    /// The base system that it is for.
    pub fn target(&self) -> &Target {
        &self.contents.target
    }

    /// The digest of the khimg program in it.
    pub fn program(&self) -> Option<Digest> {
        let mut members = self.layers.iter().flat_map(|layer| &layer.members);
        let member = members.find(|member| member.path.strip_prefix(ROOTFS) == Some(PROGRAM))?;
        match member.what {
            What::File { sha256, .. } => Some(sha256),
            What::Link { .. } | What::Directory => None,
        }
    }

    /// `<role>-<os>-<arch>.<format>`.
    pub fn file_name(&self) -> String {
        format!("{}.{}", self.contents.stem(), self.format)
    }

    /// Writes the whole file, proving every layer on the way; if that fails, what was written is worthless.
    ///
    /// # Errors
    /// A layer that cannot be read or was damaged; those of the output.
    pub fn write(&self, out: &mut impl Write) -> Result<(), PackError> {
        self.layers.iter().try_for_each(|layer| write_layer(layer, out))?;
        self.write_rest(out)
    }

    /// As [`Bundle::write`], to the end of a file that begins with the first layers already, `there` of them. A layer that was
    /// proven for the digest of the whole is only copied if nobody has touched its file since.
    ///
    /// # Errors
    /// Those of [`Bundle::write`].
    pub fn write_file(&self, out: &mut File, there: usize) -> Result<(), PackError> {
        let mut stamps = self.stamps.iter().skip(there);
        for layer in self.layers.iter().skip(there) {
            let failed = |source| PackError::Io { layer: layer.name.clone(), source };
            let copied =
                stamps.next().map(|stamp| layer.blob.copy_as_stamped(stamp, out)).transpose().map_err(failed)?;
            if copied != Some(true) {
                write_layer(layer, out)?;
            }
        }
        self.write_rest(out)
    }

    fn write_rest(&self, out: &mut impl Write) -> Result<(), PackError> {
        let failed = |source| PackError::Io { layer: CONTENTS.to_owned(), source };
        out.write_all(&self.table).map_err(failed)?;
        out.write_all(&self.end).map_err(failed)
    }

    /// Whether these bytes are how the file ends: as its table of contents is among them, another bundle's does not.
    pub(crate) fn ends_like(&self, end: &[u8]) -> bool {
        let (front, back) = end.split_at_checked(self.table.len()).unwrap_or_default();
        front == self.table && back == self.end
    }

    /// The size of what [`Bundle::ends_like`] compares, in bytes.
    pub(crate) fn end_size(&self) -> u64 {
        (self.table.len() + self.end.len()) as u64
    }

    /// How many of its first layers are the first pieces of another bundle as well, and their size in bytes.
    pub(crate) fn common_front(&self, other: &[Piece]) -> (usize, u64) {
        let alike =
            |(layer, piece): &(&Layer, &Piece)| (layer.blob.digest(), layer.blob.size()) == (piece.sha256, piece.size);
        let common = self.layers.iter().zip(other).take_while(alike);
        common.fold((0, 0), |(count, size), (layer, _)| (count + 1, size + layer.blob.size()))
    }

    /// Every piece of the file, in order and without a gap.
    pub fn pieces(&self) -> Vec<Piece> {
        let table = ("contents", self.table.len() as u64, Digest::of(&self.table));
        let end = ("end", self.end.len() as u64, Digest::of(&self.end));
        let layers = self.layers.iter().map(|layer| (layer.name.as_str(), layer.blob.size(), layer.blob.digest()));
        let mut offset = 0;
        let mut pieces = Vec::new();
        for (name, size, sha256) in layers.chain([table, end]) {
            pieces.push(Piece { name: name.to_owned(), offset, size, sha256 });
            offset += size;
        }
        pieces
    }
}

fn write_layer(layer: &Layer, out: &mut impl Write) -> Result<(), PackError> {
    let failed = |source| PackError::Io { layer: layer.name.clone(), source };
    let mut reader = layer.blob.open().map_err(|source| PackError::Store { layer: layer.name.clone(), source })?;
    let copied = super::recipe::copy(&mut reader, out).map_err(failed)?;
    if copied != layer.blob.size() {
        let text = format!("it has {copied} bytes instead of {}", layer.blob.size());
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, text)));
    }
    Ok(())
}

/// Compresses what is small enough for memory.
fn squeeze(bytes: &[u8], format: Format, workers: &Workers) -> io::Result<Vec<u8>> {
    let parameters = Parameters::new(format, Density::Loose);
    let mut compressor = Compressor::new(Vec::new(), &parameters, bytes.len() as u64, workers)?;
    compressor.write_all(bytes)?;
    compressor.finish()
}

/// No path twice, and nothing below a path that is no directory.
fn check_paths(bundle: &str, layers: &[Layer]) -> Result<(), PackError> {
    let mut owners: BTreeMap<&str, (&str, bool)> = BTreeMap::new();
    for layer in layers {
        for member in &layer.members {
            let is_directory = member.what == What::Directory;
            let path = member.path.trim_end_matches('/');
            let Some((first, was_directory)) = owners.insert(path, (&layer.name, is_directory)) else { continue };
            // Every layer brings its own directories; anything else must be alone at its path.
            if !(is_directory && was_directory) {
                return Err(PackError::Clash {
                    bundle: bundle.to_owned(),
                    path: path.to_owned(),
                    first: first.to_owned(),
                    second: layer.name.clone(),
                });
            }
        }
    }
    Ok(())
}
