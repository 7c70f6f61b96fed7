//! Noticing that a transfer is too slow.

use std::time::{Duration, Instant};

use super::Floor;

/// The bytes of one transfer in windows of time.
pub(super) struct Speedometer {
    floor: Floor,
    since: Instant,
    bytes: u64,
}

impl Speedometer {
    pub fn new(floor: Floor, now: Instant) -> Self {
        Self { floor, since: now, bytes: 0 }
    }

    /// Counts bytes; at the end of a window that stayed below the floor, the speed in bytes per second.
    pub fn add(&mut self, bytes: usize, now: Instant) -> Result<(), u64> {
        self.bytes += bytes as u64;
        let passed = now.saturating_duration_since(self.since);
        if passed < self.floor.window || passed.is_zero() {
            return Ok(());
        }
        let speed = per_second(self.bytes, passed);
        if speed < self.floor.speed {
            return Err(speed);
        }
        (self.since, self.bytes) = (now, 0);
        Ok(())
    }
}

fn per_second(bytes: u64, passed: Duration) -> u64 {
    let milliseconds = passed.as_millis().max(1);
    u64::try_from(u128::from(bytes) * 1000 / milliseconds).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_a_slow_window_only_when_it_is_over() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut speed = Speedometer::new(Floor { speed: 100, window: Duration::from_secs(10) }, start);
        assert_eq!(speed.add(10, at(9)), Ok(()));
        assert_eq!(speed.add(990, at(10)), Ok(()));
        assert_eq!(speed.add(500, at(19)), Ok(()));
        assert_eq!(speed.add(0, at(20)), Err(50));
        let mut off = Speedometer::new(Floor { speed: 0, window: Duration::from_secs(10) }, start);
        assert_eq!(off.add(0, at(1000)), Ok(()));
    }
}
