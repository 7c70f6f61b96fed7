//! Figures for the README: khimg against well-known tools, both measured in this run on this machine, so that the machine
//! cancels out. Rounds alternate and the median counts.
//!
//! `cargo bench` measures everything, `cargo bench -- packing` the figures whose name contains the word. A goal that is missed
//! is said in the table and fails nothing; only what breaks does.

// As in the integration tests: nothing here is part of the library.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

// What a line of the table is.
mod figure;

// khimg as a user runs it, with its time and its peak of memory.
mod program;

// Resolution against `apt-get install -s`.
mod closure;

// Packing against `tar | zstd` and `tar | pigz`.
mod packing;
mod tree;

// Images from a registry against `skopeo copy`.
mod pull;

// A whole build: after one line changed against the first one, and its memory.
mod build;

// Seeds of thousands of nodes: time and memory.
mod nodes;

// The depot over HTTP against nginx.
mod serve;

mod support;

use figure::Figure;

/// Takes measurements.
type Measure = fn() -> Vec<Figure>;

/// Name → measurement.
const FIGURES: [(&str, Measure); 6] = [
    ("closure", closure::measure),
    ("packing", packing::measure),
    ("pull", pull::measure),
    ("build", build::measure),
    ("nodes", nodes::measure),
    ("serve", serve::measure),
];

fn main() {
    // `cargo bench` adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    Figure::head();
    for (name, measure) in FIGURES {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            measure().iter().for_each(Figure::print);
        }
    }
}
