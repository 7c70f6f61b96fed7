//! The store: atomic, shared, sound.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Barrier;

use khimg::digest::Digest;
use khimg::exit::Explain;
use khimg::report::Silent;
use khimg::store::{Claim, Stamp, Store, StoreError};

use super::{Bench, PATH, bytes, mirror_with, read, wanted};
use crate::support::mirror::Fault;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(&dir.path().join("deep/store")).expect("a store");
    (dir, store)
}

fn files_below(path: &Path) -> usize {
    walkdir::WalkDir::new(path)
        .into_iter()
        .filter(|entry| entry.as_ref().is_ok_and(|e| e.file_type().is_file()))
        .count()
}

#[test]
fn takes_only_what_was_promised() {
    let (_dir, store) = store();
    let digest = Digest::of(b"right");
    let error = store.insert(&digest, &b"wrong"[..]).expect_err("other bytes");
    assert!(matches!(error, StoreError::Mismatch { .. }) && error.exit() as u8 == 6, "{error:?}");
    assert_eq!((store.get(&digest).expect("readable"), files_below(&store.root().join("tmp"))), (None, 0));
    let blob = store.insert(&digest, &b"right"[..]).expect("right");
    assert_eq!((blob.digest(), blob.size(), read(&blob)), (digest, 5, b"right".to_vec()));
    assert_eq!(store.get(&digest).expect("readable"), Some(blob));
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    // The umask belongs to the process, so this test runs again in one of its own.
    const STRICT: &str = "KHIMG_TEST_STRICT_UMASK";
    if std::env::var_os(STRICT).is_none() {
        let mut strict = std::process::Command::new("sh");
        strict.args(["-c", "umask 077; exec \"$0\" --exact fetch::store::modes_do_not_depend_on_the_umask"]);
        let output = strict.arg(std::env::current_exe().expect("a test")).env(STRICT, "1").output().expect("sh");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(&dir.path().join("store")).expect("a store");
    let mut made = store.writer().expect("a writer");
    made.write_all(b"made").expect("written");
    let made = made.commit().expect("committed");
    store.remember("layer", &Digest::of(b"key"), &made.digest()).expect("remembered");
    let Claim::Mine(mut partial) = store.claim(&Digest::of(b"fetched")).expect("a claim") else {
        panic!("nobody else")
    };
    partial.write(b"fetched").expect("written");
    let fetched = partial.finish().expect("complete");
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o7777;
    assert_eq!((mode(made.path()), mode(fetched.path())), (0o644, 0o644));
    for path in made.path().ancestors().skip(1).take(4).chain([store.root().join("memo/layer").as_path()]) {
        assert_eq!(mode(path), 0o755, "{}", path.display());
    }
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let (_dir, store) = store();
    let mut writer = store.writer().expect("a writer");
    writer.write_all(b"half").expect("written");
    drop(writer);
    assert_eq!(files_below(store.root()), 1, "the lock file alone");
}

#[test]
fn damage_is_noticed_while_reading() {
    let (_dir, store) = store();
    let content = bytes(100_000, 1);
    let blob = store.insert_bytes(&content).expect("stored");
    for damaged in [&content[..99_999], &[&content[..], b"x"].concat(), &[b"x", &content[1..]].concat(), b""] {
        std::fs::write(blob.path(), damaged).expect("damaged");
        let error = blob.open().expect("opens").read_to_end(&mut Vec::new()).expect_err("damaged");
        assert!(error.to_string().contains("was damaged"), "{error}");
        // Also for who stops at the size that it knows.
        let mut exact = vec![0; 100_000];
        assert!(blob.open().expect("opens").read_exact(&mut exact).is_err() || damaged.starts_with(&content));
        let again = store.get(&blob.digest()).expect("readable").expect("there");
        assert!(matches!(again.read(1 << 20), Err(StoreError::Damaged { .. })));
    }
    std::fs::write(blob.path(), &content).expect("repaired");
    let mut bytes = Vec::new();
    blob.open().expect("opens").read_to_end(&mut bytes).expect("sound");
    assert_eq!(bytes, content);
}

/// What is copied without being read must be the very file that was proven.
#[test]
fn whoever_touches_a_file_leaves_another_stamp() {
    let (dir, store) = store();
    let content = bytes(300_000, 2);
    let blob = store.insert_bytes(&content).expect("stored");
    let mut seen = Vec::new();
    let stamp = blob.prove(None, |bytes| seen.extend_from_slice(bytes)).expect("sound");
    assert!(seen == content && blob.stamp().expect("there") == stamp);
    let copied = |stamp: &Stamp| {
        let path = dir.path().join("copy");
        std::fs::write(&path, "front").expect("written");
        let mut out = std::fs::OpenOptions::new().write(true).open(&path).expect("a file");
        out.seek(SeekFrom::End(0)).expect("the end");
        let done = blob.copy_as_stamped(stamp, &mut out).expect("copied");
        out.write_all(b"back").expect("written");
        (done, std::fs::read(path).expect("a copy"))
    };
    let whole = [b"front", &content[..], b"back"].concat();
    assert_eq!(copied(&stamp), (true, whole));

    let times = std::fs::metadata(blob.path()).expect("there");
    let times = std::fs::FileTimes::new().set_modified(times.modified().expect("a time"));
    let touches: [&dyn Fn(); 4] = [
        // The same bytes with the same times.
        &|| {
            std::fs::write(blob.path(), &content).expect("written");
            let file = std::fs::File::options().write(true).open(blob.path()).expect("a file");
            file.set_times(times).expect("set back");
        },
        // The same bytes in another file.
        &|| {
            let other = blob.path().with_extension("other");
            std::fs::copy(blob.path(), &other).expect("copied");
            std::fs::rename(other, blob.path()).expect("renamed");
        },
        &|| std::fs::set_permissions(blob.path(), std::fs::Permissions::from_mode(0o600)).expect("set"),
        &|| std::fs::write(blob.path(), [&content[1..], b"x"].concat()).expect("damaged"),
    ];
    let mut stamp = stamp;
    for (number, touch) in touches.into_iter().enumerate() {
        touch();
        assert_eq!(copied(&stamp), (false, b"frontback".to_vec()), "{number}");
        assert_ne!(blob.stamp().expect("there"), stamp, "{number}");
        match blob.prove(Some(&stamp), |_| ()) {
            Ok(proven) => stamp = proven,
            Err(error) => assert!(number == 3 && matches!(error, StoreError::Damaged { .. }), "{number}: {error}"),
        }
    }
}

#[test]
fn verify_removes_what_is_damaged_and_says_so() {
    let (_dir, store) = store();
    let good = store.insert_bytes(b"good").expect("stored");
    let bad = store.insert_bytes(b"bad").expect("stored");
    let empty = store.insert_bytes(b"").expect("stored");
    std::fs::write(bad.path(), "worse").expect("damaged");
    std::fs::write(bad.path().with_extension("txt"), "not ours").expect("written");
    let checked = store.verify(&Silent).expect("readable");
    assert_eq!((checked.blobs, checked.bytes), (2, 4));
    assert_eq!((checked.removed.len(), checked.removed[0].expected), (1, bad.digest()));
    assert_eq!(store.get(&bad.digest()).expect("readable"), None);
    assert!(
        store.get(&good.digest()).expect("readable").is_some()
            && store.get(&empty.digest()).expect("readable").is_some()
    );
}

#[test]
fn memos_survive_nonsense() {
    let (_dir, store) = store();
    let (key, value) = (Digest::of(b"key"), Digest::of(b"value"));
    assert_eq!(store.memo("layer", &key), None);
    store.remember("layer", &key, &Digest::of(b"old")).expect("remembered");
    store.remember("layer", &key, &value).expect("remembered");
    assert_eq!((store.memo("layer", &key), store.memo("index", &key)), (Some(value), None));
    let path = store.root().join("memo/layer").join(key.hex());
    let whole = std::fs::read(&path).expect("there");
    for nonsense in
        [&b""[..], b"\n", b"\xff\xfe\n", &whole[..40], &whole[..whole.len() - 1], &[&whole[..], &whole[..]].concat()]
    {
        std::fs::write(&path, nonsense).expect("written");
        assert_eq!(store.memo("layer", &key), None, "{nonsense:?}");
    }
    store.remember("layer", &key, &value).expect("remembered");
    assert_eq!(store.memo("layer", &key), Some(value));
}

#[test]
fn garbage_goes_and_the_rest_stays() {
    let (_dir, store) = store();
    let kept = store.insert_bytes(b"kept").expect("stored");
    let gone = store.insert_bytes(b"garbage").expect("stored");
    store.remember("layer", &Digest::of(b"1"), &kept.digest()).expect("remembered");
    store.remember("layer", &Digest::of(b"2"), &gone.digest()).expect("remembered");
    if let Claim::Mine(mut partial) = store.claim(&Digest::of(b"never")).expect("a claim") {
        partial.write(b"nev").expect("written");
    }
    let keep = BTreeSet::from([kept.digest(), Digest::of(b"not here")]);
    let freed = store.gc(&keep).expect("alone");
    assert_eq!((freed.blobs, freed.bytes, freed.kept, freed.kept_bytes), (1, 10, 1, 4));
    assert_eq!(store.get(&gone.digest()).expect("readable"), None);
    assert_eq!(store.memo("layer", &Digest::of(b"1")), Some(kept.digest()));
    assert_eq!(store.memo("layer", &Digest::of(b"2")), None);
    assert_eq!(files_below(&store.root().join("partial")), 0);
}

#[test]
fn nobody_collects_what_another_may_need() {
    let (dir, store) = store();
    let other = Store::open(&dir.path().join("deep/store")).expect("the same store");
    let blob = other.insert_bytes(b"needed").expect("stored");
    let error = store.gc(&BTreeSet::new()).expect_err("in use");
    assert!(matches!(error, StoreError::Busy { .. }) && error.exit() as u8 == 7, "{error:?}");
    assert!(store.get(&blob.digest()).expect("readable").is_some());
    drop(other);
    assert_eq!(store.gc(&BTreeSet::new()).expect("alone").blobs, 1);
    // Afterwards it is shared as before.
    let other = Store::open(&dir.path().join("deep/store")).expect("the same store");
    assert!(store.gc(&BTreeSet::new()).is_err());
    drop(other);
}

#[test]
fn the_next_to_open_clears_what_a_killed_process_left() {
    let (dir, store) = store();
    let root = store.root().to_path_buf();
    std::fs::write(root.join("tmp/.tmpleft"), "half").expect("written");
    let second = Store::open(&root).expect("the same store");
    assert_eq!(files_below(&root.join("tmp")), 1, "somebody may be writing it");
    drop((store, second));
    let _third = Store::open(&root).expect("the same store");
    assert_eq!(files_below(&root.join("tmp")), 0);
    drop(dir);
}

#[test]
fn one_of_two_builds_fetches_and_the_other_waits() {
    let content = bytes(200_000, 1);
    let mirror = mirror_with(&content);
    mirror.fault(PATH, Fault::slow_headers());
    let (one, mut two) = (Bench::new(), Bench::new());
    two.store = Store::open(one.store.root()).expect("the same store");
    let start = Barrier::new(2);
    let download = wanted(&content, &[&mirror]);
    std::thread::scope(|scope| {
        for bench in [&one, &two] {
            scope.spawn(|| {
                start.wait();
                assert_eq!(read(&bench.download(&download).expect("served")), content);
            });
        }
    });
    assert_eq!((mirror.hits(PATH).len(), mirror.sent(PATH)), (1, 200_000));
    assert_eq!(files_below(&one.store.root().join("partial")), 0);
}

#[test]
fn many_threads_make_the_same_blobs() {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for seed in 0..20 {
                    let content = bytes(1000, seed);
                    assert_eq!(read(&store.insert_bytes(&content).expect("stored")), content);
                    if let Claim::Mine(mut partial) = store.claim(&Digest::of(&content[1..])).expect("a claim") {
                        partial.restart().expect("empty");
                        partial.write(&content[1..]).expect("written");
                        partial.finish().expect("complete");
                    }
                }
            });
        }
    });
    let checked = store.verify(&Silent).expect("readable");
    assert_eq!((checked.blobs, checked.removed.len()), (40, 0));
}

#[test]
fn a_store_that_cannot_be_is_told_with_its_path() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    let error = Store::open(&file.join("store")).err().expect("refused");
    assert!(error.to_string().contains("/file"), "{error}");
    assert_eq!(error.exit() as u8, 7);
}

/// What was derived is made again where its blob was damaged, and the blob is whole again.
#[test]
fn bytes_at_hand_repair_a_damaged_blob() {
    let (_dir, store) = store();
    let blob = store.insert_bytes(b"right").expect("stored");
    std::fs::write(blob.path(), b"wrong").expect("damaged");
    assert_eq!(read(&store.insert_bytes(b"right").expect("stored again")), b"right");
}

#[test]
fn a_memo_counts_for_its_own_key_only() {
    let (_dir, store) = store();
    let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
    let blob = store.insert_bytes(b"made of one").expect("stored").digest();
    store.remember("layer", &one, &blob).expect("remembered");
    let memos = store.root().join("memo/layer");
    std::fs::copy(memos.join(one.hex()), memos.join(two.hex())).expect("copied");
    assert_eq!((store.memo("layer", &one), store.memo("layer", &two)), (Some(blob), None));
    store.gc(&BTreeSet::from([blob])).expect("collected");
    assert!(memos.join(one.hex()).exists() && !memos.join(two.hex()).exists());
}
