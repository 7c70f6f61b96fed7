//! Stage 0, run by real shells against a real HTTP server with real faults; only khimg itself is a stand-in that says what
//! it was asked to do.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use khimg::deliver::{PublicContent, PublicFile, deliver};
use khimg::digest::Digest;
use khimg::pack::Format;
use khimg::report::Silent;
use serde_json::Value;

use crate::pack::full;
use crate::support::mirror::{Fault, Mirror};
use crate::support::registry::{LocalRegistry, Storage};
use crate::support::sandbox::Sandbox;
use crate::support::tokens::{Rules, TokenServer};

const BUNDLE: &str = "bundles/master.tar.zst";
const PROGRAM: &str = "khimg-amd64";

/// A machine: its state below a directory, its bundle somewhere else.
struct Machine {
    folder: tempfile::TempDir,
    bundle: Vec<u8>,
    /// The blobs that a registry has of it: `DIGEST:SIZE …`.
    pieces: String,
    program: Vec<u8>,
}

impl Machine {
    fn new() -> Self {
        Self::with_install("exit 0")
    }

    /// `install` is what the program does after it has noted its arguments.
    fn with_install(install: &str) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let log = folder.path().join("calls");
        let program = format!("#!/bin/sh\necho \"$*\" >>{}\n{install}\n", log.display()).into_bytes();
        let bundle = (0..300_000_u32).flat_map(|n| (n % 251).to_le_bytes()).collect();
        Self { folder, bundle, pieces: String::new(), program }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// One run with each command of `path` alone, so that a test can take curl or wget away.
    fn run(&self, shell: &[&str], depots: &[&str], path: &str) -> Output {
        let conf = self.folder.path().join("stage0.conf");
        let mut text = format!(
            "NODE='m1'\nSTATE='{}'\nMEDIA='{}/media/*'\nDEPOTS='{}'\nATTEMPTS='1'\n",
            self.state().display(),
            self.folder.path().display(),
            depots.join(" ")
        );
        for (name, path, bytes) in [("BUNDLE", BUNDLE, &self.bundle), ("PROGRAM", PROGRAM, &self.program)] {
            let (digest, size) = (Digest::of(bytes).hex(), bytes.len());
            text.push_str(&format!("{name}='{path}'\n{name}_SHA256='{digest}'\n{name}_SIZE='{size}'\n"));
        }
        if !self.pieces.is_empty() {
            text.push_str(&format!("BUNDLE_PIECES='{}'\n", self.pieces));
        }
        std::fs::write(&conf, text).expect("a file");
        // The script adds the usual directories to PATH; here PATH is the test's.
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("overlays/stage0/etc/khimg/stage0");
        let source = std::fs::read_to_string(source).expect("stage 0");
        let (before, after) = source.split_once("PATH=${PATH:-}:").expect("the line that sets PATH");
        let after = after.split_once('\n').expect("a line").1;
        let script = self.folder.path().join("stage0");
        std::fs::write(&script, format!("{before}{after}")).expect("a file");
        if !self.pieces.is_empty() {
            let part = "overlays/stage0-registry/etc/khimg/stage0-registry";
            let part = Path::new(env!("CARGO_MANIFEST_DIR")).join(part);
            std::fs::copy(part, self.folder.path().join("stage0-registry")).expect("the part that knows registries");
        }
        let (program, arguments) = shell.split_first().expect("a shell");
        Command::new(program).args(arguments).arg(script).arg(&conf).env("PATH", path).output().expect("a shell")
    }

    fn default_run(&self, depots: &[&str]) -> Output {
        self.run(&["/bin/dash"], depots, "/usr/bin:/bin")
    }

    fn status(&self) -> Value {
        let text = std::fs::read_to_string(self.state().join("stage0.json")).expect("a status file");
        serde_json::from_str(&text).expect("JSON")
    }

    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn installed(&self, output: &Output) {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(self.status()["state"], "finished");
        let digest = Digest::of(&self.bundle).hex();
        let calls = self.calls();
        let call = calls.last().expect("a call of khimg");
        assert!(call.starts_with("node install /") && call.ends_with(&format!(" --sha256 {digest}")), "{call}");
    }

    fn depot(&self) -> Mirror {
        let mirror = Mirror::start();
        mirror.put(&format!("public/{BUNDLE}"), self.bundle.clone());
        mirror.put(&format!("public/{PROGRAM}"), self.program.clone());
        mirror
    }
}

fn url(mirror: &Mirror) -> String {
    format!("{}/public", mirror.url().trim_end_matches('/'))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A directory with links to what stage 0 needs and to `loader` alone of the three that can load.
fn only(folder: &Path, loader: &str) -> Option<String> {
    let place = folder.join(format!("bin-{loader}"));
    std::fs::create_dir_all(&place).expect("a directory");
    let tools =
        ["cat", "chmod", "cp", "cut", "mkdir", "mv", "rm", "rmdir", "sed", "sha256sum", "sleep", "umount", "wc", "sh"];
    for tool in tools.iter().copied().chain([loader]) {
        let found = ["/usr/bin", "/bin"].iter().map(|d| Path::new(d).join(tool)).find(|path| path.exists())?;
        std::os::unix::fs::symlink(found, place.join(tool)).expect("a link");
    }
    Some(place.display().to_string())
}

#[test]
fn every_shell_installs_from_a_depot() {
    for shell in [&["/bin/dash"][..], &["/bin/bash", "--posix"], &["/bin/busybox", "sh"]] {
        if !Path::new(shell[0]).exists() {
            println!("skipped: every_shell_installs_from_a_depot: no {}", shell[0]);
            continue;
        }
        let machine = Machine::new();
        let depot = machine.depot();
        let output = machine.run(shell, &[&url(&depot)], "/usr/bin:/bin");
        machine.installed(&output);
        assert_eq!(machine.calls().len(), 1);
        // Again: nothing is loaded, nothing is done.
        let before = depot.log().len();
        let output = machine.run(shell, &[&url(&depot)], "/usr/bin:/bin");
        machine.installed(&output);
        assert_eq!((machine.calls().len(), depot.log().len()), (1, before), "{shell:?}");
    }
}

#[test]
fn every_loader_does() {
    for loader in ["curl", "wget", "python3"] {
        let machine = Machine::new();
        let Some(path) = only(machine.folder.path(), loader) else {
            println!("skipped: every_loader_does: no {loader} or another tool on this machine");
            continue;
        };
        let depot = machine.depot();
        let output = machine.run(&["/bin/dash"], &[&url(&depot)], &path);
        machine.installed(&output);
        let agent = depot.log()[0].header("user-agent").unwrap_or_default().to_lowercase();
        assert!(agent.contains(if loader == "python3" { "python" } else { loader }), "{loader}: {agent}");
    }
}

#[test]
fn a_medium_comes_before_a_depot() {
    for place in [
        format!("media/stick/{BUNDLE}"),
        format!("media/stick/khimg/{BUNDLE}"),
        "media/stick/master.tar.zst".to_owned(),
    ] {
        let machine = Machine::new();
        let (bundle, program) =
            (machine.folder.path().join(place), machine.folder.path().join("media/stick").join(PROGRAM));
        std::fs::create_dir_all(bundle.parent().expect("a parent")).expect("directories");
        std::fs::write(&bundle, &machine.bundle).expect("a file");
        std::fs::write(&program, &machine.program).expect("a file");
        let depot = machine.depot();
        machine.installed(&machine.default_run(&[&url(&depot)]));
        assert!(depot.log().is_empty());
        assert!(machine.calls()[0].contains(&bundle.display().to_string()), "no copy is made of a bundle");
    }
}

#[test]
fn a_wrong_medium_is_passed_over() {
    let machine = Machine::new();
    let stick = machine.folder.path().join("media/stick");
    std::fs::create_dir_all(stick.join("bundles")).expect("directories");
    let mut wrong = machine.bundle.clone();
    wrong[1000] ^= 1;
    std::fs::write(stick.join(BUNDLE), wrong).expect("a file");
    std::fs::write(stick.join(PROGRAM), b"#!/bin/sh\nexit 0\n").expect("a file");
    let depot = machine.depot();
    machine.installed(&machine.default_run(&[&url(&depot)]));
}

#[test]
fn bad_depots_are_left_for_the_next() {
    let bundle = format!("public/{BUNDLE}");
    for fault in [
        Fault::not_found(),
        Fault::unavailable(),
        Fault::wrong_bytes(),
        Fault::truncated(),
        Fault::too_long(),
        Fault::dropped_midway(),
        Fault::endless_redirect(),
    ] {
        let name = format!("{fault:?}");
        let machine = Machine::new();
        let (bad, good) = (machine.depot(), machine.depot());
        bad.fault(&bundle, fault);
        let output = machine.default_run(&["http://127.0.0.1:1/public", &url(&bad), &url(&good)]);
        assert!(output.status.success(), "{name}: {}", said(&output));
        machine.installed(&output);
        assert!(!bad.hits(&bundle).is_empty(), "{name}: the bad one was tried");
    }
}

#[test]
fn a_download_goes_on_where_it_broke() {
    let machine = Machine::new();
    let depot = machine.depot();
    let bundle = format!("public/{BUNDLE}");
    depot.fault(&bundle, Fault::dropped_midway());
    let output = machine.default_run(&[&url(&depot)]);
    assert!(!output.status.success());
    assert_eq!(machine.status()["state"], "failed");
    let part = machine.state().join("stage0/master.tar.zst.part");
    let held = std::fs::metadata(&part).expect("what was loaded stays").len();
    assert!(held > 0 && held < machine.bundle.len() as u64);
    depot.repair();
    machine.installed(&machine.default_run(&[&url(&depot)]));
    let last = depot.hits(&bundle).pop().expect("a request");
    assert_eq!(last.header("range"), Some(format!("bytes={held}-").as_str()));
}

#[test]
fn nothing_unproven_is_run_or_kept() {
    let machine = Machine::new();
    let depot = machine.depot();
    let marker = machine.folder.path().join("evil");
    let evil = format!("#!/bin/sh\ntouch {}\n", marker.display());
    depot.put(&format!("public/{PROGRAM}"), evil.into_bytes());
    let output = machine.default_run(&[&url(&depot)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!marker.exists() && machine.calls().is_empty());
    assert!(said(&output).contains("is not what the seed names"), "{}", said(&output));
    assert!(!machine.state().join("stage0/khimg").exists());
}

#[test]
fn an_endless_body_does_not_fill_the_disk() {
    let machine = Machine::new();
    let depot = machine.depot();
    let huge = vec![b'x'; machine.bundle.len() * 8];
    depot.put(&format!("public/{BUNDLE}"), huge);
    let output = machine.default_run(&[&url(&depot)]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let mut held = 0;
    for entry in std::fs::read_dir(machine.state().join("stage0")).expect("listed") {
        held += entry.expect("an entry").metadata().expect("metadata").len();
    }
    assert!(held <= machine.bundle.len() as u64 + 4096, "{held} bytes are kept");
}

#[test]
fn failures_leave_a_status() {
    let machine = Machine::new();
    let output = machine.default_run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let status = machine.status();
    assert_eq!((&status["state"], &status["node"]), (&Value::from("failed"), &Value::from("m1")));
    assert!(status["message"].as_str().expect("text").contains(BUNDLE), "{status}");

    let machine = Machine::with_install("exit 6");
    let depot = machine.depot();
    let output = machine.default_run(&[&url(&depot)]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(machine.status()["message"], "khimg node install ended with exit code 6");
    // The next attempt loads nothing again, and asks khimg again.
    let before = depot.log().len();
    machine.default_run(&[&url(&depot)]);
    assert_eq!((depot.log().len(), machine.calls().len()), (before, 2));
}

/// A machine whose bundle is in a registry, as `khimg push` put it there.
fn pushed(registry: &LocalRegistry) -> Machine {
    let (sandbox, workshop, mut machine) = (Sandbox::new(), full(), Machine::new());
    let bundles = workshop.pack(Format::TarZst, 2).expect("packs");
    let program = PublicFile { path: PROGRAM, content: PublicContent::Bytes(&machine.program), origin: "a test" };
    let dist = sandbox.path("dist");
    let delivery = deliver(&bundles, &[], &[program], &dist, &workshop.store, &Silent).expect("delivers");
    let (path, record) = delivery.public.files.iter().find(|(_, record)| record.pieces.len() > 2).expect("a bundle");
    machine.bundle = std::fs::read(dist.join("public").join(path)).expect("readable");
    let pieces = record.pieces.iter().map(|piece| format!("{}:{}", piece.sha256.hex(), piece.size));
    machine.pieces = pieces.collect::<Vec<_>>().join(" ");
    sandbox.khimg(["push", &format!("{}/khimg/demo:v1", registry.base())]).assert().success();
    machine
}

fn depot(registry: &LocalRegistry) -> String {
    format!("oci+http://{}/khimg/demo", registry.address())
}

/// From a real registry, blob by blob, by each of the three that can load; one that asks for tokens gives them to anybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_a_depot() {
    let storage = Storage::new();
    let Some(registry) = LocalRegistry::open(&storage) else { return };
    let machine = tokio::task::block_in_place(|| pushed(&registry));
    let tokens = TokenServer::start(Rules::default()).await;
    let guarded = LocalRegistry::start(&storage, |_| tokens.auth()).expect("as before");
    for loader in ["curl", "wget", "python3"] {
        for place in [&registry, &guarded] {
            let fresh = Machine { bundle: machine.bundle.clone(), pieces: machine.pieces.clone(), ..Machine::new() };
            // The program notes its calls in a place of its own: it is the one that was pushed.
            let fresh = Machine { program: machine.program.clone(), ..fresh };
            let Some(path) = only(fresh.folder.path(), loader) else { continue };
            let output = fresh.run(&["/bin/dash"], &[&depot(place)], &path);
            assert!(output.status.success(), "{loader}: {}", said(&output));
            assert_eq!(fresh.status()["state"], "finished");
            assert!(!fresh.state().join("stage0/pieces").exists());
        }
    }
    let calls = machine.calls();
    let digest = Digest::of(&machine.bundle).hex();
    assert!(calls.len() >= 2 && calls.iter().all(|call| call.ends_with(&format!("--sha256 {digest}"))), "{calls:?}");
    assert!(tokens.asked().iter().all(|asked| asked.scope == "repository:khimg/demo:pull" && !asked.logged_in));
    assert!(!tokens.asked().is_empty());
}

/// A registry that has other bytes, or not all of them, installs nothing; what it has is not loaded twice.
#[test]
fn a_registry_that_lacks_a_blob_is_left_for_the_next_depot() {
    let (storage, empty) = (Storage::new(), Storage::new());
    let (Some(registry), Some(bare)) = (LocalRegistry::open(&storage), LocalRegistry::open(&empty)) else { return };
    let machine = pushed(&registry);
    let output = machine.default_run(&[&depot(&bare)]);
    assert!(!output.status.success() && machine.calls().is_empty(), "{}", said(&output));
    let output = machine.default_run(&[&depot(&bare), &depot(&registry)]);
    machine.installed(&output);
    // In another order they are another file.
    let mut wrong = pushed(&registry);
    wrong.pieces = wrong.pieces.split(' ').rev().collect::<Vec<_>>().join(" ");
    let output = wrong.default_run(&[&depot(&registry)]);
    assert!(
        !output.status.success() && said(&output).contains("do not make up what the seed names"),
        "{}",
        said(&output)
    );
}
