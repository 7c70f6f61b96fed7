//! One stream in one file or in several, with a list of their digests for `sha256sum -c`.
//!
//! Everything is written beside its place and renamed at the end: what stood there before stands until then.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::TransferError;
use crate::digest::{Digest, Hasher};
use crate::input;

/// Parts are numbered with three digits.
const MOST: usize = 1000;

/// The name of a part.
fn part(out: &Path, number: usize) -> PathBuf {
    beside(out, &format!(".{number:03}"))
}

fn beside(out: &Path, end: &str) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Writes a stream; dropped without [`Parts::finish`], nothing of it stays.
pub(super) struct Parts {
    out: PathBuf,
    /// Most bytes of a part.
    split: Option<u64>,
    secret: bool,
    written: Vec<(PathBuf, Digest, u64)>,
    current: Option<(BufWriter<File>, Hasher)>,
    done: bool,
}

/// What was written.
pub(super) struct Written {
    pub(super) paths: Vec<PathBuf>,
    pub(super) size: u64,
}

impl Parts {
    /// Begins to write `out`, or parts of at most `split` bytes; for their owner alone if they hold a secret.
    pub(super) fn new(out: &Path, split: Option<u64>, secret: bool) -> Self {
        Self { out: out.to_path_buf(), split, secret, written: Vec::new(), current: None, done: false }
    }

    fn temporary(&self, number: usize) -> PathBuf {
        beside(&self.out, &format!(".{number:03}.new"))
    }

    fn open(&mut self) -> io::Result<&mut (BufWriter<File>, Hasher)> {
        if self.current.is_none() {
            let number = self.written.len();
            if number >= MOST {
                return Err(io::Error::new(ErrorKind::FileTooLarge, TransferError::Parts { most: MOST }));
            }
            let mode = if self.secret { 0o600 } else { 0o644 };
            let path = self.temporary(number);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
            self.current = Some((BufWriter::with_capacity(1 << 18, file), Hasher::default()));
        }
        self.current.as_mut().ok_or_else(|| ErrorKind::Other.into())
    }

    fn close(&mut self) -> io::Result<()> {
        if let Some((mut writer, hasher)) = self.current.take() {
            writer.flush()?;
            writer.get_ref().sync_all()?;
            let path = self.temporary(self.written.len());
            self.written.push((path, hasher.digest(), hasher.count()));
        }
        Ok(())
    }

    /// Puts everything in place, with the list of digests.
    pub(super) fn finish(mut self) -> Result<Written, TransferError> {
        self.close().map_err(TransferError::io("write", &self.out))?;
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (mut sums, mut paths, mut size) = (String::new(), Vec::new(), 0);
        for (number, (temporary, sha256, bytes)) in self.written.iter().enumerate() {
            let path = if self.split.is_some() { part(&self.out, number) } else { self.out.clone() };
            fs::rename(temporary, &path).map_err(TransferError::io("create", &path))?;
            sums += &format!("{}  {}\n", sha256.hex(), name(&path));
            size += bytes;
            paths.push(path);
        }
        self.done = true;
        // Parts and files of an earlier export of this name do not belong to it.
        let mut stale: Vec<PathBuf> = (paths.len()..MOST).map(|number| part(&self.out, number)).collect();
        if self.split.is_some() {
            stale.push(self.out.clone());
        } else {
            stale.push(part(&self.out, 0));
        }
        for path in stale {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(TransferError::io("remove", &path)(e)),
                _ => {}
            }
        }
        let list = beside(&self.out, ".sha256");
        fs::write(&list, sums).map_err(TransferError::io("write", &list))?;
        Ok(Written { paths, size })
    }
}

impl Write for Parts {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let split = self.split.unwrap_or(u64::MAX);
        let (writer, hasher) = self.open()?;
        let room = split.saturating_sub(hasher.count()).min(buf.len() as u64) as usize;
        let bytes = buf.get(..room).unwrap_or_default();
        writer.write_all(bytes)?;
        hasher.update(bytes);
        if hasher.count() >= split {
            self.close()?;
        }
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.current.as_mut().map_or(Ok(()), |(writer, _)| writer.flush())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if !self.done {
            for number in 0..=self.written.len() {
                // What cannot be removed is overwritten by the next export.
                let _ = fs::remove_file(self.temporary(number));
            }
        }
    }
}

/// Reads what [`Parts`] wrote: `path` itself, or `path.000` and those that follow.
pub(super) fn open(path: &Path) -> Result<impl Read + use<>, TransferError> {
    let single = path.exists();
    let first = if single { path.to_path_buf() } else { part(path, 0) };
    let file = input::open(&first).map_err(TransferError::io("open", if first.exists() { &first } else { path }))?;
    Ok(Sequence { path: (!single).then(|| path.to_path_buf()), number: 0, file })
}

struct Sequence {
    /// Where the next parts are; none follow a single file.
    path: Option<PathBuf>,
    number: usize,
    file: File,
}

impl Read for Sequence {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.file.read(buf)?;
            if read > 0 || buf.is_empty() {
                return Ok(read);
            }
            let Some(path) = &self.path else { return Ok(0) };
            self.number += 1;
            match input::open(&part(path, self.number)) {
                Ok(file) => self.file = file,
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(0),
                Err(e) => return Err(e),
            }
        }
    }
}
