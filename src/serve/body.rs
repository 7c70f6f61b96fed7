//! Bodies of answers: bytes in memory, or a stretch of a file that is read as the client takes it.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::task::JoinHandle;

/// How much of a file is read at a time: few calls, and 200 clients together take 26 MB.
const CHUNK: u64 = 128 << 10;

/// Counts what leaves, so that a connection on which nothing moves can be told.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<AtomicU64>);

impl Meter {
    /// Something moved.
    pub fn tick(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often something has moved.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Told how many bytes of a file left when the answer is over.
pub type Ended = Box<dyn FnOnce(u64) + Send>;

/// The body of an answer.
pub enum Answered {
    /// Bytes in memory; taken when they have left.
    Bytes(Option<Bytes>),
    /// A stretch of a file.
    File(Stretch),
}

/// A stretch of a file.
pub struct Stretch {
    file: Arc<File>,
    at: u64,
    end: u64,
    begin: u64,
    /// Whether the kernel can say that it would have to wait for the disk.
    knows_waiting: bool,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    spare: BytesMut,
    meter: Meter,
    ended: Option<Ended>,
}

impl Answered {
    /// Bytes in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::Bytes(Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty()))
    }

    /// `length` bytes of a file, from `begin`.
    pub fn file(file: File, begin: u64, length: u64, meter: Meter, ended: Option<Ended>) -> Self {
        Self::File(Stretch {
            file: Arc::new(file),
            at: begin,
            end: begin.saturating_add(length),
            begin,
            knows_waiting: true,
            reading: None,
            spare: BytesMut::new(),
            meter,
            ended,
        })
    }
}

impl Drop for Stretch {
    fn drop(&mut self) {
        if let Some(ended) = self.ended.take() {
            ended(self.at - self.begin);
        }
    }
}

impl Stretch {
    /// What is in memory already, without waiting; `None` where the disk has to be asked.
    fn at_hand(&mut self, want: usize) -> io::Result<Option<Bytes>> {
        if !self.knows_waiting {
            return Ok(None);
        }
        // The memory of the chunk before comes back once that has left.
        self.spare.clear();
        self.spare.resize(want, 0);
        match preadv2(&*self.file, &mut [IoSliceMut::new(&mut self.spare)], self.at, ReadWriteFlags::NOWAIT) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.spare.truncate(count);
                Ok(Some(self.spare.split().freeze()))
            }
            Err(Errno::AGAIN) => Ok(None),
            // A file system or a kernel without this.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                self.knows_waiting = false;
                Ok(None)
            }
            Err(Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let left = self.end - self.at;
        if left == 0 {
            return Poll::Ready(None);
        }
        let want = usize::try_from(left.min(CHUNK)).unwrap_or_default();
        let bytes = if let Some(reading) = &mut self.reading {
            let read = ready!(Pin::new(reading).poll(context));
            self.reading = None;
            read.map_err(io::Error::other).and_then(|read| read)
        } else {
            match self.at_hand(want) {
                Ok(Some(bytes)) => Ok(bytes),
                Err(error) => Err(error),
                Ok(None) => {
                    let (file, at) = (Arc::clone(&self.file), self.at);
                    self.reading = Some(tokio::task::spawn_blocking(move || {
                        let mut chunk = vec![0; want];
                        file.read_exact_at(&mut chunk, at)?;
                        Ok(chunk.into())
                    }));
                    return self.poll(context);
                }
            }
        };
        Poll::Ready(Some(bytes.map(|bytes| {
            self.at += bytes.len() as u64;
            self.meter.tick();
            Frame::data(bytes)
        })))
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.get_mut() {
            Self::Bytes(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::File(stretch) => stretch.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_none(),
            Self::File(stretch) => stretch.at == stretch.end,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Bytes(bytes) => bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            Self::File(stretch) => stretch.end - stretch.at,
        })
    }
}
