//! How often each machine may report. Whoever has a node's token can still not keep the server busy.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One report in this time, in the long run. Nodes wait longer between two.
const EVERY: Duration = Duration::from_secs(1);

/// So many may come together.
const TOGETHER: u32 = 10;

/// When each node will have made up for what it sent.
#[derive(Debug, Default)]
pub struct Pace {
    even: Mutex<BTreeMap<String, Instant>>,
}

impl Pace {
    /// Whether a report of `node` at the time `now` is heard.
    pub fn allows(&self, node: &str, now: Instant) -> bool {
        let mut even = self.even.lock().unwrap_or_else(PoisonError::into_inner);
        let next = even.get(node).copied().unwrap_or(now).max(now) + EVERY;
        let is_heard = next.duration_since(now) <= EVERY * TOGETHER;
        if is_heard {
            even.insert(node.to_owned(), next);
        }
        is_heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_together_then_one_each_second_and_each_node_for_itself() {
        let (pace, begin) = (Pace::default(), Instant::now());
        let heard = |node, seconds| pace.allows(node, begin + Duration::from_secs(seconds));
        assert_eq!((0..100).filter(|_| heard("a", 0)).count(), 10);
        assert_eq!((0..100).filter(|_| heard("a", 3)).count(), 3);
        assert!(heard("b", 3) && !heard("a", 3) && heard("a", 4));
        assert_eq!((0..100).filter(|_| heard("a", 1000)).count(), 10);
    }
}
