use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use khimg::deliver::deliver;
use khimg::digest::Digest;
use khimg::exit::{Exit, Explain};
use khimg::pack::compress::Parameters;
use khimg::pack::{Bundle, Format, Layer, What, check};
use khimg::render::tree::{Content, Mode};
use khimg::report::Silent;

use super::full;
use crate::support::golden::assert_golden;

fn write(bundle: &Bundle, path: &Path) {
    bundle.write(&mut fs::File::create(path).expect("a file")).expect("whole layers");
}

fn digests(bundles: &[Bundle]) -> Vec<(String, Digest)> {
    bundles.iter().map(|bundle| (bundle.file_name(), bundle.sha256)).collect()
}

#[test]
fn any_job_count_directory_and_lock_order() {
    for format in Format::ALL {
        let first = digests(&full().pack(format, 1).expect("packs"));
        for jobs in [2, 4] {
            let mut workshop = full();
            workshop.lock.packages.reverse();
            workshop.lock.files.reverse();
            workshop.lock.images.reverse();
            assert_eq!(digests(&workshop.pack(format, jobs).expect("packs")), first, "{format} with {jobs} jobs");
        }
    }
}

/// Set in the child process of the next test: where to deliver to.
const OUT: &str = "KHIMG_TEST_OUT";

#[test]
fn any_umask_time_zone_and_locale() {
    if let Some(out) = std::env::var_os(OUT) {
        let workshop = full();
        let bundles = workshop.pack(Format::TarZst, 0).expect("packs");
        deliver(&bundles, &[], &[], Path::new(&out), &workshop.store, &Silent).expect("delivers");
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut seen = Vec::new();
    for (name, umask, zone, locale) in [
        ("a", "022", "UTC", "C"),
        ("b/nested", "077", "Asia/Kolkata", "tr_TR.UTF-8"),
        ("c", "000", "EST5EDT", "C.UTF-8"),
    ] {
        let out = dir.path().join(name).join("dist");
        let cwd = out.parent().expect("a parent");
        fs::create_dir_all(cwd).expect("a directory");
        let status = Command::new("sh")
            .args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"])
            .arg(std::env::current_exe().expect("this program"))
            .args(["--exact", "pack::bytes::any_umask_time_zone_and_locale"])
            .current_dir(cwd)
            .env(OUT, &out)
            .env("TZ", zone)
            .env("LC_ALL", locale)
            .stdout(Stdio::null())
            .status()
            .expect("a shell");
        assert!(status.success());
        let public = out.join("public");
        let files = walkdir::WalkDir::new(&public).sort_by_file_name().into_iter().filter_map(Result::ok);
        let listed: Vec<_> = files
            .map(|entry| {
                use std::os::unix::fs::PermissionsExt;
                let mode = entry.metadata().expect("there").permissions().mode() & 0o7777;
                let path = entry.path().strip_prefix(&public).expect("below").to_path_buf();
                let content = fs::read(entry.path()).map(|bytes| Digest::of(&bytes)).ok();
                (path, mode, content)
            })
            .collect();
        assert!(listed.len() > 5);
        seen.push(listed);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}

/// A new version of a compressor gives other bytes and so other digests for everybody's bundles. That must be a decision:
/// whoever bumps one records these files anew and says so in the change log.
#[test]
fn golden_digests() {
    for format in Format::ALL {
        let bundle = full().pack(format, 2).expect("packs").remove(0);
        let line = |layer: &Layer| {
            let Parameters { compressor, level, .. } = &layer.parameters;
            format!("{} {:>8} {compressor} -{level} {}\n", layer.blob.digest().hex(), layer.blob.size(), layer.name)
        };
        let layers: String = bundle.layers.iter().map(line).collect();
        assert_golden(&format!("tests/golden/layers/{format}.txt"), &layers);
    }
}

#[test]
fn layers_are_made_once_and_one_line_costs_one_layer() {
    let mut workshop = full();
    let made = |bundles: &[Bundle]| -> Vec<String> {
        let layers = bundles.iter().flat_map(|bundle| bundle.layers.iter());
        layers.filter(|layer| !layer.reused).map(|layer| layer.name.clone()).collect()
    };
    let first = workshop.pack(Format::TarZst, 2).expect("packs");
    let (master, worker) = (&first[0], &first[1]);
    let digest = |bundle: &Bundle, name: &str| {
        bundle.layers.iter().find(|layer| layer.name == name).map(|layer| layer.blob.digest())
    };
    for shared in ["khimg", "packages/containerd", "files/kubernetes", "archive/cni-plugins", "config"] {
        assert_eq!(digest(master, shared), digest(worker, shared), "{shared}");
    }
    assert!(digest(worker, "packages/haproxy").is_none());
    let again = workshop.pack(Format::TarZst, 2).expect("packs");
    assert_eq!(made(&again), Vec::<String>::new());
    assert_eq!(digests(&again), digests(&first));

    let hosts = workshop.roles[0].layers[0].1.0.get_mut(&"/etc/hosts".parse().expect("a path")).expect("there");
    hosts.content = Content::Bytes(b"127.0.0.1 localhost changed\n".to_vec());
    let changed = workshop.pack(Format::TarZst, 2).expect("packs");
    assert_eq!(made(&changed), ["config"]);
    assert_ne!(changed[0].sha256, first[0].sha256);
    assert_eq!(changed[1].sha256, first[1].sha256);
}

#[test]
fn a_damaged_memo_or_a_lost_layer_is_made_again() {
    let workshop = full();
    let first = workshop.pack(Format::TarZst, 2).expect("packs");
    let lost = first[0].layers.last().expect("the configuration").blob.path().to_path_buf();
    fs::remove_file(lost).expect("removed");
    for memo in fs::read_dir(workshop.store.root().join("memo/layer-v1")).expect("memos").take(2) {
        fs::write(memo.expect("an entry").path(), "nonsense").expect("written");
    }
    assert_eq!(digests(&workshop.pack(Format::TarZst, 2).expect("packs")), digests(&first));
}

/// A rebuild reads no layer that nobody has touched, and each one that somebody has.
#[test]
fn layers_that_were_touched_are_proven_again() {
    let workshop = full();
    let first = workshop.pack(Format::TarZst, 2).expect("packs");
    let path = workshop.path("bundle");
    let written = |bundle: &Bundle| {
        bundle.write_file(&mut fs::File::create(&path).expect("a file"), 0).expect("whole layers");
        Digest::of(&fs::read(&path).expect("a bundle"))
    };
    assert_eq!(written(&first[0]), first[0].sha256);
    let layer = first[0].layers[1].blob.path().to_path_buf();
    let bytes = fs::read(&layer).expect("there");
    fs::write(&layer, &bytes).expect("the same again");
    let again = workshop.pack(Format::TarZst, 2).expect("packs");
    assert_eq!((digests(&again), written(&again[0])), (digests(&first), first[0].sha256));

    // What is remembered of the front may be lost or nonsense.
    let memos = workshop.store.root().join("memo/prefix-v1");
    for memo in fs::read_dir(&memos).expect("memos") {
        fs::write(memo.expect("an entry").path(), "nonsense").expect("written");
    }
    assert_eq!(digests(&workshop.pack(Format::TarZst, 2).expect("packs")), digests(&first));
    fs::remove_dir_all(&memos).expect("removed");
    assert_eq!(digests(&workshop.pack(Format::TarZst, 2).expect("packs")), digests(&first));

    fs::write(&layer, [&bytes[1..], b"x"].concat()).expect("damaged");
    let error = workshop.pack(Format::TarZst, 2).expect_err("a damaged layer");
    assert_eq!(error.exit(), Exit::Verification, "{error}");
    fs::write(&layer, &bytes).expect("repaired");
    let good = workshop.pack(Format::TarZst, 2).expect("packs");
    fs::write(&layer, [&bytes[1..], b"x"].concat()).expect("damaged behind the proof");
    let error = good[0].write_file(&mut fs::File::create(&path).expect("a file"), 0).expect_err("a damaged layer");
    assert_eq!(error.exit(), Exit::Verification, "{error}");
}

#[test]
fn check_finds_nothing_in_sound_layers_and_names_the_entry_in_others() {
    let mut workshop = full();
    let options = workshop.options(Format::TarZst, 2);
    let fetched = workshop.fetched();
    let bundles = workshop.pack(Format::TarZst, 2).expect("packs");
    check(&workshop.roles, &fetched, &workshop.lock, &bundles, &options, &Silent).expect("the same twice");

    let start = "/usr/lib/khimg/start".parse().expect("a path");
    let entry = workshop.roles[0].layers[0].1.0.get_mut(&start).expect("there");
    entry.content = Content::Bytes(b"#!/bin/sh\nexit 1\n".to_vec());
    let other = check(&workshop.roles, &fetched, &workshop.lock, &bundles, &options, &Silent).expect_err("differs");
    let text = other.to_string();
    assert!(text.contains("layer config of bundle master-debian-12-amd64.tar.zst"), "{text}");
    // Header of 512 bytes, then the 16th byte of the content.
    assert!(text.contains("byte 527 of the entry rootfs/usr/lib/khimg/start"), "{text}");
}

#[test]
fn holds_what_was_asked_for() {
    let workshop = full();
    let bundles = workshop.pack(Format::TarZst, 2).expect("packs");
    let master = &bundles[0];
    let files: BTreeMap<&str, &What> = master
        .layers
        .iter()
        .flat_map(|layer| layer.members.iter().map(|member| (member.path.as_str(), &member.what)))
        .collect();
    let mode = |path: &str| match files.get(path) {
        Some(What::File { mode, .. }) => *mode,
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(mode("rootfs/usr/bin/khimg"), Mode::Program.bits());
    assert_eq!(mode("rootfs/usr/bin/kubeadm"), Mode::Program.bits());
    assert_eq!(mode("packages/libseccomp2_2.5.1-1+b1_amd64.deb"), Mode::Plain.bits());
    assert_eq!(mode("images/registry.k8s.io_pause_3.2.tar"), Mode::Plain.bits());
    // 0775 in the archive: runs, so 0755 here.
    assert_eq!(mode("rootfs/opt/cni/bin/bridge"), Mode::Program.bits());
    assert_eq!(mode("rootfs/opt/cni/README"), Mode::Plain.bits());
    assert_eq!(files.get("rootfs/opt/cni/bin/alias"), Some(&&What::Link { target: "tool".to_owned() }));
    assert_eq!(files.get("rootfs/etc/systemd/"), Some(&&What::Directory));
    assert_eq!(master.contents.units.enable, ["master.service"]);
    assert!(master.contents.unsigned.is_empty());
    assert_eq!(master.contents.packages.len(), 3);
}

/// Runs a program; `None` with a printed reason where it is missing.
fn listing(program: &str, args: &[&str]) -> Option<Vec<String>> {
    let output = match Command::new(program).args(args).env("LC_ALL", "C.UTF-8").env("TZ", "UTC").output() {
        Ok(output) => output,
        Err(e) => {
            println!("skipped: {program} cannot run here ({e})");
            return None;
        }
    };
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    // Nothing to complain about either.
    assert!(output.stderr.is_empty(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect())
}

#[test]
fn other_readers_see_the_same_entries() {
    let workshop = full();
    for format in Format::ALL {
        let bundle = workshop.pack(format, 2).expect("packs").remove(0);
        let path = workshop.path(&bundle.file_name());
        write(&bundle, &path);
        let file = path.to_str().expect("UTF-8");
        let members = bundle.layers.iter().flat_map(|layer| layer.members.iter().map(|member| member.path.clone()));
        let expected: Vec<String> = members.chain(["bundle.json".to_owned()]).collect();
        let option = if format == Format::TarZst { "--zstd" } else { "--gzip" };
        if let Some(names) = listing("tar", &[option, "-tf", file]) {
            assert_eq!(names, expected, "GNU tar, {format}");
        }
        if let Some(names) = listing("bsdtar", &["-tf", file]) {
            assert_eq!(names, expected, "bsdtar, {format}");
        }
        let long = listing("tar", &[option, "--numeric-owner", "-tvf", file]).unwrap_or_default();
        assert!(long.iter().all(|line| line.contains(" 0/0 ") && line.contains("2000-01-01 00:00")), "{long:#?}");
        let (program, args) = if format == Format::TarZst { ("zstd", ["-t", "-q"]) } else { ("gunzip", ["-t", "-q"]) };
        listing(program, &[args[0], args[1], file]);
    }
}
