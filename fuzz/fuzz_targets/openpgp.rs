//! Signatures and keys that a mirror sends. The only key that counts was made for this, and its secret part was not kept.
#![no_main]

use std::sync::LazyLock;

use jiff::Timestamp;
use khimg::openpgp::Keyring;
use libfuzzer_sys::fuzz_target;

const KEYS: &[u8] = include_bytes!("../seeds/openpgp/key.asc");
const RELEASE: &[u8] = include_bytes!("../seeds/openpgp/InRelease");
const FINGERPRINT: &str = include_str!("../seeds/fingerprint");

static RING: LazyLock<Keyring> = LazyLock::new(|| Keyring::new([KEYS], [FINGERPRINT.trim()]).expect("a key"));

fuzz_target!(|bytes: &[u8]| {
    let at = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(24 * 365 * 58);
    let mut ring = Keyring::new([bytes], [FINGERPRINT.trim()]).unwrap_or_else(|_| RING.clone());
    let _added = ring.add(bytes);
    let _signed = RING.verify_detached(b"text", bytes, at);
    if let Ok(signed) = RING.verify_inrelease(bytes, at) {
        assert!(
            RING.verify_inrelease(RELEASE, at).is_ok_and(|real| real.text == signed.text),
            "another text is proven"
        );
    }
});
