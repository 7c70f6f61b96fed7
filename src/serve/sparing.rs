//! A reporter that strangers cannot make talk without end: each request that is refused is worth a line, a flood of them is not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::report::{Event, Reporter};

/// Lines that are told in a [`WHILE`]: a rack of machines that boots together.
const MOST: u64 = 200;

/// For how long they are counted.
const WHILE: Duration = Duration::from_secs(5);

/// Passes on what it is told, within a measure.
pub struct Sparing {
    inner: Arc<dyn Reporter>,
    count: Mutex<(Instant, u64)>,
}

impl Sparing {
    /// Around another reporter.
    pub fn new(inner: Arc<dyn Reporter>) -> Self {
        Self { inner, count: Mutex::new((Instant::now(), 0)) }
    }
}

impl Reporter for Sparing {
    fn report(&self, event: Event) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, told) = &mut *count;
        if since.elapsed() > WHILE {
            let left_out = told.saturating_sub(MOST);
            (*since, *told) = (Instant::now(), 0);
            if left_out > 0 {
                self.inner.report(Event::Warning { text: format!("{left_out} more lines were left out") });
            }
        }
        *told += 1;
        if *told <= MOST {
            self.inner.report(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct Counting(AtomicU64);

    impl Reporter for Counting {
        fn report(&self, _: Event) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_flood_is_cut_off() {
        let counting = Arc::new(Counting(AtomicU64::new(0)));
        let sparing = Sparing::new(counting.clone());
        for _ in 0..10 * MOST {
            sparing.report(Event::Note { text: "again".to_owned() });
        }
        // A slow machine may need more than one while.
        let told = counting.0.load(Ordering::Relaxed);
        assert!((MOST..5 * MOST).contains(&told), "{told}");
    }
}
