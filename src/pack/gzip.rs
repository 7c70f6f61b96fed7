//! gzip on several threads: a row of members of fixed size, each by itself, so that the bytes do not depend on the threads.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem;
use std::sync::mpsc::{self, Receiver};

use flate2::{Compression, GzBuilder};

use super::compress::Workers;

/// Uncompressed size of a gzip member in bytes. Part of the format: another size gives other bytes.
pub(super) const MEMBER: usize = 1 << 20;

/// Cuts a stream into blocks of fixed size and compresses a few at a time, each by a fresh compressor.
pub(crate) struct Members<W> {
    out: W,
    level: Compression,
    block: usize,
    filling: Vec<u8>,
    /// Members in the order of the stream. Nobody waits for a slow one until so many are under way.
    under_way: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    workers: Workers,
}

impl<W: Write> Members<W> {
    /// Begins a stream of members of `block` uncompressed bytes each.
    pub(super) fn new(out: W, level: Compression, block: usize, workers: &Workers) -> Self {
        let workers = workers.clone();
        Self { out, level, block, filling: Vec::with_capacity(block), under_way: VecDeque::new(), workers }
    }

    fn begin_member(&mut self) -> io::Result<()> {
        let block = mem::replace(&mut self.filling, Vec::with_capacity(self.block));
        let (level, (sender, receiver)) = (self.level, mpsc::channel());
        self.workers.spawn(move || {
            // Fails only where the writer was dropped and nobody wants the member any more.
            let _ = sender.send(member(&block, level));
        });
        self.under_way.push_back(receiver);
        if self.under_way.len() > self.workers.count() * 4 { self.end_member() } else { Ok(()) }
    }

    fn end_member(&mut self) -> io::Result<()> {
        let Some(first) = self.under_way.pop_front() else { return Ok(()) };
        let member = first.recv().map_err(|_| io::Error::other("a compressing thread ended early"))?;
        self.out.write_all(&member?)
    }

    /// Waits for the last members and gives the inner writer back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        if !self.filling.is_empty() {
            self.begin_member()?;
        }
        while !self.under_way.is_empty() {
            self.end_member()?;
        }
        Ok(self.out)
    }
}

impl<W: Write> Write for Members<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let room = self.block - self.filling.len();
        let taken = &buf[..buf.len().min(room)];
        self.filling.extend_from_slice(taken);
        if self.filling.len() == self.block {
            self.begin_member()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One gzip member without name or time; 255 is "unknown" in the field for the operating system (RFC 1952 §2.3.1).
fn member(block: &[u8], level: Compression) -> io::Result<Vec<u8>> {
    let room = Vec::with_capacity(block.len() / 2);
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(room, level);
    encoder.write_all(block)?;
    encoder.finish()
}
