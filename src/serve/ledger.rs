//! The record of which secret file was handed out to which node: on disk before a byte of it leaves.
//!
//! One line of JSON for each thing that happened. Several processes may write to it: each takes a lock, reads what the others
//! wrote, decides and appends. What is asked for at the same time is decided and made durable together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::ServeError;
use crate::clock;
use crate::digest::Digest;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "event", deny_unknown_fields)]
pub enum Entry {
    /// A file left for a machine.
    Handed {
        /// When.
        at: Timestamp,
        /// The node that it is for.
        node: String,
        /// Digest of the node's whole seed: another seed is another epoch.
        epoch: Digest,
        /// The file's name.
        file: String,
        /// Who got it.
        to: IpAddr,
    },
    /// Someone allowed the node to fetch its files once more.
    Rearmed {
        /// When.
        at: Timestamp,
        /// The node.
        node: String,
    },
}

/// A wish for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The node that it is for.
    pub node: String,
    /// Digest of the node's whole seed.
    pub epoch: Digest,
    /// The file's name.
    pub file: String,
    /// Who asks.
    pub to: IpAddr,
}

/// The record, open.
pub struct Ledger {
    path: PathBuf,
    file: File,
    /// How far it was read.
    read: u64,
    lines: usize,
    /// Node → epoch and file of all that it was given.
    nodes: BTreeMap<String, BTreeSet<(Digest, String)>>,
}

impl Ledger {
    /// Opens the record, or begins one, which only its owner can read.
    ///
    /// # Errors
    /// What the file system refuses; a record that khimg did not write.
    pub fn open(path: &Path) -> Result<Self, ServeError> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(ServeError::ledger("open", path))?;
        // The name must survive a loss of power as the lines do.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(ServeError::ledger("keep", path))?;
        let mut ledger = Self { path: path.to_path_buf(), file, read: 0, lines: 0, nodes: BTreeMap::new() };
        ledger.locked(|_| Ok(()))?;
        Ok(ledger)
    }

    /// Which claims are granted, in their order. Those are on disk when this returns.
    ///
    /// # Errors
    /// The record cannot be read or written: then nothing may be handed out.
    pub fn claim(&mut self, claims: &[Claim]) -> Result<Vec<bool>, ServeError> {
        self.locked(|ledger| {
            let mut text = Vec::new();
            let mut verdicts = Vec::with_capacity(claims.len());
            let mut granted = Vec::new();
            let mut taken = BTreeSet::new();
            for claim in claims {
                let is_free = !ledger.is_handed(claim) && taken.insert((&claim.node, &claim.epoch, &claim.file));
                verdicts.push(is_free);
                if is_free {
                    let Claim { node, epoch, file, to } = claim.clone();
                    granted.push(Entry::Handed { at: clock::now(), node, epoch, file, to });
                }
            }
            for entry in granted {
                line(&mut text, &entry)?;
            }
            ledger.append(&text)?;
            Ok(verdicts)
        })
    }

    /// Lets a node fetch its files once more.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn rearm(&mut self, nodes: &[String]) -> Result<(), ServeError> {
        self.locked(|ledger| {
            let mut text = Vec::new();
            for node in nodes {
                line(&mut text, &Entry::Rearmed { at: clock::now(), node: node.clone() })?;
            }
            ledger.append(&text)
        })
    }

    fn is_handed(&self, claim: &Claim) -> bool {
        let handed = self.nodes.get(&claim.node);
        handed.is_some_and(|handed| handed.contains(&(claim.epoch, claim.file.clone())))
    }

    /// Alone with the record, with everything read that others wrote.
    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> io::Result<T>) -> Result<T, ServeError> {
        self.file.lock().map_err(ServeError::ledger("lock", &self.path))?;
        let done = self.catch_up().and_then(|()| work(self).map_err(ServeError::ledger("write", &self.path)));
        // The lock ends with the file at the latest; a failure of its own would hide that of the work.
        let _unlocked = self.file.unlock();
        done
    }

    fn catch_up(&mut self) -> Result<(), ServeError> {
        let path = self.path.clone();
        let failed = || ServeError::ledger("read", &path);
        self.file.seek(SeekFrom::Start(self.read)).map_err(failed())?;
        let mut reader = BufReader::new(self.file.try_clone().map_err(failed())?);
        let mut text = Vec::new();
        loop {
            text.clear();
            let count = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut text).map_err(failed())?;
            if count == 0 {
                return Ok(());
            }
            let entry = text.strip_suffix(b"\n").map(serde_json::from_slice::<Entry>);
            match entry {
                Some(Ok(entry)) => self.learn(entry),
                Some(Err(_)) => return Err(ServeError::Record { path, line: self.lines + 1 }),
                // Half a line: a writer died before its bytes were on disk, so that nothing was handed out for it.
                None if (count as u64) < LONGEST_LINE => {
                    return self.file.set_len(self.read).map_err(ServeError::ledger("mend", &path));
                }
                None => return Err(ServeError::Record { path, line: self.lines + 1 }),
            }
            self.read += count as u64;
            self.lines += 1;
        }
    }

    fn learn(&mut self, entry: Entry) {
        match entry {
            Entry::Handed { node, epoch, file, .. } => {
                self.nodes.entry(node).or_default().insert((epoch, file));
            }
            Entry::Rearmed { node, .. } => {
                self.nodes.remove(&node);
            }
        }
    }

    /// Writes and learns what was written, once it is on disk.
    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.file.write_all(text)?;
        self.file.sync_data()?;
        for text in text.split_inclusive(|byte| *byte == b'\n') {
            self.learn(serde_json::from_slice(text)?);
            self.lines += 1;
        }
        self.read += text.len() as u64;
        Ok(())
    }
}

/// No line of ours has so many bytes.
const LONGEST_LINE: u64 = 4096;

fn line(text: &mut Vec<u8>, entry: &Entry) -> io::Result<()> {
    serde_json::to_writer(&mut *text, entry)?;
    text.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(node: &str, epoch: &str, file: &str) -> Claim {
        let to = IpAddr::from([10, 0, 0, 1]);
        Claim { node: node.to_owned(), epoch: Digest::of(epoch.as_bytes()), file: file.to_owned(), to }
    }

    #[test]
    fn each_file_once_for_each_epoch_until_rearmed_whoever_writes() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("record");
        let (mut one, mut other) = (Ledger::open(&path).expect("opens"), Ledger::open(&path).expect("opens"));
        let claims = [claim("a", "1", "user-data"), claim("a", "1", "user-data"), claim("b", "1", "user-data")];
        assert_eq!(one.claim(&claims).expect("decides"), [true, false, true]);
        assert_eq!(other.claim(&claims).expect("decides"), [false; 3]);
        assert_eq!(other.claim(&[claim("a", "1", "meta-data")]).expect("decides"), [true]);
        other.rearm(&["a".to_owned()]).expect("rearms");
        assert_eq!(one.claim(&claims).expect("decides"), [true, false, false]);
        assert_eq!(one.claim(&[claim("b", "2", "user-data")]).expect("decides"), [true]);
        drop((one, other));
        let mut again = Ledger::open(&path).expect("opens");
        assert_eq!(again.claim(&[claim("b", "2", "user-data"), claims[0].clone()]).expect("decides"), [false; 2]);
    }

    #[test]
    fn half_a_line_is_as_if_it_were_not_there_and_a_strange_one_is_an_error() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("record");
        let mut ledger = Ledger::open(&path).expect("opens");
        ledger.claim(&[claim("a", "1", "user-data"), claim("b", "1", "user-data")]).expect("decides");
        let whole = std::fs::read(&path).expect("readable");
        let first = whole.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        for cut in first..whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("written");
            let mut ledger = Ledger::open(&path).expect("opens");
            let verdicts = ledger.claim(&[claim("a", "1", "user-data"), claim("b", "1", "user-data")]);
            assert_eq!(verdicts.expect("decides"), [false, true], "cut at {cut}");
            assert_eq!(std::fs::read(&path).expect("readable").split(|byte| *byte == b'\n').count(), 3);
        }
        std::fs::write(&path, [&whole[..first], b"{\"event\":\"king\"}\n"].concat()).expect("written");
        assert!(matches!(Ledger::open(&path), Err(ServeError::Record { line: 2, .. })));
        std::fs::write(&path, vec![b'x'; 1 << 20]).expect("written");
        assert!(matches!(Ledger::open(&path), Err(ServeError::Record { line: 1, .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever is claimed and rearmed, by whichever of two processes, with a restart at any moment: as a set would say.
        #[test]
        fn is_a_set_on_disk(steps in proptest::collection::vec((0..3_u8, 0..2_u8, 0..2_u8, any::<bool>(), 0..8_u8), 1..40)) {
            let folder = tempfile::tempdir().expect("a directory");
            let path = folder.path().join("record");
            let mut ledgers = [Ledger::open(&path).expect("opens"), Ledger::open(&path).expect("opens")];
            let mut model: BTreeSet<(u8, u8, u8)> = BTreeSet::new();
            for (node, epoch, file, which, what) in steps {
                let ledger = &mut ledgers[usize::from(which)];
                match what {
                    0 => *ledger = Ledger::open(&path).expect("opens"),
                    1 => {
                        ledger.rearm(&[node.to_string()]).expect("rearms");
                        model.retain(|(of, _, _)| *of != node);
                    }
                    _ => {
                        let expected = model.insert((node, epoch, file));
                        let claim = claim(&node.to_string(), &epoch.to_string(), &file.to_string());
                        prop_assert_eq!(ledger.claim(&[claim]).expect("decides"), [expected]);
                    }
                }
            }
        }
    }
}
