use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use khimg::cluster::Role;
use khimg::deliver::{DISC, DeliverError, Delivery, NodeDisc, NodeSeed, PublicContent, PublicFile, deliver};
use khimg::digest::Digest;
use khimg::exit::{Exit, Explain};
use khimg::pack::{Bundle, Format};
use khimg::render::tree::Content;
use khimg::report::Silent;

use super::full;
use crate::support::daemon::available;
use crate::support::workshop::{Workshop, target};

fn send(workshop: &Workshop, bundles: &[Bundle], out: &Path) -> Result<Delivery, DeliverError> {
    let target = target();
    let files: BTreeMap<&str, &[u8]> = BTreeMap::from([("user-data", &b"#cloud-config\n"[..]), ("meta-data", b"{}")]);
    let seeds = [NodeSeed { node: "master-1", role: Role::Master, target: &target, files, disc: None }];
    let public =
        [PublicFile { path: "khimg.lock", content: PublicContent::Bytes(b"version: 1\n"), origin: "the lock" }];
    deliver(bundles, &seeds, &public, out, &workshop.store, &Silent)
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("there").permissions().mode() & 0o7777
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn everything_in_its_place_with_its_mode() {
    let workshop = full();
    let out = workshop.path("new/dist");
    let bundles = workshop.pack(Format::TarZst, 2).expect("packs");
    let delivery = send(&workshop, &bundles, &out).expect("delivers");
    assert_eq!(names(&out), ["public", "secret"]);
    assert_eq!(names(&out.join("public")), ["SHA256SUMS", "bundles", "khimg.lock", "manifest.json"]);
    assert_eq!(names(&out.join("secret/master-1")), ["meta-data", "user-data"]);
    assert_eq!(names(out.parent().expect("a parent")), ["dist"]);
    let modes = [
        ("", 0o755),
        ("public", 0o755),
        ("public/bundles", 0o755),
        ("public/bundles/master-debian-12-amd64.tar.zst", 0o644),
        ("public/manifest.json", 0o644),
        ("secret", 0o700),
        ("secret/manifest.json", 0o600),
        ("secret/master-1", 0o700),
        ("secret/master-1/user-data", 0o600),
    ];
    for (path, expected) in modes {
        assert_eq!(format!("{:o}", mode(&out.join(path))), format!("{expected:o}"), "{path}");
    }
    let record = &delivery.public.files["bundles/master-debian-12-amd64.tar.zst"];
    assert_eq!(record.role, Some(Role::Master));
    assert_eq!(record.pieces.iter().map(|piece| piece.size).sum::<u64>(), record.size);
    assert!(record.origins.iter().any(|origin| origin.what == "package haproxy 2.6.12-1"));
    let text = fs::read_to_string(out.join("public/manifest.json")).expect("there");
    assert!(!text.contains("master-1"), "no secret file is named in public");
    let mut sums = Command::new("sha256sum");
    sums.args(["-c", "--strict", "--quiet", "SHA256SUMS"]).current_dir(out.join("public"));
    assert!(sums.status().is_ok_and(|status| status.success()));
}

#[test]
fn a_later_delivery_replaces_the_former_and_keeps_what_is_equal() {
    let mut workshop = full();
    let out = workshop.path("dist");
    let first = workshop.pack(Format::TarZst, 2).expect("packs");
    assert_eq!(send(&workshop, &first, &out).expect("delivers").reused, 0);
    let worker = out.join("public/bundles/worker-debian-12-amd64.tar.zst");
    let inode = fs::metadata(&worker).expect("there").ino();

    let hosts = workshop.roles[0].layers[0].1.0.get_mut(&"/etc/hosts".parse().expect("a path")).expect("there");
    hosts.content = Content::Bytes(b"changed\n".to_vec());
    let second = workshop.pack(Format::TarZst, 2).expect("packs");
    assert_eq!(send(&workshop, &second, &out).expect("delivers").reused, 1);
    assert_eq!(fs::metadata(&worker).expect("there").ino(), inode);
    assert_eq!(names(workshop.path("").as_path()), ["dist", "khimg", "store"]);

    // Bytes of the right size that are no longer the right ones are not taken over.
    let mut bytes = fs::read(&worker).expect("there");
    bytes[4000] ^= 1;
    fs::write(&worker, &bytes).expect("written");
    assert_eq!(send(&workshop, &second, &out).expect("delivers").reused, 1);
    assert!(khimg::inspect::dist(&out).expect("a dist").problems.is_empty());
}

/// What a line changes is the end of a bundle: the former file but one gives the rest, unless anybody has touched it.
#[test]
fn a_bundle_goes_on_from_where_a_former_one_was_the_same() {
    let mut workshop = full();
    let out = workshop.path("dist");
    let master = out.join("public/bundles/master-debian-12-amd64.tar.zst");
    let inode = || fs::metadata(&master).expect("there").ino();
    let mut round = 0;
    let mut build = |workshop: &mut Workshop| {
        round += 1;
        let hosts = workshop.roles[0].layers[0].1.0.get_mut(&"/etc/hosts".parse().expect("a path")).expect("there");
        hosts.content = Content::Bytes(format!("changed {round}\n").into_bytes());
        let bundles = workshop.pack(Format::TarZst, 2).expect("packs");
        send(workshop, &bundles, &out).expect("delivers");
        let problems = khimg::inspect::dist(&out).expect("a dist").problems;
        assert!(problems.is_empty(), "{problems:?}");
        inode()
    };
    let spares = |workshop: &Workshop| names(&workshop.store.root().join("spare"));
    let spare = |workshop: &Workshop| workshop.store.root().join("spare").join(&spares(workshop)[0]);
    let (first, second) = (build(&mut workshop), build(&mut workshop));
    assert_ne!(first, second);
    assert_eq!(fs::metadata(spare(&workshop)).expect("there").ino(), first);
    assert_eq!((build(&mut workshop), build(&mut workshop)), (first, second));

    // Written to, though with its size and times as they were.
    let touched = spare(&workshop);
    let (mut bytes, found) = (fs::read(&touched).expect("there"), fs::metadata(&touched).expect("there"));
    bytes[4000] ^= 1;
    fs::write(&touched, &bytes).expect("written");
    let file = fs::File::options().write(true).open(&touched).expect("there");
    file.set_modified(found.modified().expect("a time")).expect("set");
    assert_ne!(build(&mut workshop), found.ino());

    // With another name, below which it must stay as it is.
    let (kept, copy) = (spare(&workshop), workshop.path("copy"));
    fs::hard_link(&kept, &copy).expect("a second name");
    let before = fs::read(&copy).expect("there");
    assert_ne!(build(&mut workshop), fs::metadata(&copy).expect("there").ino());
    assert_eq!(fs::read(&copy).expect("there"), before);

    // What lies at the place is not kept either once somebody has touched it.
    let delivered = inode();
    let mut bytes = fs::read(&master).expect("there");
    bytes[4000] ^= 1;
    fs::write(&master, &bytes).expect("written");
    build(&mut workshop);
    let kept = spares(&workshop)
        .iter()
        .any(|name| fs::metadata(workshop.store.root().join("spare").join(name)).expect("there").ino() == delivered);
    assert!(!kept);

    // Garbage collection takes it.
    build(&mut workshop);
    assert!(!spares(&workshop).is_empty());
    workshop.store.gc(&std::collections::BTreeSet::new()).expect("alone");
    assert!(spares(&workshop).is_empty());
}

#[test]
fn a_build_that_died_leaves_the_former_delivery_and_no_trace_in_the_next() {
    let workshop = full();
    let out = workshop.path("dist");
    let bundles = workshop.pack(Format::TarZst, 2).expect("packs");
    send(&workshop, &bundles, &out).expect("delivers");
    let half = workshop.path(".dist.khimg-new/public/bundles");
    fs::create_dir_all(&half).expect("a directory");
    fs::write(half.join("half.tar.zst"), b"half").expect("a file");
    send(&workshop, &bundles, &out).expect("delivers");
    assert_eq!(names(workshop.path("").as_path()), ["dist", "khimg", "store"]);

    // Where directories cannot be exchanged there are two steps; death between them must lose nothing.
    fs::rename(&out, workshop.path(".dist.khimg-old")).expect("renamed");
    fs::create_dir_all(&half).expect("a directory");
    assert_eq!(send(&workshop, &bundles, &out).expect("delivers").reused, 2);
    assert_eq!(names(workshop.path("").as_path()), ["dist", "khimg", "store"]);
}

#[test]
fn a_failure_leaves_the_former_delivery() {
    let mut workshop = full();
    let out = workshop.path("dist");
    let bundles = workshop.pack(Format::TarZst, 2).expect("packs");
    send(&workshop, &bundles, &out).expect("delivers");
    let before = fs::read(out.join("public/manifest.json")).expect("there");

    workshop.roles[1].enable.push("other.service".to_owned());
    let changed = workshop.pack(Format::TarZst, 2).expect("packs");
    let layer = changed[0].layers[1].blob.path();
    let mut bytes = fs::read(layer).expect("there");
    bytes[100] ^= 1;
    fs::write(layer, &bytes).expect("written");
    let error = send(&workshop, &changed, &workshop.path("dist")).expect_err("a damaged layer");
    assert_eq!(error.exit(), Exit::Verification, "{error}");
    assert_eq!(fs::read(out.join("public/manifest.json")).expect("there"), before);
    assert_eq!(names(workshop.path("").as_path()), ["dist", "khimg", "store"]);
}

#[test]
fn what_khimg_did_not_write_is_never_replaced() {
    let workshop = full();
    let bundles = workshop.pack(Format::TarZst, 2).expect("packs");
    let ours = r#"{"kind": "khimg-dist"}"#;
    let cases = [
        ("photos", vec![("a.jpg", "x")], "it holds a.jpg"),
        ("site", vec![("public/index.html", "x")], "manifest.json cannot be read"),
        ("other", vec![("public/manifest.json", r#"{"kind": "theirs"}"#)], "of another kind"),
        ("mixed", vec![("public/manifest.json", ours), ("notes.txt", "x")], "it holds notes.txt"),
    ];
    for (name, files, reason) in cases {
        let out = workshop.path(name);
        for (file, text) in &files {
            let path = out.join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("a file");
        }
        let error = send(&workshop, &bundles, &out).expect_err(name);
        assert_eq!(error.exit(), Exit::BadInput);
        assert!(error.to_string().contains(reason), "{error}");
        assert!(files.iter().all(|(file, text)| fs::read_to_string(out.join(file)).is_ok_and(|found| found == *text)));
    }
    fs::write(workshop.path("file"), "x").expect("a file");
    assert!(matches!(send(&workshop, &bundles, &workshop.path("file")), Err(DeliverError::NotADist { .. })));
    fs::create_dir(workshop.path("empty")).expect("a directory");
    send(&workshop, &bundles, &workshop.path("empty")).expect("an empty directory may be taken");
    std::os::unix::fs::symlink(workshop.path("empty"), workshop.path("link")).expect("a link");
    send(&workshop, &bundles, &workshop.path("link")).expect("a link is followed");
    assert!(fs::symlink_metadata(workshop.path("link")).expect("there").is_symlink());
}

#[test]
fn paths_that_would_leave_the_directory() {
    let workshop = full();
    for path in ["../outside", "/etc/passwd", "a//b", "manifest.json", "SHA256SUMS", ""] {
        let files = [PublicFile { path, content: PublicContent::Bytes(b"x"), origin: "a test" }];
        let refused = deliver(&[], &[], &files, &workshop.path("dist"), &workshop.store, &Silent);
        assert!(matches!(refused, Err(DeliverError::Path { .. })), "{path}");
    }
    assert!(!workshop.path("dist").exists());
}

#[test]
fn two_deliveries_at_once_wait_for_each_other() {
    let workshop = full();
    let bundles = workshop.pack(Format::TarZst, 2).expect("packs");
    let out = workshop.path("dist");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| send(&workshop, &bundles, &out).expect("delivers"));
        }
    });
    assert!(khimg::inspect::dist(&out).expect("a dist").problems.is_empty());
    assert_eq!(names(workshop.path("").as_path()), ["dist", "khimg", "store"]);
}

/// A disc holds the node's seed and, on request, its bundle; twice the same bytes, listed with their digest.
#[test]
fn a_disc_with_the_seed_and_the_bundle() {
    if !available(&["bsdtar"]) {
        return;
    }
    let (workshop, target) = (full(), target());
    let bundles = workshop.pack(Format::TarZst, 2).expect("packs");
    let path = format!("bundles/{}", bundles[0].file_name());
    let files: BTreeMap<&str, &[u8]> = BTreeMap::from([
        ("user-data", &b"#cloud-config\n"[..]),
        ("meta-data", b"{}"),
        ("platform-user-data", b"not on the disc"),
    ]);
    let disc = NodeDisc { seed: vec!["user-data", "meta-data"], public: vec![&path] };
    let mut found = Vec::new();
    for name in ["one", "two"] {
        let seed = NodeSeed {
            node: "master-1",
            role: Role::Master,
            target: &target,
            files: files.clone(),
            disc: Some(disc.clone()),
        };
        let out = workshop.path(name);
        let delivery = deliver(&bundles, &[seed], &[], &out, &workshop.store, &Silent).expect("delivers");
        let place = out.join("secret/master-1").join(DISC);
        let bytes = fs::read(&place).expect("a disc");
        let record = &delivery.secret.files["master-1/cidata.iso"];
        assert_eq!((record.sha256, record.size), (Digest::of(&bytes), bytes.len() as u64));
        assert_eq!((record.node.as_deref(), mode(&place)), (Some("master-1"), 0o600));
        let contents = workshop.path(&format!("{name}-disc"));
        fs::create_dir(&contents).expect("a directory");
        let status = Command::new("bsdtar").arg("-xf").arg(&place).arg("-C").arg(&contents).status().expect("bsdtar");
        assert!(status.success());
        assert_eq!(names(&contents), [bundles[0].file_name().as_str(), "meta-data", "user-data"]);
        let bundle = fs::read(contents.join(bundles[0].file_name())).expect("the bundle");
        assert_eq!(Digest::of(&bundle), bundles[0].sha256);
        found.push(bytes);
    }
    assert_eq!(found[0], found[1]);
}
