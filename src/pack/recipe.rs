//! What a layer is made of, as data: its parts, its key in the cache, and how to write it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::Serialize;

use super::compress::{Density, Parameters};
use super::error::PackError;
use super::member::Member;
use super::program::Program;
use super::segment::{Length, Segment};
use super::unpack::{self, Found, Selection, UnpackError};
use crate::clock::ARCHIVE_EPOCH;
use crate::digest::Digest;
use crate::registry::{ArchiveError, ImageArchive};
use crate::render::tree::Mode;
use crate::store::{Reader, StoreError, Verified};

/// Directory of a bundle below which everything lies at its path on the node.
pub(crate) const ROOTFS: &str = "rootfs";

/// Version of how recipes become bytes. Raised with any change that gives other bytes for the same recipe.
const VERSION: u32 = 1;

/// A layer before it is built.
pub(crate) struct Recipe<'a> {
    /// Name in the bundle, such as `packages/containerd`.
    pub(crate) name: String,
    /// What kind of bytes it mostly holds.
    pub(crate) density: Density,
    /// What goes in.
    pub(crate) body: Body<'a>,
}

/// What goes into a layer.
pub(crate) enum Body<'a> {
    /// These parts, by path in the bundle.
    Parts(BTreeMap<String, Part<'a>>),
    /// The members of a foreign archive, below [`ROOTFS`], in the archive's own order.
    Archive {
        /// What it is, for messages.
        what: String,
        /// The archive.
        blob: &'a Verified,
        /// Which members go where.
        selection: Selection<'a>,
    },
}

/// One file or link.
pub(crate) enum Part<'a> {
    /// These bytes.
    Bytes(Mode, &'a [u8]),
    /// A fetched file as it is.
    Blob(Mode, &'a Verified),
    /// khimg itself.
    Program(&'a Program),
    /// An image as one archive.
    Image { image: &'a crate::lock::Image, archive: ImageArchive<'a> },
    /// A symbolic link to this target.
    Link(&'a str),
}

/// All that decides the bytes of a layer. Its digest is the layer's key.
#[derive(Serialize)]
struct Inputs<'a> {
    version: u32,
    epoch: u64,
    parameters: &'a Parameters,
    parts: BTreeMap<&'a str, Input<'a>>,
}

#[derive(Serialize)]
enum Input<'a> {
    File { mode: u32, sha256: Digest },
    Link(&'a str),
    Image { name: &'a str, arch: &'a str, manifest: &'a crate::lock::Blob, config: Digest, layers: Vec<Digest> },
    Archive { sha256: Digest, strip: usize, only: &'a [String] },
}

impl Recipe<'_> {
    /// The digest of everything that decides the layer's bytes.
    pub(crate) fn key(&self, parameters: &Parameters) -> Digest {
        let parts = match &self.body {
            Body::Parts(parts) => parts.iter().map(|(path, part)| (path.as_str(), part.input())).collect(),
            Body::Archive { blob, selection, .. } => {
                let input = Input::Archive { sha256: blob.digest(), strip: selection.strip, only: selection.only };
                BTreeMap::from([(selection.to.as_str(), input)])
            }
        };
        let inputs = Inputs { version: VERSION, epoch: ARCHIVE_EPOCH, parameters, parts };
        // String keys, no floats: serialisation to memory has no way to fail.
        Digest::of(&serde_json::to_vec(&inputs).unwrap_or_default())
    }

    /// How many bytes [`Self::write`] writes. A foreign archive is read once for it, and thereby checked.
    pub(crate) fn length(&self) -> Result<u64, PackError> {
        let mut length = Length::default();
        match &self.body {
            Body::Parts(parts) => {
                for (path, part) in parts {
                    match part {
                        Part::Link(target) => length.add(path, Some(target), 0),
                        _ => length.add(path, None, part.size()),
                    }
                }
            }
            Body::Archive { what, blob, selection } => {
                let walked = unpack::walk(self.open(blob)?, selection, |path, found| {
                    let path = format!("{ROOTFS}{path}");
                    match found {
                        Found::File { size, .. } => length.add(&path, None, size),
                        Found::Link { target } => length.add(&path, Some(&target), 0),
                    }
                    Ok::<(), UnpackError>(())
                });
                walked.map_err(|source| PackError::Unpack { what: what.clone(), source })?;
            }
        }
        Ok(length.bytes)
    }

    /// Writes the layer's tar segment. Every blob is proven once more on the way; if that fails, what was written is worthless.
    pub(crate) fn write<W: Write>(&self, out: W) -> Result<(W, Vec<Member>), PackError> {
        let mut segment = Segment::new(out);
        match &self.body {
            Body::Parts(parts) => {
                for (path, part) in parts {
                    part.write(path, &mut segment).map_err(|problem| self.problem(problem))?;
                }
            }
            Body::Archive { what, blob, selection } => {
                unpack::walk(self.open(blob)?, selection, |path, found| {
                    let path = format!("{ROOTFS}{path}");
                    match found {
                        Found::File { mode, size, content } => {
                            segment.file::<Problem>(
                                &path,
                                mode,
                                size,
                                None,
                                |out| Ok(copy(content, out).map(drop)?),
                            )?;
                        }
                        Found::Link { target } => segment.link(&path, &target)?,
                    }
                    Ok(())
                })
                .map_err(|problem| match problem {
                    Problem::Unpack(source) => PackError::Unpack { what: what.clone(), source },
                    other => self.problem(other),
                })?;
            }
        }
        Ok(segment.finish())
    }

    fn open(&self, blob: &Verified) -> Result<Reader, PackError> {
        blob.open().map_err(|source| PackError::Store { layer: self.name.clone(), source })
    }

    fn problem(&self, problem: Problem) -> PackError {
        let layer = self.name.clone();
        match problem {
            Problem::Io(source) => PackError::Io { layer, source },
            Problem::Store(source) => PackError::Store { layer, source },
            Problem::Unpack(source) => PackError::Unpack { what: layer, source },
            Problem::Image(image, source) => PackError::Image { image, source },
            Problem::Program(path, source) => PackError::Program { path, source },
        }
    }
}

impl Part<'_> {
    fn input(&self) -> Input<'_> {
        match self {
            Self::Bytes(mode, bytes) => Input::File { mode: mode.bits(), sha256: Digest::of(bytes) },
            Self::Blob(mode, blob) => Input::File { mode: mode.bits(), sha256: blob.digest() },
            Self::Program(program) => Input::File { mode: Mode::Program.bits(), sha256: program.sha256 },
            Self::Image { image, .. } => Input::Image {
                name: &image.name,
                arch: image.arch.name(),
                manifest: &image.manifest,
                config: image.config.sha256,
                layers: image.layers.iter().map(|layer| layer.sha256).collect(),
            },
            Self::Link(target) => Input::Link(target),
        }
    }

    fn size(&self) -> u64 {
        match self {
            Self::Bytes(_, bytes) => bytes.len() as u64,
            Self::Blob(_, blob) => blob.size(),
            Self::Program(program) => program.size,
            Self::Image { archive, .. } => archive.size(),
            Self::Link(_) => 0,
        }
    }

    fn write<W: Write>(&self, path: &str, segment: &mut Segment<W>) -> Result<(), Problem> {
        let size = self.size();
        match self {
            Self::Bytes(mode, bytes) => {
                segment.file(path, *mode, size, None, |out| out.write_all(bytes).map_err(Problem::Io))?;
            }
            Self::Blob(mode, blob) => {
                // The reader proves the digest and fails at the end if it is another.
                segment.file(path, *mode, size, Some(blob.digest()), |out| {
                    Ok::<(), Problem>(copy(&mut blob.open()?, out).map(drop)?)
                })?;
            }
            Self::Program(program) => {
                let failed = |source| Problem::Program(program.path.clone(), source);
                let sha256 = segment.file(path, Mode::Program, size, None, |out| {
                    let mut file = File::open(&program.path).map_err(failed)?;
                    copy(&mut file, out).map(drop).map_err(failed)
                })?;
                if sha256 != program.sha256 {
                    return Err(failed(Program::changed()));
                }
            }
            Self::Image { image, archive } => {
                segment.file(path, Mode::Plain, size, None, |mut out| {
                    archive.write(&mut out).map_err(|source| Problem::Image(image.name.clone(), Box::new(source)))
                })?;
            }
            Self::Link(target) => segment.link(path, target)?,
        }
        Ok(())
    }
}

/// What can fail while a segment is written, before the layer's name is added.
enum Problem {
    Io(io::Error),
    Store(StoreError),
    Unpack(UnpackError),
    Image(String, Box<ArchiveError>),
    Program(PathBuf, io::Error),
}

impl From<io::Error> for Problem {
    fn from(source: io::Error) -> Self {
        Self::Io(source)
    }
}

impl From<StoreError> for Problem {
    fn from(source: StoreError) -> Self {
        Self::Store(source)
    }
}

impl From<UnpackError> for Problem {
    fn from(source: UnpackError) -> Self {
        Self::Unpack(source)
    }
}

/// Copies in pieces that are large enough for hashing and compressing to run at full speed, and counts.
pub(super) fn copy(from: &mut (impl Read + ?Sized), to: &mut (impl Write + ?Sized)) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 18];
    let mut copied = 0;
    loop {
        let read = from.read(&mut buffer)?;
        match buffer.get(..read) {
            None | Some([]) => return Ok(copied),
            Some(bytes) => to.write_all(bytes)?,
        }
        copied += read as u64;
    }
}
