//! A node's disc: its seed as cloud-init's NoCloud finds it by the volume label, and public files beside it.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::manifest::PUBLIC;
use super::swap::Staging;
use super::{DeliverError, Listed, NodeSeed};
use crate::digest::{Digest, HashingReader, HashingWriter};
use crate::iso::{Access, Image, IsoError};

/// The file name of a disc.
pub const DISC: &str = "cidata.iso";

/// The volume label by which cloud-init knows a seed (cloud-init documentation, "NoCloud"); old releases want it in small letters.
const LABEL: &str = "cidata";

/// What goes onto a disc.
#[derive(Debug, Clone, Default)]
pub struct NodeDisc<'a> {
    /// Names among the node's own files.
    pub seed: Vec<&'a str>,
    /// Paths below `public/`. They stand on the disc without their directories.
    pub public: Vec<&'a str>,
}

/// Writes the disc of `seed` to `path`; gives its size and its digest.
pub(super) fn write(
    seed: &NodeSeed<'_>,
    disc: &NodeDisc<'_>,
    public: &Listed,
    staging: &Staging,
    path: &str,
) -> Result<(u64, Digest), DeliverError> {
    let node = || seed.node.to_owned();
    let unfit = |source| DeliverError::Disc { node: node(), source };
    let mut image = Image::new(LABEL).map_err(unfit)?;
    let own = |name: &str| seed.files.get(name).copied();
    for name in &disc.seed {
        image.file(name, Access::Root, own(name).unwrap_or_default().len() as u64).map_err(unfit)?;
    }
    let mut beside = Vec::new();
    for path in &disc.public {
        let record = public.0.get(*path).ok_or_else(|| DeliverError::Path { path: (*path).to_owned() })?;
        let name = path.rsplit_once('/').map_or(*path, |(_, name)| name);
        image.file(name, Access::Everybody, record.size).map_err(unfit)?;
        beside.push((name, *path, record.sha256));
    }
    let size = image.size().map_err(unfit)?;
    let file = staging.file(path, 0o600)?;
    let mut out = HashingWriter::new(BufWriter::with_capacity(1 << 18, file));
    let written = image.write(&mut out, |name, out| -> Result<(), Failure> {
        if let Some(bytes) = own(name) {
            return Ok(out.write_all(bytes)?);
        }
        let Some((_, below, expected)) = beside.iter().find(|(known, _, _)| *known == name) else { return Ok(()) };
        let source = staging.path(&format!("{PUBLIC}/{below}"));
        let mut reader = HashingReader::new(File::open(source)?);
        io::copy(&mut reader, out)?;
        let actual = reader.finish();
        if actual != *expected {
            return Err(Failure::Changed { file: (*below).to_owned(), expected: *expected, actual });
        }
        Ok(())
    });
    let place = staging.path(path);
    let failed = DeliverError::io("write", &place);
    match written {
        Ok(()) => {}
        Err(Failure::Io(source)) => return Err(failed(source)),
        Err(Failure::Iso(source)) => return Err(unfit(source)),
        Err(Failure::Changed { file, expected, actual }) => {
            return Err(DeliverError::Changed { bundle: file, expected, actual });
        }
    }
    let (mut out, sha256) = out.finish();
    out.flush().map_err(failed)?;
    Ok((size, sha256))
}

enum Failure {
    Io(io::Error),
    Iso(IsoError),
    Changed { file: String, expected: Digest, actual: Digest },
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<IsoError> for Failure {
    fn from(error: IsoError) -> Self {
        Self::Iso(error)
    }
}
