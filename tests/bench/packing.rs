//! Packing without any layer in the store, up to the finished file, against a shell pipe to the same place.

use std::fs::{self, File};
use std::process::Command;

use khimg::pack::{Bundle, Format};

use crate::figure::{Figure, median, time};
use crate::support::daemon::available;
use crate::tree::Input;

const ROUNDS: usize = 5;

pub fn measure() -> Vec<Figure> {
    let mut figures = Vec::new();
    for packages in [false, true] {
        let input = Input::new(packages);
        let kind = if packages { "files and packages" } else { "files" };
        let what = format!("{} MB of {kind} packed", input.bytes / 1_000_000);
        for (format, program, pipe) in [(Format::TarZst, "zstd", "zstd -q -10 -T0"), (Format::TarGz, "pigz", "pigz -6")]
        {
            if available(&[program]) {
                figures.extend(compare(&input, &what, format, pipe));
            }
        }
    }
    figures
}

fn compare(input: &Input, what: &str, format: Format, pipe: &str) -> [Figure; 2] {
    let (ours, theirs) = (input.workshop.path("ours"), input.workshop.path("theirs"));
    let script = format!("tar -C {} -cf - . | {pipe} > {}", input.directory.display(), theirs.display());
    let (mut own, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut bundles = Vec::new();
        own.push(time(|| {
            bundles = input.workshop.pack(format, 0).expect("packs");
            bundles[0].write_file(&mut File::create(&ours).expect("a file"), 0).expect("whole layers");
        }));
        forget(&bundles[0], input);
        peer.push(time(|| {
            assert!(Command::new("sh").args(["-c", &script]).status().is_ok_and(|status| status.success()));
        }));
    }
    let size = |path| fs::metadata(path).expect("a file").len();
    [
        Figure::times(format!("{what}: tar | {pipe}"), median(own), median(peer), 1.0),
        Figure::sizes(format!("its size: tar | {pipe}"), size(&ours), size(&theirs), None),
    ]
}

/// Takes the layers out of the store again, so that the next round makes them.
fn forget(bundle: &Bundle, input: &Input) {
    for layer in &bundle.layers {
        fs::remove_file(layer.blob.path()).expect("a layer");
    }
    fs::remove_dir_all(input.workshop.store.root().join("memo")).expect("memos");
    fs::create_dir(input.workshop.store.root().join("memo")).expect("a directory");
}
