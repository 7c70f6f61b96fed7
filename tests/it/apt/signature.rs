//! Signatures: Debian's real ones, and those of keys that are expired, revoked, weak or of the wrong kind.

use std::fs;
use std::process::Command;

use jiff::Timestamp;
use khimg::clock;
use khimg::openpgp::{Keyring, OpenPgpError, Signed};

use super::archive::Key;

const TEXT: &str = "Origin: Test\n- dashed\nSuite: stable   \n\nlast line\n";

fn verify(key: &Key, file: &str) -> Result<Signed, OpenPgpError> {
    verify_at(key, file, clock::now())
}

fn verify_at(key: &Key, file: &str, at: Timestamp) -> Result<Signed, OpenPgpError> {
    Keyring::new([key.public()], [&key.fingerprint]).expect("keys").verify_inrelease(file.as_bytes(), at)
}

fn refusal(key: &Key, file: &str) -> String {
    verify(key, file).expect_err("refused").to_string()
}

#[test]
fn debians_own_release_files() {
    let keyring = match fs::read("/usr/share/keyrings/debian-archive-keyring.gpg") {
        Ok(keyring) => keyring,
        Err(error) => return println!("skipped: debian-archive-keyring.gpg: {error}"),
    };
    let lists = || fs::read_dir("/var/lib/apt/lists").into_iter().flatten().flatten().map(|entry| entry.path());
    let of_debian = |path: &std::path::PathBuf| {
        let name = path.to_string_lossy();
        name.ends_with("_InRelease") && name.contains("debian") && name.contains("bookworm")
    };
    if !lists().any(|path| of_debian(&path)) {
        let update = Command::new("apt-get").args(["update", "-qq"]).status();
        println!("apt-get update: {update:?}");
    }
    let mut seen = 0;
    for path in lists().filter(of_debian) {
        let file = fs::read(&path).expect("readable");
        let pins = ["B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8", "05AB 9034 0C0C 5E79 7F44 A8C8 254C F3B5 AEC0 A8F0"];
        let ring = Keyring::new([&keyring], pins).expect("keys");
        let signed =
            ring.verify_inrelease(&file, clock::now()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(signed.text.contains("\nSHA256:\n") && !signed.text.contains("PGP") && !signed.text.contains('\r'));
        let other = Keyring::new([&keyring], ["41587F7DB8C774BCCF131416762F67A0B2C39DE5"]).expect("keys");
        assert!(matches!(other.verify_inrelease(&file, clock::now()), Err(OpenPgpError::NoKey { .. })));
        seen += 1;
    }
    if seen == 0 {
        println!("skipped: no release file of Debian bookworm in /var/lib/apt/lists");
    }
}

#[test]
fn only_the_signed_text_comes_out() {
    let key = Key::shared();
    let file = key.clearsign(TEXT);
    assert!(file.contains("- - dashed"), "the file has it escaped");
    let signed = verify(key, &file).expect("good");
    assert_eq!(signed.text, "Origin: Test\n- dashed\nSuite: stable\n\nlast line");
    assert_eq!((signed.fingerprint, signed.expired), (key.fingerprint.clone(), false));
    assert_eq!(verify(key, &file.replace('\n', "\r\n")).expect("good").text, signed.text);
}

#[test]
fn files_that_are_not_one_clear_signed_message() {
    let key = Key::shared();
    let file = key.clearsign(TEXT);
    let body = file.split_once("-----BEGIN PGP SIGNATURE").expect("a signature").0.to_owned();
    for (what, bad) in [
        ("changed text", file.replace("last line", "Last line")),
        ("leading text", format!("x\n{file}")),
        ("trailing text", format!("{file}x\n")),
        ("two messages", format!("{file}{file}")),
        ("no signature", body),
        ("no text", String::new()),
        ("a broken signature", file.replace("\n=", "\n!")),
        (
            "a header that is none",
            file.replacen("Hash: SHA512", "Evil: yes", 1).replacen("Hash: SHA256", "Evil: yes", 1),
        ),
        ("half of it", file.get(..file.len() / 2).expect("ascii").to_owned()),
        ("too many lines", format!("{}{file}", "-----BEGIN PGP SIGNED MESSAGE-----\n".repeat(20_001))),
        ("too much", format!("-----BEGIN PGP SIGNED MESSAGE-----\n\n{}\n{file}", "x".repeat(1 << 20))),
    ] {
        assert!(verify(key, &bad).is_err(), "{what}");
    }
}

#[test]
fn detached_signatures() {
    let key = Key::shared();
    let ring = Keyring::new([key.public()], [&key.fingerprint]).expect("keys");
    let signature = key.detach(TEXT);
    let signed = ring.verify_detached(TEXT.as_bytes(), signature.as_bytes(), clock::now()).expect("good");
    assert_eq!(signed.text, TEXT);
    // A pinned key's signature counts among others, whatever the order.
    let foreign = Key::other().detach(TEXT);
    let joined = join_signatures(&foreign, &signature);
    assert!(ring.verify_detached(TEXT.as_bytes(), &joined, clock::now()).is_ok());
    for bad in [foreign.as_bytes(), b"", b"nonsense", key.clearsign(TEXT).as_bytes()] {
        assert!(ring.verify_detached(TEXT.as_bytes(), bad, clock::now()).is_err());
    }
    assert!(ring.verify_detached(b"other text", signature.as_bytes(), clock::now()).is_err());
}

/// Two armoured signatures as one binary file.
fn join_signatures(a: &str, b: &str) -> Vec<u8> {
    let plain = |armored: &str| Key::shared().gpg_bytes(&["--dearmor"], armored);
    [plain(a), plain(b)].concat()
}

#[test]
fn weak_signatures_and_keys() {
    let key = Key::new("rsa2048", "never");
    assert!(verify(&key, &key.clearsign(TEXT)).is_ok());
    for hash in ["SHA1", "RIPEMD160"] {
        let text = refusal(&key, &key.gpg(&["--digest-algo", hash, "--clearsign"], TEXT));
        assert!(text.contains("weaker than SHA-256"), "{hash}: {text}");
    }
    for (algorithm, said) in
        [("rsa1024", "RSA of 1024 bits is less than 2048"), ("dsa2048", "algorithm is not allowed")]
    {
        let key = Key::new(algorithm, "never");
        let text = refusal(&key, &key.clearsign(TEXT));
        assert!(text.contains(said) && text.contains(&key.fingerprint), "{algorithm}: {text}");
    }
    for algorithm in ["nistp256", "ed25519"] {
        let key = Key::new(algorithm, "never");
        assert!(verify(&key, &key.clearsign(TEXT)).is_ok(), "{algorithm}");
    }
}

#[test]
fn expired_keys() {
    // Good from 2020-01-01 to 2021-01-01; signed in the middle of it.
    let key = Key::new("ed25519", "20210101T000000");
    let within = key.gpg(&["--faked-system-time", "20200601T000000!", "--clearsign"], TEXT);
    let text = refusal(&key, &within);
    assert!(text.contains("the key expired 2021-01-01"), "{text}");
    let then: Timestamp = "2020-07-01T00:00:00Z".parse().expect("a time");
    assert!(!verify_at(&key, &within, then).expect("good then").expired);
    // A frozen repository: what it signed while it was valid counts, and it is said.
    let frozen = Keyring::new([key.public()], [&key.fingerprint]).expect("keys").frozen(true);
    assert!(frozen.verify_inrelease(within.as_bytes(), clock::now()).expect("good").expired);
    // A later copy of the same key may expire later, or not at all.
    let old_copy = key.public();
    key.gpg(&["--faked-system-time", "20200701T000000!", "--quick-set-expire", &key.fingerprint, "0"], "");
    assert!(verify(&key, &within).is_ok());
    let both = Keyring::new([old_copy, key.public()], [&key.fingerprint]).expect("keys");
    assert!(both.verify_inrelease(within.as_bytes(), clock::now()).is_ok());
}

#[test]
fn signatures_out_of_their_time() {
    let key = Key::shared();
    let future = key.gpg(&["--faked-system-time", "20500101T000000!", "--clearsign"], TEXT);
    assert!(refusal(key, &future).contains("made in the future"));
    let short =
        key.gpg(&["--faked-system-time", "20200601T000000!", "--default-sig-expire", "1d", "--clearsign"], TEXT);
    assert!(refusal(key, &short).contains("the signature expired 2020-06-02"));
    let early = key.gpg(&["--ignore-time-conflict", "--faked-system-time", "20190101T000000!", "--clearsign"], TEXT);
    assert!(refusal(key, &early).contains("older than its key"));
}

#[test]
fn revoked_keys() {
    let key = Key::new("ed25519", "never");
    let file = key.clearsign(TEXT);
    let before = key.public();
    let revocation = key.revocation();
    key.gpg(&["--import"], &revocation);
    assert!(refusal(&key, &file).contains("the key is revoked"));
    // One copy that shows it is enough.
    let ring = Keyring::new([before, key.public()], [&key.fingerprint]).expect("keys");
    assert!(ring.verify_inrelease(file.as_bytes(), clock::now()).is_err());
}

#[test]
fn subkeys() {
    let key = Key::new("ed25519", "never");
    key.gpg(
        &["--faked-system-time", "20200102T000000!", "--quick-add-key", &key.fingerprint, "rsa2048", "sign", "never"],
        "",
    );
    let listed = key.gpg(&["--with-colons", "--list-keys"], "");
    let subkey = listed.lines().filter(|line| line.starts_with("fpr:")).nth(1).expect("a subkey");
    let subkey = subkey.split(':').nth(9).expect("a field").to_owned();
    let file = key.gpg(&["-u", &format!("{subkey}!"), "--clearsign"], TEXT);
    let signed = verify(&key, &file).expect("good");
    assert_eq!(signed.fingerprint, key.fingerprint, "the primary key is who signed");
    // Pinning the subkey pins nothing.
    assert!(matches!(
        Keyring::new([key.public()], [&subkey]).expect("keys").verify_inrelease(file.as_bytes(), clock::now()),
        Err(OpenPgpError::NoKey { .. })
    ));
    // Without its binding it is nobody's.
    let bare = without_packets(&key.gpg_bytes(&["--export"], ""), 2, 1);
    let ring = Keyring::new([bare], [&key.fingerprint]).expect("keys");
    assert!(ring.verify_inrelease(file.as_bytes(), clock::now()).is_err());
    // Revoked, while the primary key is good.
    key.gpg(&["--command-fd", "0", "--edit-key", &key.fingerprint], "key 1\nrevkey\ny\n0\n\ny\nsave\n");
    assert!(refusal(&key, &file).contains("the subkey is revoked"));
    assert!(verify(&key, &key.gpg(&["-u", &format!("{}!", key.fingerprint), "--clearsign"], TEXT)).is_ok());
}

/// A binary key without the last `count` packets of type `tag`.
fn without_packets(key: &[u8], tag: u8, count: usize) -> Vec<u8> {
    let mut packets = Vec::new();
    let mut rest = key;
    while let [first, ..] = rest {
        let (kind, header, length) = match first & 0x40 {
            0 => {
                let size = 1_usize << (first & 3);
                let length = rest[1..=size].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
                ((first >> 2) & 15, 1 + size, length)
            }
            _ => match rest[1] {
                short @ 0..=191 => (first & 63, 2, usize::from(short)),
                long => (first & 63, 3, (usize::from(long - 192) << 8) + usize::from(rest[2]) + 192),
            },
        };
        let (packet, next) = rest.split_at(header + length);
        packets.push((kind, packet));
        rest = next;
    }
    for _ in 0..count {
        let last = packets.iter().rposition(|(kind, _)| *kind == tag).expect("such a packet");
        packets.remove(last);
    }
    packets.into_iter().flat_map(|(_, packet)| packet.to_vec()).collect()
}

#[test]
fn bytes_that_are_no_keys() {
    let pin = Key::shared().fingerprint.as_str();
    for bad in [&b"nonsense"[..], b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n"]
    {
        assert!(Keyring::new([bad], [pin]).is_err());
    }
    assert!(Keyring::new([vec![0; (1 << 20) + 1]], [pin]).is_err());
    let foreign = Keyring::new([Key::other().public()], [pin]).expect("keys, but not ours");
    assert!(foreign.is_empty());
}
