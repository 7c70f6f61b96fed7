//! How lists of packages are compressed.

use std::io::{self, BufRead, BufReader, Read};

use crate::store::Verified;

/// Memory that one xz stream may ask for; `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;

/// How an index file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `.xz`
    Xz,
    /// `.zst`
    Zstd,
    /// `.gz`
    Gzip,
    /// Not at all.
    Plain,
}

impl Compression {
    /// All of them, the smallest first.
    pub const ALL: [Self; 4] = [Self::Xz, Self::Zstd, Self::Gzip, Self::Plain];

    /// The ending of a file's name.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
            Self::Plain => "",
        }
    }

    fn reader<'r>(self, compressed: impl BufRead + 'r) -> io::Result<Box<dyn Read + 'r>> {
        Ok(match self {
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(compressed, stream))
            }
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(compressed)?),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(compressed)),
            Self::Plain => Box::new(compressed),
        })
    }

    /// By the end of a file's name; `None` for what khimg does not read.
    pub fn of(path: &str) -> Option<Self> {
        let compressed = Self::ALL.into_iter().find(|one| *one != Self::Plain && path.ends_with(one.ending()));
        compressed.or_else(|| (path.ends_with(".xml") || path.ends_with(".yaml")).then_some(Self::Plain))
    }

    /// A downloaded file without its compression, of which at most `limit` bytes can be read: more is an error.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn open(self, file: &Verified, limit: u64) -> io::Result<impl BufRead + use<>> {
        let compressed = BufReader::with_capacity(128 << 10, file.open().map_err(io::Error::other)?);
        let plain = Limited { inner: self.reader(compressed)?, left: limit, limit };
        Ok(BufReader::with_capacity(256 << 10, plain))
    }
}

/// Fails, rather than ends, after so many bytes.
struct Limited<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other(format!("it has more than {} bytes when decompressed", self.limit))),
        }
        Ok(read)
    }
}
