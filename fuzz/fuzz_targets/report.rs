//! What a client writes into a request: a range, a machine's name, a node's status.
#![no_main]

use khimg::cluster::{Mac, Uuid};
use khimg::node::told::{LONGEST, Told};
use khimg::serve::range::{Wanted, wanted};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for size in [0, 1, 100, u64::MAX] {
        if let Wanted::Part { first, last } = wanted(bytes, size) {
            assert!(first <= last && last < size);
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(mac) = text.parse::<Mac>() {
            assert_eq!(mac.to_string().parse::<Mac>().ok(), Some(mac));
        }
        if let Ok(uuid) = text.parse::<Uuid>() {
            assert_eq!(uuid.swapped().swapped(), uuid);
        }
    }
    if let Some(told) = Told::read(bytes) {
        let shown = told.shown();
        for text in [Some(&shown.step), shown.message.as_ref()].into_iter().flatten() {
            assert!(text.chars().count() <= LONGEST && !text.chars().any(char::is_control));
        }
    }
});
