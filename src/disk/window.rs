//! A partition of an image file, as if it were a file of its own.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// The bytes from `start` on, `size` of them. Nothing reaches beyond.
pub(super) struct Window<'a> {
    file: &'a File,
    start: u64,
    size: u64,
    at: u64,
}

impl<'a> Window<'a> {
    pub(super) fn new(file: &'a File, start: u64, size: u64) -> Self {
        Self { file, start, size, at: 0 }
    }

    /// How many of `wanted` bytes lie within, from here on.
    fn within(&self, wanted: usize) -> usize {
        usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX).min(wanted)
    }

    fn seek_file(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.start + self.at)).map(drop)
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let within = self.within(buf.len());
        self.seek_file()?;
        let read = self.file.read(buf.get_mut(..within).unwrap_or_default())?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Write for Window<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let within = self.within(buf.len());
        self.seek_file()?;
        let written = self.file.write(buf.get(..within).unwrap_or_default())?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_beyond() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[7; 30]).expect("written");
        let mut window = Window::new(&file, 10, 10);
        window.seek(SeekFrom::End(-2)).expect("within");
        assert_eq!(window.write(&[1; 5]).expect("written"), 2);
        assert_eq!(window.write(&[1; 5]).expect("at the end"), 0);
        assert!(window.seek(SeekFrom::Current(-11)).is_err());
        let mut all = Vec::new();
        window.rewind().expect("within");
        window.read_to_end(&mut all).expect("read");
        assert_eq!(all, [7, 7, 7, 7, 7, 7, 7, 7, 1, 1]);
        file.rewind().expect("within");
        let mut whole = Vec::new();
        file.read_to_end(&mut whole).expect("read");
        assert_eq!((whole.len(), whole.get(20)), (30, Some(&7)));
    }
}
