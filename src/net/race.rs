//! Which mirror is asked next, and which never again.

use super::address::shown;
use super::attempt::{Standing, Stop, Terms, Work};
use super::exchange::Dead;
use super::patience::Patience;
use super::{Attempt, Download, Failure, Net, NetError};
use crate::store::StoreError;

/// A try that brought at most so many bytes counts as a failure; see [`Race::worthwhile`].
const WORTHWHILE: u64 = 64 << 10;

/// All mirrors of one blob, until one has delivered its last byte or none is left.
pub(super) struct Race<'a, 'w> {
    net: &'a Net,
    download: &'a Download,
    work: &'a mut Work<'w>,
    standings: Vec<Standing>,
    terms: Terms,
    /// Pieces of several mirrors did not fit together once: from now on every byte must come from one.
    alone: bool,
}

/// How a mirror's turn ended.
enum Turn {
    /// The right bytes are there.
    Complete,
    /// On to the next; whether this one brought enough to go on without a pause.
    Next { gained: bool },
}

impl<'a, 'w> Race<'a, 'w> {
    pub fn new(net: &'a Net, download: &'a Download, work: &'a mut Work<'w>) -> Self {
        let standings = download.origins.iter().map(|_| Standing::default()).collect();
        let terms = Terms { floor: net.inner.options.floor, dead: Dead::Skip };
        Self { net, download, work, standings, terms, alone: false }
    }

    /// Goes round the mirrors. Ends: every round without enough new bytes counts against each mirror in it.
    pub async fn run(mut self) -> Result<(), NetError> {
        let label = &self.download.label;
        let stored = |source| NetError::Store { label: label.clone(), source };
        if self.download.size.is_some_and(|size| self.work.partial.size() >= size) {
            self.work.restart().map_err(stored)?;
        }
        let mut patience = Patience::new(&self.net.inner.options);
        loop {
            let mut gained_any = false;
            for mirror in self.order() {
                match self.turn(mirror).await.map_err(stored)? {
                    Turn::Complete => return Ok(()),
                    Turn::Next { gained } => gained_any |= gained,
                }
            }
            if self.standings.iter().all(|standing| standing.dropped) {
                return Err(self.exhausted());
            }
            // Nobody was good enough; from now on, be content with less.
            self.terms = Terms { floor: self.net.inner.options.floor.gentle(), dead: Dead::Probe };
            if !gained_any {
                patience.wait(self.asked()).await;
            }
        }
    }

    /// The mirrors that are left, as given, but those on slow hosts later and those on dead hosts last.
    fn order(&self) -> Vec<usize> {
        let ranked = self.download.origins.iter().zip(&self.standings).enumerate();
        let mut order: Vec<(u8, usize)> = ranked
            .filter(|(_, (_, standing))| !standing.dropped)
            .map(|(mirror, (source, _))| (self.net.inner.hosts.rank(&source.url), mirror))
            .collect();
        order.sort_unstable();
        order.into_iter().map(|(_, mirror)| mirror).collect()
    }

    /// The pause that the servers asked for, if all that are left did.
    fn asked(&self) -> Option<std::time::Duration> {
        let left = self.standings.iter().filter(|standing| !standing.dropped);
        let asked: Option<Vec<_>> = left.map(|standing| standing.last.as_ref()?.retry_after()).collect();
        asked?.into_iter().min()
    }

    async fn turn(&mut self, mirror: usize) -> Result<Turn, StoreError> {
        let attempts = self.net.inner.options.attempts;
        let hosts = &self.net.inner.hosts;
        let (Some(source), Some(standing)) = (self.download.origins.get(mirror), self.standings.get_mut(mirror)) else {
            return Ok(Turn::Next { gained: false });
        };
        if self.alone && !self.work.only_from(mirror) {
            self.work.restart()?;
        }
        loop {
            if let Some(reason) = hosts.dead(&source.url).filter(|_| hosts.refusals(&source.url) >= attempts) {
                standing.dropped = true;
                standing.last.get_or_insert(Failure::Dead(reason));
                return Ok(Turn::Next { gained: false });
            }
            let before = self.work.partial.size();
            let tried = self.net.attempt(self.download, mirror, source, (self.work, standing), self.terms).await;
            let failure = match tried {
                Ok(()) if self.work.partial.digest() == self.download.digest => return Ok(Turn::Complete),
                Ok(()) if self.work.only_from(mirror) => {
                    Failure::WrongDigest { expected: self.download.digest, actual: self.work.partial.digest() }
                }
                Ok(()) => {
                    let label = &self.download.label;
                    self.net.note(format!(
                        "{label}: the pieces do not fit together; once more from {} alone",
                        source.mirror
                    ));
                    self.alone = true;
                    self.work.restart()?;
                    continue;
                }
                Err(Stop::Store(error)) => return Err(error),
                Err(Stop::Mirror(failure)) => failure,
            };
            if failure.is_wrong_bytes() && self.work.senders.contains(&Some(mirror)) {
                self.work.restart()?;
            }
            let gained = self.work.partial.size() >= before.saturating_add(worthwhile(self.download.size));
            standing.failures = if gained { 0 } else { standing.failures + 1 };
            standing.dropped = failure.is_final() || standing.failures >= attempts;
            let patient = gained && self.alone && !standing.dropped;
            let told = failure.is_old_news() && hosts.dead(&source.url).is_some();
            if !patient && !told {
                let url = shown(&source.url);
                self.net.note(format!("{}: {} {url} {failure}", self.download.label, source.mirror));
            }
            standing.last = Some(failure);
            if !patient {
                return Ok(Turn::Next { gained });
            }
        }
    }

    fn exhausted(self) -> NetError {
        let attempts = self.download.origins.iter().zip(self.standings).filter_map(|(source, standing)| {
            let failure = standing.last?;
            Some(Attempt { mirror: source.mirror.clone(), url: shown(&source.url), failure })
        });
        NetError::Exhausted {
            label: self.download.label.clone(),
            digest: self.download.digest,
            attempts: attempts.collect(),
        }
    }
}

/// How many new bytes make a broken try worth repeating for as long as it takes. A sixteenth of a small blob, so that the
/// number of tries stays bounded by the size either way.
fn worthwhile(size: Option<u64>) -> u64 {
    size.map_or(WORTHWHILE, |size| (size / 16).clamp(1, WORTHWHILE))
}
