use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use khimg::deliver::{PublicContent, PublicFile, deliver};
use khimg::exit::{Exit, Explain};
use khimg::inspect::{self, InspectError};
use khimg::pack::{Bundle, Format};
use khimg::report::Silent;
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::prop_assert;

use super::full;
use crate::support::workshop::Workshop;

fn written(format: Format) -> (Workshop, Bundle, PathBuf) {
    let workshop = full();
    let bundle = workshop.pack(format, 2).expect("packs").remove(0);
    let path = workshop.path(&bundle.file_name());
    bundle.write(&mut fs::File::create(&path).expect("a file")).expect("whole layers");
    (workshop, bundle, path)
}

#[test]
fn tells_what_was_packed() {
    for format in Format::ALL {
        let (_workshop, bundle, path) = written(format);
        let report = inspect::bundle(&path).expect("sound");
        assert_eq!((report.sha256, report.size, report.format), (bundle.sha256, bundle.size, format));
        assert_eq!(report.contents, bundle.contents);
        assert_eq!(report.pieces, bundle.pieces());
        let members: Vec<_> = bundle.layers.iter().flat_map(|layer| layer.members.clone()).collect();
        assert_eq!(report.members, members);
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    for format in Format::ALL {
        let (workshop, bundle, path) = written(format);
        let sound = fs::read(&path).expect("there");
        let broken = workshop.path("broken");
        let mut places: Vec<usize> = bundle.pieces().iter().map(|piece| piece.offset as usize).collect();
        places.extend((0..sound.len()).step_by(sound.len() / 40 + 1));
        places.push(sound.len() - 1);
        for place in places {
            let mut bytes = sound.clone();
            bytes[place] ^= 0x10;
            fs::write(&broken, &bytes).expect("a file");
            let flipped = inspect::bundle(&broken);
            // A bit of the first layer may change nothing that is said (an unused bit of gzip's header); then the digest of the
            // whole, which the manifest and the seed name, still tells.
            match flipped {
                Ok(report) => assert_ne!(report.sha256, bundle.sha256, "{format}: byte {place}"),
                Err(error) => assert_ne!(error.exit(), Exit::LocalIo, "{format}: byte {place}: {error}"),
            }
            fs::write(&broken, &sound[..place]).expect("a file");
            assert!(inspect::bundle(&broken).is_err(), "{format}: cut at {place}");
        }
        fs::write(&broken, [&sound[..], b"more"].concat()).expect("a file");
        assert!(inspect::bundle(&broken).is_err(), "{format}: something behind the end");
        let piece = &bundle.pieces()[2];
        let (begin, end) = (piece.offset as usize, (piece.offset + piece.size) as usize);
        fs::write(&broken, [&sound[..begin], &sound[end..]].concat()).expect("a file");
        assert!(inspect::bundle(&broken).is_err(), "{format}: a layer is missing");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn noise_is_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        magic in prop::sample::select(vec![&b""[..], b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08\x00"]),
        compressed in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("bundle");
        let bytes = if compressed { zstd::encode_all(&bytes[..], 1).expect("in memory") } else { [magic, &bytes].concat() };
        fs::write(&path, bytes).expect("a file");
        prop_assert!(inspect::bundle(&path).is_err());
    }
}

#[test]
fn a_bundle_of_a_newer_khimg_is_named_as_such() {
    let mut tar = tar::Builder::new(Vec::new());
    let text = br#"{"format": 3, "all": "new"}"#;
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(946_684_800);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, "bundle.json", &text[..]).expect("in memory");
    let segment = tar.into_inner().expect("in memory");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("bundle");
    let table = zstd::encode_all(&segment[..1024], 3).expect("in memory");
    let locator =
        [&b"\x5f\x2a\x4d\x18\x18\0\0\0khimgtoc"[..], &0_u64.to_le_bytes(), &(table.len() as u64).to_le_bytes()];
    fs::write(&path, [table, locator.concat()].concat()).expect("a file");
    let error = inspect::bundle(&path).expect_err("unknown");
    assert!(matches!(error, InspectError::Newer { format: 3, .. }), "{error}");
    assert_eq!(error.exit(), Exit::Unsupported);
}

/// Another table of contents than the one that lies behind the layers cannot be slipped in.
#[test]
fn the_table_of_contents_lies_where_it_belongs() {
    for format in Format::ALL {
        let (workshop, bundle, path) = written(format);
        let sound = fs::read(&path).expect("there");
        let broken = workshop.path("broken");
        let pieces = bundle.pieces();
        let [.., table, end] = &pieces[..] else { panic!("a bundle has an end") };
        let (begin, behind) = (table.offset as usize, end.offset as usize);
        let locator = sound.len() - if format == Format::TarZst { 16 } else { 26 };
        let refused = |bytes: &[u8], what: &str| {
            fs::write(&broken, bytes).expect("a file");
            let error = inspect::bundle(&broken).expect_err(what);
            assert_ne!(error.exit(), Exit::LocalIo, "{format}: {what}: {error}");
        };
        // The same table twice, and the locator names the second.
        let mut twice = [&sound[..behind], &sound[begin..]].concat();
        let moved = locator + behind - begin;
        twice[moved..moved + 8].copy_from_slice(&end.offset.to_le_bytes());
        refused(&twice, "two tables");
        for offset in [0, table.offset - 1, table.offset + 1, end.offset, u64::MAX, u64::MAX - table.size] {
            let mut astray = sound.clone();
            astray[locator..locator + 8].copy_from_slice(&offset.to_le_bytes());
            refused(&astray, "another offset");
        }
        for size in [0, table.size - 1, table.size + 1, u64::MAX] {
            let mut astray = sound.clone();
            astray[locator + 8..locator + 16].copy_from_slice(&size.to_le_bytes());
            refused(&astray, "another size");
        }
    }
}

#[test]
fn a_delivered_directory_and_all_that_is_wrong_with_it() {
    let workshop = full();
    let out = workshop.path("dist");
    let bundles = workshop.pack(Format::TarZst, 2).expect("packs");
    let files = [PublicFile { path: "khimg.lock", content: PublicContent::Bytes(b"version: 1\n"), origin: "the lock" }];
    deliver(&bundles, &[], &files, &out, &workshop.store, &Silent).expect("delivers");
    let report = inspect::dist(&out).expect("a dist");
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!(report.bundles.len(), 2);
    assert!(inspect::dist(&out.join("public")).expect("the public part alone").problems.is_empty());

    let bundle = out.join("public/bundles/worker-debian-12-amd64.tar.zst");
    let mut bytes = fs::read(&bundle).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&bundle, bytes).expect("written");
    fs::write(out.join("public/extra"), "x").expect("written");
    fs::write(out.join("public/khimg.lock"), "version: 9\n").expect("written");
    fs::remove_file(out.join("public/SHA256SUMS")).expect("removed");
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for problem in inspect::dist(&out).expect("a dist").problems {
        let kind = match problem {
            InspectError::Digest { .. } => "digest",
            InspectError::Wrong { .. } => "wrong",
            InspectError::Io { .. } => "io",
            _ => "damaged",
        };
        *seen.entry(kind).or_default() += 1;
    }
    // The lock and the bundle; the bundle read by itself (damaged or another digest); the stranger; the missing list.
    assert_eq!(seen.values().sum::<usize>(), 5, "{seen:?}");
    assert!(inspect::dist(&workshop.path("store")).is_err());
}
