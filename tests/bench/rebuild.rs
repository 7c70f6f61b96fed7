//! Packing and delivering again after one line of one file changed, against doing so for the first time.

use khimg::deliver::deliver;
use khimg::pack::Format;
use khimg::render::tree::Content;
use khimg::report::Silent;

use crate::figure::{Figure, median, time};
use crate::tree::Input;

pub fn measure() -> Vec<Figure> {
    let mut input = Input::new(true);
    let out = input.workshop.path("dist");
    let build = |input: &Input| {
        let bundles = input.workshop.pack(Format::TarZst, 0).expect("packs");
        deliver(&bundles, &[], &[], &out, &Silent).expect("delivers");
    };
    let cold = time(|| build(&input));
    let mut warm = Vec::new();
    for round in 0..3 {
        let hosts = "/etc/hosts".parse().expect("a path");
        let entry = input.workshop.roles[0].layers[0].1.0.get_mut(&hosts).expect("there");
        entry.content = Content::Bytes(format!("127.0.0.{round} localhost\n").into_bytes());
        warm.push(time(|| build(&input)));
    }
    let what = format!("pack and deliver after one line changed, {} MB, against cold", input.bytes / 1_000_000);
    vec![Figure::of_times(what, median(warm), cold, 0.05)]
}
