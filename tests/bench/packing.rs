//! Packing without any layer in the store, up to the finished file, against a shell pipe to the same place.

use std::fs::{self, File};
use std::process::Command;
use std::time::Duration;

use khimg::pack::{Bundle, Format};

use crate::figure::{Figure, median, time};
use crate::tree::Input;

const ROUNDS: usize = 3;

pub fn measure() -> Vec<Figure> {
    let mut figures = Vec::new();
    for packages in [false, true] {
        let input = Input::new(packages);
        let what =
            format!("{} MB of {}", input.bytes / 1_000_000, if packages { "files and packages" } else { "files" });
        for (format, pipe) in [(Format::TarZst, "zstd -q -10 -T0"), (Format::TarGz, "pigz -6")] {
            figures.extend(compare(&input, &what, format, pipe));
        }
    }
    figures
}

fn compare(input: &Input, what: &str, format: Format, pipe: &str) -> Vec<Figure> {
    let program = pipe.split(' ').next().unwrap_or_default();
    if Command::new(program).arg("--version").output().is_err() {
        println!("(skipped: {program} is not installed)");
        return Vec::new();
    }
    let (ours, theirs) = (input.workshop.path("ours"), input.workshop.path("theirs"));
    let (mut own, mut other): (Vec<Duration>, Vec<Duration>) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        own.push(time(|| {
            let bundles = input.workshop.pack(format, 0).expect("packs");
            bundles[0].write(&mut File::create(&ours).expect("a file")).expect("whole layers");
            forget(&bundles[0], input);
        }));
        other.push(time(|| {
            let script = format!("tar -C {} -cf - . | {pipe} > {}", input.directory.display(), theirs.display());
            assert!(Command::new("sh").args(["-c", &script]).status().is_ok_and(|status| status.success()));
        }));
    }
    let size = |path| fs::metadata(path).map_or(0, |found| found.len());
    let (own_size, other_size) = (size(&ours), size(&theirs));
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    vec![
        Figure::of_times(format!("packing {what}: tar | {pipe}"), median(own), median(other), 1.0),
        Figure {
            what: "  its size".to_owned(),
            khimg: megabytes(own_size),
            other: megabytes(other_size),
            ratio: own_size as f64 / other_size as f64,
            goal: 1.05,
        },
    ]
}

/// Takes the layers out of the store again, so that the next round makes them.
fn forget(bundle: &Bundle, input: &Input) {
    for layer in &bundle.layers {
        fs::remove_file(layer.blob.path()).expect("a layer");
    }
    fs::remove_dir_all(input.workshop.store.root().join("memo")).expect("memos");
}
