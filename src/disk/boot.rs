//! The EFI system partition: the boot loader, its settings, kernel and initial file system.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

use super::Piece;
use super::error::DiskError;
use super::fat::Volume;
use super::window::Window;
use crate::digest::HashingReader;

/// Eleven characters: all that FAT has room for.
const LABEL: [u8; 11] = *b"KHIMG-BOOT ";

/// A file of the boot partition.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    Bytes(&'a [u8]),
    Piece(&'a Piece),
}

/// What stands on the boot partition.
pub(super) struct Boot<'a> {
    files: BTreeMap<&'a str, Source<'a>>,
    volume: Volume,
}

impl<'a> Boot<'a> {
    /// A partition with these files, by path, whose file system has the serial number `serial`.
    pub(super) fn new(files: BTreeMap<&'a str, Source<'a>>, serial: u32) -> Result<Self, DiskError> {
        let mut volume = Volume::new(serial, LABEL);
        for (path, source) in &files {
            let (shown, size) = match source {
                Source::Bytes(bytes) => (Path::new(path), bytes.len() as u64),
                Source::Piece(piece) => (piece.path.as_path(), piece.size),
            };
            let small = u32::try_from(size).map_err(|_| DiskError::TooLarge { path: shown.to_owned(), size });
            volume.file(path, small?);
        }
        Ok(Self { files, volume })
    }

    /// How many bytes the partition needs.
    pub(super) fn size(&self) -> u64 {
        self.volume.size()
    }

    /// Writes it to the image `image`.
    pub(super) fn write(&self, window: &mut Window<'_>, image: &Path) -> Result<(), DiskError> {
        let writing = || DiskError::io("make the boot partition of", image);
        let written = self.volume.write(window, |path, to| -> Result<(), Failure> {
            match self.files.get(path) {
                Some(Source::Bytes(bytes)) => to.write_all(bytes).map_err(Failure::Out),
                Some(Source::Piece(piece)) => copy(piece, to, &writing()).map_err(Failure::Piece),
                None => Ok(()),
            }
        });
        written.map_err(|failure| match failure {
            Failure::Out(error) => writing()(error),
            Failure::Piece(error) => error,
        })
    }
}

enum Failure {
    Out(io::Error),
    Piece(DiskError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Out(error)
    }
}

/// Copies a file, and proves on the way that it is the one that was meant.
pub(super) fn copy(
    piece: &Piece,
    to: &mut dyn Write,
    writing: &dyn Fn(io::Error) -> DiskError,
) -> Result<(), DiskError> {
    let reading = DiskError::io("read", &piece.path);
    let file = crate::input::open(&piece.path).map_err(&reading)?;
    // One byte more would show that it has grown; it is not written, for something else stands behind.
    let mut reader = HashingReader::new(file.take(piece.size.saturating_add(1)));
    let (mut buffer, mut left) = (vec![0; 1 << 20], piece.size);
    loop {
        let read = reader.read(&mut buffer).map_err(&reading)?;
        if read == 0 {
            break;
        }
        let within = usize::try_from(left).map_or(read, |left| left.min(read));
        to.write_all(buffer.get(..within).unwrap_or_default()).map_err(writing)?;
        left -= within as u64;
    }
    let actual = reader.finish();
    if actual == piece.sha256 {
        Ok(())
    } else {
        Err(DiskError::Changed { path: piece.path.clone(), expected: piece.sha256, actual })
    }
}
