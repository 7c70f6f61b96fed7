//! What a mirror of Debian packages sends: signed release files, lists of packages, dependencies.
#![no_main]

use khimg::openpgp::unproven_text;
use khimg::resolve::apt::relation::{alternatives, groups};
use khimg::resolve::apt::release::Release;
use khimg::resolve::apt::stanza::Stanzas;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = unproven_text(bytes).ok();
    for text in [text.as_deref(), std::str::from_utf8(bytes).ok()].into_iter().flatten() {
        if let Ok(release) = Release::parse(text) {
            let _file = release.file("main/binary-amd64/Packages.xz");
        }
    }
    let mut stanzas = Stanzas::new(bytes);
    while let Ok(Some(stanza)) = stanzas.next_stanza() {
        for field in ["Depends", "Provides", "Package"] {
            for group in stanza.get(field).into_iter().flat_map(groups) {
                if let Ok(relations) = alternatives(group) {
                    let _accepted = relations.iter().filter(|relation| relation.accepts(Some("1:2.3-4"))).count();
                }
            }
        }
    }
});
