//! Figures for the README: ratios to well-known tools, measured in one run on one machine, so that the machine cancels out.
//!
//! `cargo bench` measures all, `cargo bench -- packing` those whose name contains the word. Every figure is one file; rounds are
//! interleaved and the median counts.

// As in the integration tests: nothing here is part of the library.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod figure;

// Packing against `tar | zstd -10 -T0` and `tar | pigz -6`.
mod packing;

// A build after one configuration line changed, against the first one.
mod rebuild;

// Peak memory of packing.
mod memory;

mod tree;

#[allow(dead_code)]
#[path = "../it/support/workshop.rs"]
mod workshop;

use figure::Figure;

/// Takes measurements.
type Measure = fn() -> Vec<Figure>;

/// Name → measurement.
const FIGURES: [(&str, Measure); 3] =
    [("packing", packing::measure), ("rebuild", rebuild::measure), ("memory", memory::measure)];

fn main() {
    // `cargo bench` adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [child, argument] = wanted.as_slice()
        && child == memory::CHILD
    {
        memory::child(argument);
        return;
    }
    println!("{:<58} {:>10} {:>10} {:>8} {:>8}", "figure", "khimg", "other", "ratio", "goal");
    for (name, measure) in FIGURES {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            measure().iter().for_each(Figure::print);
        }
    }
}
