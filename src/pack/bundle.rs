//! A packed bundle: its pieces in order, each with its digest, and the digest of the whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use super::compress::{Compressor, Density, Format, Parameters, Workers};
use super::contents::{CONTENTS, Contents};
use super::error::PackError;
use super::layer::Layer;
use super::member::What;
use super::plan::PROGRAM;
use super::recipe::ROOTFS;
use super::segment::{END, Segment};
use crate::cluster::{Role, Target};
use crate::digest::{Digest, Hasher};
use crate::render::tree::Mode;

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
    /// The compressed layer with the table of contents.
    head: Vec<u8>,
    /// The compressed end of the archive.
    tail: Vec<u8>,
}

/// A stretch of a bundle file that can be decompressed by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// Name of the layer; `contents` for the first piece and `end` for the last.
    pub name: String,
    /// Where it begins, in bytes from the beginning of the file.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

impl Bundle {
    /// Puts layers together and computes the digest of the whole. The layers are proven when they are written out.
    pub(super) fn new(
        contents: Contents,
        format: Format,
        layers: Vec<Layer>,
        workers: &Workers,
    ) -> Result<Self, PackError> {
        check_paths(&contents.stem(), &layers)?;
        let text = contents.to_json();
        let failed = |source| PackError::Io { layer: CONTENTS.to_owned(), source };
        let mut segment = Segment::new(Vec::new());
        let fill = |out: &mut dyn Write| out.write_all(&text);
        segment.file(CONTENTS, Mode::Plain, text.len() as u64, None, fill).map_err(failed)?;
        let head = squeeze(&segment.finish().0, format, workers).map_err(failed)?;
        let tail = squeeze(&END, format, workers).map_err(failed)?;
        let mut bundle = Self { contents, format, layers, sha256: Digest::of(&[]), size: 0, head, tail };
        (bundle.sha256, bundle.size) = bundle.sum()?;
        Ok(bundle)
    }

    /// Digest and size of the whole, of the bytes as they lie there: hashing each layer by itself as well would take as long
    /// again, and [`Self::write`] does so.
    fn sum(&self) -> Result<(Digest, u64), PackError> {
        let mut whole = Hasher::default();
        whole.update(&self.head);
        let mut buffer = vec![0; 1 << 18];
        for layer in &self.layers {
            let failed = |source| PackError::Io { layer: layer.name.clone(), source };
            let mut file = File::open(layer.blob.path()).map_err(failed)?;
            loop {
                let read = file.read(&mut buffer).map_err(failed)?;
                match buffer.get(..read) {
                    None | Some([]) => break,
                    Some(bytes) => whole.update(bytes),
                }
            }
        }
        whole.update(&self.tail);
        Ok((whole.digest(), whole.count()))
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
        let failed = |layer: &str| {
            let layer = layer.to_owned();
            move |source| PackError::Io { layer, source }
        };
        out.write_all(&self.head).map_err(failed(CONTENTS))?;
        for layer in &self.layers {
            let mut reader =
                layer.blob.open().map_err(|source| PackError::Store { layer: layer.name.clone(), source })?;
            let copied = super::recipe::copy(&mut reader, out).map_err(failed(&layer.name))?;
            if copied != layer.blob.size() {
                let text = format!("it has {copied} bytes instead of {}", layer.blob.size());
                return Err(failed(&layer.name)(io::Error::new(io::ErrorKind::InvalidData, text)));
            }
        }
        out.write_all(&self.tail).map_err(failed("end"))
    }

    /// Every piece of the file, in order and without a gap.
    pub fn pieces(&self) -> Vec<Piece> {
        let head = ("contents", self.head.len() as u64, Digest::of(&self.head));
        let tail = ("end", self.tail.len() as u64, Digest::of(&self.tail));
        let layers = self.layers.iter().map(|layer| (layer.name.as_str(), layer.blob.size(), layer.blob.digest()));
        let mut offset = 0;
        let mut pieces = Vec::new();
        for (name, size, sha256) in [head].into_iter().chain(layers).chain([tail]) {
            pieces.push(Piece { name: name.to_owned(), offset, size, sha256 });
            offset += size;
        }
        pieces
    }
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
