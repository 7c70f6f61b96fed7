//! What a registry sends: indexes, manifests, configurations of images.
#![no_main]

use std::sync::LazyLock;

use khimg::arch::Arch;
use khimg::registry::manifest::{self, Config, Document};
use libfuzzer_sys::fuzz_target;
use url::Url;

static WHERE: LazyLock<Url> = LazyLock::new(|| Url::parse("https://registry.lan/v2/a/manifests/b").expect("a URL"));

fuzz_target!(|bytes: &[u8]| {
    for declared in [None, Some("application/vnd.oci.image.index.v1+json")] {
        match manifest::parse(&WHERE, declared, bytes) {
            Ok((_, Document::Index(index))) => drop(manifest::choose(&WHERE, &index, Arch::Amd64)),
            Ok((_, Document::Manifest(image))) => drop(manifest::parts(&WHERE, &image)),
            Err(_) => {}
        }
    }
    let _digests = manifest::digests(bytes);
    if let Ok(config) = Config::parse(bytes) {
        let _layers = config.layers();
    }
});
