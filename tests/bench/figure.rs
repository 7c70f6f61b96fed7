//! One line of the table, and how its numbers are taken.

use std::time::{Duration, Instant};

/// A comparison. Less is better.
pub struct Figure {
    what: String,
    khimg: String,
    peer: String,
    ratio: f64,
    /// The largest ratio that meets the goal; `None` where the line is only there to be known.
    goal: Option<f64>,
}

impl Figure {
    /// Two times.
    pub fn times(what: impl Into<String>, khimg: Duration, peer: Duration, goal: impl Into<Option<f64>>) -> Self {
        let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
        Self::new(what, (khimg.as_secs_f64(), seconds(khimg)), (peer.as_secs_f64(), seconds(peer)), goal)
    }

    /// Two numbers of bytes.
    pub fn sizes(what: impl Into<String>, khimg: u64, peer: u64, goal: impl Into<Option<f64>>) -> Self {
        let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
        Self::new(what, (khimg as f64, megabytes(khimg)), (peer as f64, megabytes(peer)), goal)
    }

    fn new(what: impl Into<String>, khimg: (f64, String), peer: (f64, String), goal: impl Into<Option<f64>>) -> Self {
        Self { what: what.into(), khimg: khimg.1, peer: peer.1, ratio: khimg.0 / peer.0, goal: goal.into() }
    }

    /// Prints the table's head, which makes it a table in Markdown.
    pub fn head() {
        println!("| {:<62} | {:>9} | {:>9} | {:>6} | {:>6} | met |", "figure", "khimg", "peer", "ratio", "goal");
        println!("|{:-<64}|{:->10}:|{:->10}:|{:->7}:|{:->7}:|-----|", "", "", "", "", "");
    }

    /// Prints the line.
    pub fn print(&self) {
        let Self { what, khimg, peer, ratio, goal } = self;
        let met = goal.map_or("", |goal| if *ratio <= goal { "yes" } else { "no" });
        let goal = goal.map_or(String::new(), |goal| format!("{goal:.3}"));
        println!("| {what:<62} | {khimg:>9} | {peer:>9} | {ratio:>6.3} | {goal:>6} | {met:<3} |");
    }
}

/// How long `work` takes.
pub fn time(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

/// The middle one of the measurements.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
