//! Bundles that former deliveries to a place wrote.
//!
//! A line that changes gives a bundle another end; the gigabytes before it stay. So a bundle that is replaced goes to the store,
//! and the next delivery to the same place shortens it to what both have in common and writes the rest behind that.
//!
//! A file counts as known only while it has the stamp that it had when it was written, and only until the machine starts anew:
//! nothing of it was synced.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::pack::{Bundle, Piece};
use crate::store::{Stamp, Store};

/// Kind of the store's memo: place of a delivery → [`Record`].
const MEMO: &str = "delivered-v1";

/// Names one run of the kernel (random(4)).
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Whoever reads a spare file while it is written gets neither the old bundle nor the new one: so nothing is written to a file
/// that has another name as well.
const ONLY_NAME: u64 = 1;

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    stamp: Stamp,
    sha256: Digest,
    pieces: Vec<Piece>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    boot: String,
    /// File name of a bundle → what lies at the place.
    delivered: BTreeMap<String, Written>,
    /// File name of a bundle → what was there before.
    spare: BTreeMap<String, Written>,
}

/// What is known of the bundles at one place.
pub(super) struct Former<'a> {
    store: &'a Store,
    place: Digest,
    record: Record,
}

impl<'a> Former<'a> {
    /// Recalls what was written at `place`. Anything doubtful is not known.
    pub(super) fn at(place: &Path, store: &'a Store) -> Self {
        let boot = fs::read_to_string(BOOT).unwrap_or_default();
        let place = Digest::of(place.as_os_str().as_encoded_bytes());
        let known = store.record(MEMO, &place).ok().flatten();
        let record = known.filter(|record: &Record| !boot.is_empty() && record.boot == boot);
        Self { store, place, record: record.unwrap_or_else(|| Record { boot, ..Record::default() }) }
    }

    /// The digest of the bundle at `path`, if nobody has touched it since it was delivered.
    pub(super) fn digest(&self, name: &str, path: &Path) -> Option<Digest> {
        let known = self.record.delivered.get(name)?;
        is_untouched(path, known).then_some(known.sha256)
    }

    /// Puts the spare file of a bundle at `path`, shortened to the layers that the bundle begins with. Nothing is there
    /// otherwise.
    pub(super) fn begin(&self, bundle: &Bundle, path: &Path) -> Option<(File, usize)> {
        let name = bundle.file_name();
        let known = self.record.spare.get(&name)?;
        let (layers, size) = bundle.common_front(&known.pieces);
        let spare = self.store.spare(&self.key(&name));
        let found = fs::symlink_metadata(&spare).ok()?;
        let fits = layers > 0 && Stamp::of(&found) == known.stamp && found.nlink() == ONLY_NAME;
        if !fits || fs::rename(&spare, path).is_err() {
            return None;
        }
        let file = shorten(path, size).inspect_err(|_| drop(fs::remove_file(path))).ok()?;
        Some((file, layers))
    }

    /// Keeps the bundle at `path`, which another has taken the place of.
    pub(super) fn retire(&mut self, name: &str, path: &Path) {
        self.record.spare.remove(name);
        let Some(known) = self.record.delivered.remove(name).filter(|known| is_untouched(path, known)) else { return };
        let key = self.key(name);
        if !self.store.keep_spare(&key, path) {
            return;
        }
        // The rename gave it another stamp.
        if let Ok(stamp) = Stamp::at(&self.store.spare(&key)) {
            self.record.spare.insert(name.to_owned(), Written { stamp, ..known });
        }
    }

    /// Remembers the bundles that lie in `directory` now. Should that fail, the next delivery knows less and takes longer.
    pub(super) fn remember(mut self, bundles: &[Bundle], directory: &Path) {
        self.record.delivered = bundles
            .iter()
            .filter_map(|bundle| {
                let name = bundle.file_name();
                let stamp = Stamp::at(&directory.join(&name)).ok()?;
                Some((name, Written { stamp, sha256: bundle.sha256, pieces: bundle.pieces() }))
            })
            .collect();
        let _ = self.store.keep_record(MEMO, &self.place, &self.record);
    }

    fn key(&self, name: &str) -> Digest {
        Digest::of(format!("{}/{name}", self.place).as_bytes())
    }
}

fn is_untouched(path: &Path, known: &Written) -> bool {
    Stamp::at(path).is_ok_and(|now| now == known.stamp)
}

fn shorten(path: &Path, size: u64) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.set_len(size)?;
    file.seek(SeekFrom::End(0))?;
    Ok(file)
}
