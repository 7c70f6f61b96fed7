//! One line of the table, and how its numbers are taken.

use std::time::{Duration, Instant};

/// A comparison.
pub struct Figure {
    pub what: String,
    pub khimg: String,
    pub other: String,
    /// khimg's number by the other's: less is better.
    pub ratio: f64,
    pub goal: f64,
}

impl Figure {
    pub fn of_times(what: impl Into<String>, khimg: Duration, other: Duration, goal: f64) -> Self {
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        let ratio = khimg.as_secs_f64() / other.as_secs_f64();
        Self { what: what.into(), khimg: seconds(khimg), other: seconds(other), ratio, goal }
    }

    pub fn print(&self) {
        let verdict = if self.ratio <= self.goal { "" } else { "  missed" };
        let Self { what, khimg, other, ratio, goal } = self;
        println!("{what:<58} {khimg:>10} {other:>10} {ratio:>8.3} {goal:>8.3}{verdict}");
    }
}

/// How long `work` takes.
pub fn time(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

/// The middle of an odd number of measurements.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
