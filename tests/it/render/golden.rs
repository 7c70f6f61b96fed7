//! Golden trees. A deliberate change is recorded with `KHIMG_RECORD=1 cargo test --test it golden`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use khimg::cluster::{Cni, EndpointMode};
use khimg::digest::Digest;
use khimg::render::Rendered;
use khimg::render::tree::Tree;

use super::fixture::{cluster, dry_run};

/// Everything of the tree: mode, digest and path of each file, then each text that was not `shown` before.
fn listing(tree: &Tree, shown: &mut BTreeSet<Digest>) -> String {
    let mut text = String::new();
    for (path, entry) in tree.iter() {
        let bytes = entry.bytes().expect("a regular file");
        writeln!(text, "{:04o} {} {path}", entry.mode.bits(), Digest::of(bytes).short()).expect("in memory");
    }
    for (path, entry) in tree.iter() {
        let bytes = entry.bytes().expect("a regular file");
        if !shown.insert(Digest::of(bytes)) {
            continue;
        }
        let body = String::from_utf8_lossy(bytes);
        write!(text, "\n════ {path} ({})\n{body}", entry.origin).expect("in memory");
    }
    text
}

fn whole(rendered: &Rendered) -> Vec<(String, String)> {
    let (mut files, mut shown) = (Vec::new(), BTreeSet::new());
    for role in &rendered.roles {
        let mut text = format!("enable {}\nmask {}\n", role.enable.join(" "), role.mask.join(" "));
        for (name, tree) in &role.layers {
            write!(text, "\n▓▓▓▓ layer {name}\n{}", listing(tree, &mut shown)).expect("in memory");
        }
        files.push((format!("role-{}", role.role), text));
    }
    for node in &rendered.nodes {
        let (public, secret) = (listing(&node.public, &mut shown), listing(&node.secret, &mut shown));
        files.push((format!("node-{}", node.name), format!("▓▓▓▓ public\n{public}\n▓▓▓▓ secret\n{secret}")));
    }
    files
}

fn compare(name: &str, rendered: &Rendered) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let record = std::env::var_os("KHIMG_RECORD").is_some();
    let mut expected: BTreeSet<String> = BTreeSet::new();
    let mut different = Vec::new();
    for (file, text) in whole(rendered) {
        let path = folder.join(format!("{file}.txt"));
        expected.insert(format!("{file}.txt"));
        if record {
            std::fs::create_dir_all(&folder).expect("a directory");
            std::fs::write(&path, &text).expect("a golden file");
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        if golden != text {
            let line = golden.lines().zip(text.lines()).position(|(a, b)| a != b).map_or(0, |line| line + 1);
            different.push(format!(
                "{} line {line}:\n{}",
                path.display(),
                text.lines().nth(line.max(1) - 1).unwrap_or("")
            ));
        }
    }
    let found: BTreeSet<String> = std::fs::read_dir(&folder)
        .expect("the golden directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(found, expected, "files in {}", folder.display());
    assert!(different.is_empty(), "{}\nif that is meant: KHIMG_RECORD=1", different.join("\n"));
}

#[test]
fn golden_lab() {
    // One lb node in front of three masters and a worker; the bridge network needs no image.
    compare("lab", &dry_run(&cluster(EndpointMode::Dedicated, Cni::Bridge)));
}

#[test]
fn golden_stacked() {
    compare("stacked", &dry_run(&cluster(EndpointMode::Stacked, Cni::Flannel)));
}

#[test]
fn the_same_every_time() {
    let cluster = cluster(EndpointMode::Stacked, Cni::Flannel);
    assert_eq!(dry_run(&cluster), dry_run(&cluster));
}
