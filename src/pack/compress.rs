//! Compression with fixed parameters: the same bytes for every number of threads, on every machine.
//!
//! Every layer is compressed by itself, into one zstd frame or a row of gzip members, so that a bundle is the plain
//! concatenation of its layers and still one file for `zstd -d` and `gunzip`.

use std::fmt;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::Arc;

use flate2::Compression;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use serde::{Deserialize, Serialize};
use zstd::zstd_safe::CParameter;

use super::gzip::{MEMBER, Members};

/// The deflate implementation and its version; `Cargo.toml` pins it, a test compares it with `Cargo.lock`.
const DEFLATE: &str = "zlib-rs 0.6.8";

/// Uncompressed size of what one zstd worker takes at once, in bytes. Part of the format. Half of zstd's own choice at level 10:
/// with [`HASH_LOG`], two workers take 82 MB instead of 156 MB and a tenth less time, for 0.6 % more output.
const JOB: u32 = 8 << 20;

/// The same for what was compressed before, where a job gains nothing by its size and costs memory by it.
const DENSE_JOB: u32 = 1 << 20;

/// Binary logarithm of the number of entries in zstd's hash table at level 10; zstd itself takes 22 or more.
const HASH_LOG: u32 = 21;

/// More workers than this would take more memory than a build may have.
const MOST_WORKERS: usize = 4;

/// Binary logarithm of the widest window that a reader must keep in memory.
pub(crate) const WIDEST_WINDOW: u32 = 22;

/// How a bundle is packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Format {
    /// tar compressed with zstd.
    #[default]
    #[serde(rename = "tar.zst")]
    TarZst,
    /// tar compressed with gzip, for machines without zstd.
    #[serde(rename = "tar.gz")]
    TarGz,
}

/// A text that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a bundle format (tar.zst or tar.gz)")]
pub struct ParseFormatError(String);

impl Format {
    /// All of them, the default first.
    pub const ALL: [Self; 2] = [Self::TarZst, Self::TarGz];

    /// The name, which is the file name's ending as well.
    pub fn name(self) -> &'static str {
        match self {
            Self::TarZst => "tar.zst",
            Self::TarGz => "tar.gz",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = ParseFormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| ParseFormatError(text.to_owned()))
    }
}

/// What kind of bytes a layer mostly holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Density {
    /// Programs and text, which compress well.
    Loose,
    /// Packages and image layers, which were compressed before: more effort would gain nothing.
    Dense,
}

/// All that decides the bytes of a compressed layer beside its content. Recorded in bundles and part of the cache's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameters {
    /// The library and its version, such as `zstd 1.5.7`.
    pub compressor: String,
    /// Its level.
    pub level: i32,
    /// zstd: binary logarithm of the window's size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_log: Option<u32>,
    /// zstd: binary logarithm of the hash table's size, where it is not the level's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_log: Option<u32>,
    /// Uncompressed size in bytes of what is compressed apart: a zstd job or a gzip member.
    pub block: u32,
}

impl Parameters {
    /// The parameters for bytes of one kind.
    pub(crate) fn new(format: Format, density: Density) -> Self {
        let (level, window_log) = match (format, density) {
            (Format::TarZst, Density::Loose) => (10, Some(WIDEST_WINDOW)),
            (Format::TarZst, Density::Dense) => (1, Some(19)),
            (Format::TarGz, Density::Loose) => (6, None),
            (Format::TarGz, Density::Dense) => (1, None),
        };
        match format {
            Format::TarZst => {
                let compressor = format!("zstd {}", zstd::zstd_safe::version_string());
                let (hash_log, block) = match density {
                    Density::Loose => (Some(HASH_LOG), JOB),
                    Density::Dense => (None, DENSE_JOB),
                };
                Self { compressor, level, window_log, hash_log, block }
            }
            Format::TarGz => {
                Self { compressor: DEFLATE.to_owned(), level, window_log, hash_log: None, block: MEMBER as u32 }
            }
        }
    }
}

/// The threads that compress. Whoever writes to a [`Compressor`] must not be one of them: it waits for them.
#[derive(Clone)]
pub(crate) struct Workers {
    pool: Arc<ThreadPool>,
}

impl Workers {
    /// `jobs` threads, or as many as the machine has processors; never more than memory allows.
    pub(crate) fn new(jobs: Option<NonZeroUsize>) -> Result<Self, ThreadPoolBuildError> {
        let wanted = jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let pool = ThreadPoolBuilder::new().num_threads(wanted.min(MOST_WORKERS)).build()?;
        Ok(Self { pool: Arc::new(pool) })
    }

    /// How many threads there are, at least one.
    pub(super) fn count(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Does `work` on one of the threads, some time.
    pub(super) fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        self.pool.spawn(work);
    }
}

/// Compresses one layer of known size, which is never nothing.
pub(crate) enum Compressor<W: Write> {
    /// One zstd frame.
    Zstd(zstd::stream::write::Encoder<'static, W>),
    /// A row of gzip members.
    Gzip(Members<W>),
}

impl<W: Write> Compressor<W> {
    /// Begins a layer of `size` bytes before compression.
    pub(crate) fn new(out: W, parameters: &Parameters, size: u64, workers: &Workers) -> io::Result<Self> {
        let Some(window_log) = parameters.window_log else {
            let level = Compression::new(parameters.level.unsigned_abs());
            return Ok(Self::Gzip(Members::new(out, level, parameters.block as usize, workers)));
        };
        let mut encoder = zstd::stream::write::Encoder::new(out, parameters.level)?;
        // Never 0 workers: zstd's single-threaded path gives other bytes than 1, 2 or 4 workers do.
        encoder.multithread(workers.count() as u32)?;
        encoder.window_log(window_log)?;
        if let Some(hash_log) = parameters.hash_log {
            encoder.set_parameter(CParameter::HashLog(hash_log))?;
        }
        encoder.set_parameter(CParameter::JobSize(parameters.block))?;
        encoder.include_checksum(true)?;
        // The size steers the parameters of small frames, so every path must tell it.
        encoder.include_contentsize(true)?;
        encoder.set_pledged_src_size(Some(size))?;
        Ok(Self::Zstd(encoder))
    }

    /// Writes what is still held back and gives the inner writer back.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Zstd(encoder) => encoder.finish(),
            Self::Gzip(members) => members.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Zstd(encoder) => encoder.write(buf),
            Self::Gzip(members) => members.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::digest::Digest;
    use crate::pack::decode;

    /// Bytes that compress somewhat, without a table: a small linear congruential generator.
    fn sample(size: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if state >> 30 == 0 { (state >> 16) as u8 } else { (state >> 28) as u8 }
        };
        (0..size).map(next).collect()
    }

    fn compress(bytes: &[u8], format: Format, density: Density, jobs: usize, step: usize) -> Vec<u8> {
        let workers = Workers::new(NonZeroUsize::new(jobs)).expect("threads");
        let parameters = Parameters::new(format, density);
        let mut compressor =
            Compressor::new(Vec::new(), &parameters, bytes.len() as u64, &workers).expect("valid parameters");
        for chunk in bytes.chunks(step) {
            compressor.write_all(chunk).expect("in memory");
        }
        compressor.finish().expect("in memory")
    }

    #[test]
    fn same_bytes_for_any_jobs_and_write_sizes() {
        let bytes = sample(19 << 20);
        for format in Format::ALL {
            for density in [Density::Loose, Density::Dense] {
                let first = Digest::of(&compress(&bytes, format, density, 1, 65_536));
                assert_eq!(first, Digest::of(&compress(&bytes, format, density, 2, 1_000_003)), "{format} {density:?}");
                assert_eq!(first, Digest::of(&compress(&bytes, format, density, 4, 777)), "{format} {density:?}");
            }
        }
    }

    #[test]
    fn decompresses_to_the_same() {
        for size in [1, 512, MEMBER - 1, MEMBER, MEMBER + 1, 9 * MEMBER] {
            let bytes = sample(size);
            for format in Format::ALL {
                let layer = compress(&bytes, format, Density::Loose, 2, 4096);
                let mut decoded = Vec::new();
                let done = decode(&layer[..], format).and_then(|mut decoder| decoder.read_to_end(&mut decoded));
                assert!(done.is_ok() && decoded == bytes, "{size} bytes as {format}");
            }
        }
    }

    #[test]
    fn a_wrong_size_is_an_error() {
        let workers = Workers::new(NonZeroUsize::new(1)).expect("threads");
        let parameters = Parameters::new(Format::TarZst, Density::Loose);
        let mut compressor = Compressor::new(Vec::new(), &parameters, 10, &workers).expect("valid parameters");
        assert!(compressor.write_all(&[0; 20]).is_err() || compressor.finish().is_err());
    }

    #[test]
    fn the_deflate_version_is_the_pinned_one() {
        let (name, version) = DEFLATE.split_once(' ').expect("two words");
        let pinned = format!("name = \"{name}\"\nversion = \"{version}\"");
        assert!(include_str!("../../Cargo.lock").contains(&pinned), "update DEFLATE and the golden digests");
    }
}
