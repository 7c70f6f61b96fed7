//! One try of one mirror: what is missing, appended to what is there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED};

use super::exchange::{Dead, Exchange};
use super::patience::retry_after;
use super::range::ContentRange;
use super::speed::Speedometer;
use super::{Download, Failure, Floor, Net, Source};
use crate::clock;
use crate::report::{Event, Reporter, next_task};
use crate::store::{Partial, StoreError};

/// Progress is reported at most this often.
const PROGRESS: Duration = Duration::from_millis(100);

/// A blob on its way: its bytes so far, and who sent them.
pub(super) struct Work<'a> {
    pub partial: Partial,
    /// Which mirrors (by index) the bytes came from; `None` is an earlier run.
    pub senders: BTreeSet<Option<usize>>,
    progress: Progress<'a>,
}

/// What is known of one mirror while it serves one blob.
#[derive(Default)]
pub(super) struct Standing {
    /// Failures in a row without a byte.
    pub failures: u32,
    /// Out of the race for this blob.
    pub dropped: bool,
    pub last: Option<Failure>,
    /// Cannot resume: ask for all of it.
    whole: bool,
    /// `ETag` or `Last-Modified` of what it serves.
    validator: Option<HeaderValue>,
}

/// How far one try may go.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    pub floor: Floor,
    pub dead: Dead,
}

/// Why a try ended without the last byte.
pub(super) enum Stop {
    /// The mirror's fault.
    Mirror(Failure),
    /// Ours: no mirror can help.
    Store(StoreError),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Mirror(failure)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<'a> Work<'a> {
    pub fn new(partial: Partial, download: &Download, reporter: &'a dyn Reporter) -> Self {
        let task = next_task();
        reporter.report(Event::Started { task, label: download.label.clone(), total: download.size });
        let senders = (partial.size() > 0).then_some(None).into_iter().collect();
        Self { partial, senders, progress: Progress { reporter, task, last: None } }
    }

    /// Whether every byte came from this mirror, in this run.
    pub fn only_from(&self, mirror: usize) -> bool {
        self.senders.iter().all(|sender| *sender == Some(mirror))
    }

    pub fn restart(&mut self) -> Result<(), StoreError> {
        self.senders.clear();
        if self.partial.size() > 0 {
            self.partial.restart()?;
        }
        Ok(())
    }

    /// The bytes; the task is over.
    pub fn into_partial(self) -> Partial {
        self.partial
    }

    fn write(&mut self, mirror: usize, bytes: &[u8]) -> Result<(), StoreError> {
        self.senders.insert(Some(mirror));
        self.partial.write(bytes)?;
        self.progress.at(self.partial.size());
        Ok(())
    }
}

impl Net {
    /// Asks `mirror` for the rest. `Ok`: it sent all that it has; whether these are the right bytes is the caller's to see.
    pub(super) async fn attempt(
        &self,
        download: &Download,
        mirror: usize,
        source: &Source,
        (work, standing): (&mut Work<'_>, &mut Standing),
        terms: Terms,
    ) -> Result<(), Stop> {
        if standing.whole && work.partial.size() > 0 {
            work.restart()?;
        }
        let offset = work.partial.size();
        let headers = headers(source, standing, offset)?;
        let mut exchange = self.exchange(&source.url, headers, offset, terms.dead).await?;
        let total = match exchange.status {
            StatusCode::OK => exchange.length,
            StatusCode::PARTIAL_CONTENT if offset > 0 => continued(&exchange, offset, standing)?,
            status => {
                // Our bytes reach beyond its end, or it changed: the whole of it will tell.
                standing.whole |= matches!(status, StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT);
                let retry_after = retry_after(&exchange.headers, clock::now());
                return Err(Failure::Status { status, retry_after }.into());
            }
        };
        // Before anything is thrown away or written.
        fits(download, total)?;
        standing.validator = validator(&exchange.headers);
        if exchange.status == StatusCode::OK {
            work.restart()?;
        }
        let mut speed = Speedometer::new(terms.floor, Instant::now());
        while let Some(chunk) = exchange.chunk().await? {
            let limit = download.size.unwrap_or(download.limit);
            if work.partial.size() + chunk.len() as u64 > limit {
                return Err(Failure::TooLong { limit }.into());
            }
            work.write(mirror, &chunk)?;
            if let Err(speed) = speed.add(chunk.len(), Instant::now()) {
                self.inner.hosts.slow(&source.url);
                return Err(Failure::Slow { speed }.into());
            }
        }
        let actual = work.partial.size();
        match total.or(download.size) {
            Some(expected) if actual < expected => Err(Failure::Short { expected, actual }.into()),
            _ => Ok(()),
        }
    }
}

fn headers(source: &Source, standing: &Standing, offset: u64) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    if let Some(authorization) = &source.authorization {
        headers.insert(AUTHORIZATION, authorization.header()?);
    }
    // Without a validator the range stands alone: whether the pieces belong together, the digest tells.
    if let Some(validator) = standing.validator.as_ref().filter(|_| offset > 0) {
        headers.insert(IF_RANGE, validator.clone());
    }
    Ok(headers)
}

/// The whole size that a 206 tells, if it continues where it should.
fn continued(exchange: &Exchange<'_>, offset: u64, standing: &mut Standing) -> Result<Option<u64>, Failure> {
    let answer =
        exchange.headers.get(CONTENT_RANGE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let answer = answer.unwrap_or_default();
    match ContentRange::parse(&answer) {
        Some(range)
            if range.first == offset && exchange.length.is_none_or(|length| length == range.last - range.first + 1) =>
        {
            Ok(range.total)
        }
        _ => {
            standing.whole = true;
            Err(Failure::WrongRange { offset, answer })
        }
    }
}

/// A whole of `total` bytes can be what is wanted.
fn fits(download: &Download, total: Option<u64>) -> Result<(), Failure> {
    match (download.size, total) {
        (Some(expected), Some(actual)) if actual != expected => Err(Failure::WrongSize { expected, actual }),
        (None, Some(actual)) if actual > download.limit => Err(Failure::TooLong { limit: download.limit }),
        _ => Ok(()),
    }
}

/// What a later request can be made conditional on (RFC 9110 §13.1.5): a strong `ETag`, else `Last-Modified`. The latter may be
/// weak; a wrong guess costs a download, not the bytes: the digest decides.
fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let strong = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""));
    strong.or_else(|| headers.get(LAST_MODIFIED)).cloned()
}

struct Progress<'a> {
    reporter: &'a dyn Reporter,
    task: u64,
    last: Option<Instant>,
}

impl Progress<'_> {
    fn at(&mut self, done: u64) {
        let now = Instant::now();
        if self.last.is_none_or(|last| now.saturating_duration_since(last) >= PROGRESS) {
            self.last = Some(now);
            self.reporter.report(Event::Progress { task: self.task, done });
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        // Also when the download is cancelled: a bar must not stay for ever.
        self.reporter.report(Event::Finished { task: self.task });
    }
}
