//! What a mirror of rpm packages sends.
#![no_main]

use khimg::resolve::yum::modules::Modules;
use khimg::resolve::yum::primary::reduce;
use khimg::resolve::yum::repomd::Repomd;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(repomd) = Repomd::parse(bytes) {
        let _list = repomd.list("primary");
    }
    let _reduced = reduce(bytes, "x86_64");
    let _modules = Modules::parse(bytes);
});
