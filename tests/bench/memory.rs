//! The most memory that packing ever holds, in a process of its own, for an input that is larger by far.

use std::process::Command;

use khimg::pack::Format;

use crate::figure::Figure;
use crate::tree::Input;

/// The argument that makes this program the child that packs.
pub const CHILD: &str = "--pack-and-tell-memory";

/// What a build may take, in MB.
const GOAL: f64 = 200.0;

pub fn measure() -> Vec<Figure> {
    let mut figures = Vec::new();
    for format in Format::ALL {
        for jobs in ["2", "4"] {
            let program = std::env::current_exe().expect("this program");
            let output = Command::new(program).args([CHILD, &format!("{format}:{jobs}")]).output().expect("a child");
            let text = String::from_utf8_lossy(&output.stdout);
            let peak: f64 = text.lines().last().and_then(|line| line.parse().ok()).expect("a number of MB");
            figures.push(Figure {
                what: format!("peak memory of packing, {format}, {jobs} jobs"),
                khimg: format!("{peak:.0} MB"),
                other: format!("{GOAL:.0} MB"),
                ratio: peak / GOAL,
                goal: 1.0,
            });
        }
    }
    figures
}

/// Packs and prints the process's peak in MB.
pub fn child(argument: &str) {
    let (format, jobs) = argument.split_once(':').expect("format:jobs");
    let input = Input::new(true);
    // What making the input took does not count (proc(5): 5 resets the peak).
    std::fs::write("/proc/self/clear_refs", "5").expect("one's own process");
    input.workshop.pack(format.parse().expect("a format"), jobs.parse().expect("a number")).expect("packs");
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kilobytes: f64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    println!("{}", kilobytes * 1024.0 / 1e6);
}
