//! Discs: what independent readers find on them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use khimg::iso::{Access, Image, IsoError, LONGEST_NAME};
use proptest::prelude::*;

use crate::support::daemon::available;

type Files = BTreeMap<String, Vec<u8>>;

#[derive(Debug)]
enum Failure {
    Iso(IsoError),
    Io,
}

impl From<IsoError> for Failure {
    fn from(error: IsoError) -> Self {
        Self::Iso(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(_: std::io::Error) -> Self {
        Self::Io
    }
}

fn image(files: &Files) -> Vec<u8> {
    let mut image = Image::new("cidata").expect("a label");
    for (name, content) in files {
        let access = if name.ends_with("data") { Access::Root } else { Access::Everybody };
        image.file(name, access, content.len() as u64).expect("a file");
    }
    let mut bytes = Vec::new();
    let fill = |name: &str, out: &mut dyn Write| Ok::<_, Failure>(out.write_all(&files[name])?);
    image.write(&mut bytes, fill).expect("in memory");
    assert_eq!(bytes.len() as u64, image.size().expect("fits"));
    bytes
}

/// A seed with a bundle, a name of the greatest length, an empty file, and so many files that directories take several sectors.
fn seed() -> Files {
    let bundle: Vec<u8> = (0..3_000_001_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut files = BTreeMap::from([
        ("user-data".to_owned(), b"#cloud-config\n{}\n".to_vec()),
        ("meta-data".to_owned(), b"instance-id: one\n".to_vec()),
        ("network-config".to_owned(), vec![b'n'; 2048]),
        ("master-debian-12-amd64.tar.zst".to_owned(), bundle),
        ("x".repeat(LONGEST_NAME), b"long".to_vec()),
        ("empty".to_owned(), Vec::new()),
    ]);
    files.extend((0..60).map(|at| (format!("many-{at:02}.File_with+odd~letters"), vec![at; usize::from(at) * 100])));
    files
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn read(directory: &Path) -> Files {
    let entries = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("readable"));
    let content = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().expect("UTF-8"), std::fs::read(entry.path()).expect("readable"))
    };
    entries.map(content).collect()
}

#[test]
fn the_same_bytes_twice_in_any_order() {
    let files = seed();
    let whole = image(&files);
    assert_eq!(whole, image(&files));
    let mut backwards = Image::new("cidata").expect("a label");
    for (name, content) in files.iter().rev() {
        let access = if name.ends_with("data") { Access::Root } else { Access::Everybody };
        backwards.file(name, access, content.len() as u64).expect("a file");
    }
    let mut bytes = Vec::new();
    // In small pieces.
    let fill = |name: &str, out: &mut dyn Write| -> Result<(), Failure> {
        files[name].chunks(777).try_for_each(|piece| out.write_all(piece))?;
        Ok(())
    };
    backwards.write(&mut bytes, fill).expect("in memory");
    assert_eq!(whole, bytes);
}

#[test]
fn xorriso_reads_it_back() {
    if !available(&["xorriso"]) {
        return;
    }
    let (folder, files) = (tempfile::tempdir().expect("a directory"), seed());
    let (disc, out) = (folder.path().join("disc.iso"), folder.path().join("out"));
    std::fs::write(&disc, image(&files)).expect("a file");
    let osirrox = |arguments: &[&str]| {
        let mut command = Command::new("xorriso");
        // Any remark about a damaged structure ends it.
        command.args(["-abort_on", "WARNING", "-return_with", "WARNING", "32"]).args(arguments);
        command
    };
    let disc = disc.to_str().expect("UTF-8");
    run(&mut osirrox(&["-osirrox", "on", "-indev", disc, "-extract", "/", out.to_str().expect("UTF-8")]));
    assert_eq!(read(&out), files);
    let listed = run(&mut osirrox(&["-indev", disc, "-lsl", "/user-data", "/empty", "--"]));
    let listed = String::from_utf8(listed).expect("UTF-8");
    assert!(listed.contains("-r--------") && listed.contains("-r--r--r--"), "{listed}");
    let joliet = out.with_extension("joliet");
    let read_joliet = ["-read_fs", "norock", "-osirrox", "on", "-indev", disc, "-extract", "/"];
    run(osirrox(&read_joliet).arg(&joliet));
    assert_eq!(read(&joliet), files);
}

#[test]
fn isoinfo_reads_it_back() {
    if !available(&["isoinfo"]) {
        return;
    }
    let (folder, files) = (tempfile::tempdir().expect("a directory"), seed());
    let disc = folder.path().join("disc.iso");
    std::fs::write(&disc, image(&files)).expect("a file");
    let isoinfo = |arguments: &[&str]| run(Command::new("isoinfo").arg("-i").arg(&disc).args(arguments));
    let text = |arguments: &[&str]| String::from_utf8(isoinfo(arguments)).expect("UTF-8");
    let described = text(&["-d"]);
    for part in ["Volume id: cidata", "Joliet with UCS level 3 found", "Rock Ridge signatures version 1 found"] {
        assert!(described.contains(part), "{described}");
    }
    for tree in ["-R", "-J"] {
        let listed = text(&[tree, "-f"]);
        let mut names: Vec<&str> = listed.lines().map(|line| line.trim_start_matches('/')).collect();
        names.sort_unstable();
        let bare = |name: &str| name.trim_end_matches(";1").to_owned();
        assert!(names.iter().map(|name| bare(name)).eq(files.keys().cloned()), "{tree}: {listed}");
        for name in names {
            assert_eq!(isoinfo(&[tree, "-x", &format!("/{name}")]), files[&bare(name)], "{tree} {name}");
        }
    }
    assert!(text(&["-f"]).contains("/USER_DATA.;1"), "for readers without extensions");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn bsdtar_reads_whatever_was_written(
        files in prop::collection::btree_map("[A-Za-z0-9_+~-][A-Za-z0-9._+~-]{0,63}", prop::collection::vec(any::<u8>(), 0..5000), 0..40),
    ) {
        if !available(&["bsdtar"]) {
            return Ok(());
        }
        let folder = tempfile::tempdir().expect("a directory");
        let (disc, out) = (folder.path().join("disc.iso"), folder.path().join("out"));
        std::fs::write(&disc, image(&files)).expect("a file");
        std::fs::create_dir(&out).expect("a directory");
        run(Command::new("bsdtar").arg("-xf").arg(&disc).arg("-C").arg(&out));
        prop_assert_eq!(read(&out), files);
    }
}

#[test]
fn refuses_what_no_disc_can_hold() {
    for label in ["", "cidata!", "a label", "seventeen-letters"] {
        assert!(matches!(Image::new(label), Err(IsoError::Label { .. })), "{label:?}");
    }
    let mut image = Image::new("cidata").expect("a label");
    image.file("one", Access::Root, 1).expect("a file");
    assert!(matches!(image.file("one", Access::Root, 1), Err(IsoError::Twice { .. })));
    assert!(matches!(image.file("a/b", Access::Root, 1), Err(IsoError::Name { .. })));
    assert!(matches!(image.file("large", Access::Root, 1 << 32), Err(IsoError::TooLarge { .. })));
    let write = image.write(&mut Vec::new(), |_, out| Ok::<_, Failure>(out.write_all(b"two")?));
    assert!(matches!(write, Err(Failure::Iso(IsoError::Changed { planned: 1, written: 3, .. }))), "{write:?}");
}
