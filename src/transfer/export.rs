//! The side that has a network.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::index::{BLOBS, FORMAT, INDEX, KIND};
use super::parts::Parts;
use super::{Cargo, Index, TransferError};
use crate::digest::Digest;
use crate::pack::segment::{END, Segment};
use crate::render::tree::Mode;
use crate::report::{Event, Reporter, next_task};

/// Packages, layers and images are compressed already: more than this costs time and gains nothing.
const LEVEL: i32 = 1;

/// How to export.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExportOptions<'a> {
    /// Most bytes of one part.
    pub split: Option<u64>,
    /// An earlier export: what that one needed is left out.
    pub since: Option<&'a Index>,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The files, in order.
    pub paths: Vec<PathBuf>,
    /// Their bytes.
    pub size: u64,
    /// Digest of the index: the name of this export.
    pub index: Digest,
    /// Blobs that it carries.
    pub carried: usize,
    /// Blobs that it needs, those of an earlier export included.
    pub blobs: usize,
}

/// Writes `cargo` to `out`. The same cargo gives the same bytes.
///
/// # Errors
/// Bytes that are no longer what was listed, and whatever the disk refuses; then nothing is left, and what stood at `out` stays.
pub fn export(
    cargo: &Cargo,
    out: &Path,
    options: &ExportOptions<'_>,
    reporter: &dyn Reporter,
) -> Result<Exported, TransferError> {
    let blobs: BTreeMap<Digest, u64> = cargo.blobs.iter().map(|(digest, blob)| (*digest, blob.size)).collect();
    let known = |digest: &Digest| options.since.is_some_and(|since| since.blobs.contains_key(digest));
    let carried: BTreeSet<Digest> = blobs.keys().filter(|digest| !known(digest)).copied().collect();
    let index = Index {
        kind: KIND.to_owned(),
        format: FORMAT,
        khimg: env!("CARGO_PKG_VERSION").to_owned(),
        since: options.since.map(|since| Digest::of(&since.to_json())),
        files: cargo.files.clone(),
        store: cargo.store.clone(),
        blobs,
        carried,
    };
    let secret = index.files.values().any(|file| file.secret);
    let parts = Parts::new(out, options.split, secret);
    let failed = |source: io::Error| TransferError::io("write", out)(source);
    let encoder = zstd::stream::write::Encoder::new(parts, LEVEL).map_err(failed)?;
    let text = index.to_json();
    let mut segment = Segment::new(encoder);
    let fill = |out: &mut dyn Write| out.write_all(&text);
    segment.file(INDEX, Mode::Plain, text.len() as u64, None, fill).map_err(failed)?;
    let task = next_task();
    let total = index.carried.iter().filter_map(|digest| index.blobs.get(digest)).sum();
    reporter.report(Event::Started { task, label: format!("export {}", out.display()), total: Some(total) });
    let written = blobs_of(cargo, &index, &mut segment, |done| reporter.report(Event::Progress { task, done }));
    reporter.report(Event::Finished { task });
    written?;
    let (mut encoder, _) = segment.finish();
    encoder.write_all(&END).map_err(failed)?;
    let written = encoder.finish().map_err(failed)?.finish()?;
    let (carried, blobs) = (index.carried.len(), index.blobs.len());
    Ok(Exported { paths: written.paths, size: written.size, index: Digest::of(&text), carried, blobs })
}

fn blobs_of<W: Write>(
    cargo: &Cargo,
    index: &Index,
    segment: &mut Segment<W>,
    progress: impl Fn(u64),
) -> Result<(), TransferError> {
    let mut done = 0;
    for (digest, blob) in cargo.blobs.iter().filter(|(digest, _)| index.carried.contains(digest)) {
        let path = format!("{BLOBS}{}", digest.hex());
        segment.file(&path, Mode::Plain, blob.size, Some(*digest), |out| blob.write(digest, out))?;
        done += blob.size;
        progress(done);
    }
    Ok(())
}
