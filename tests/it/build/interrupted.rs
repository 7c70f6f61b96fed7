//! `kill -9` at any moment, then again: the build resumes, fetches nothing twice that was complete, and ends in the same bytes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use khimg::digest::Digest;

use super::roles::sums;
use crate::support::proxy::{Fault, Proxy};
use crate::support::sandbox::Sandbox;

/// One run, until its end or its death.
struct Round {
    /// What was complete in the store when it began.
    complete: BTreeSet<Digest>,
    /// Paths that it asked for.
    asked: Vec<String>,
}

fn build(sandbox: &Sandbox) -> Child {
    Command::new(assert_cmd::cargo::cargo_bin!("khimg"))
        .args(["build", "--profile", "lb"])
        .current_dir(sandbox.root())
        .env_clear()
        .env("KHIMG_STORE", sandbox.store())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("khimg")
}

fn complete(store: &Path) -> BTreeSet<Digest> {
    let blobs = walkdir::WalkDir::new(store.join("blobs")).into_iter().filter_map(Result::ok);
    blobs.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The system mirror's base for a suite.
fn upstream(suite: &str) -> String {
    let entries = khimg::resolve::apt::system::entries(Path::new("/")).expect("an apt configuration");
    let entry = entries.iter().find(|entry| entry.suite == suite);
    entry.expect("a Debian 12 machine").uri.as_str().trim_end_matches('/').to_owned()
}

fn cluster(debian: &Proxy, security: &Proxy) -> String {
    format!(
        "apiVersion: khimg/v1
kubernetes: 1.34.2
endpoint: {{mode: dedicated, vip: 10.0.0.100, interface: eth0}}
mirrors: [counting]
mirrorDefinitions:
  counting: {{debian: {}, debian-security: {}}}
nodes:
  - {{name: m1, role: master, address: 10.0.0.1/24}}
  - {{name: lb1, role: lb, address: 10.0.0.2/24}}
",
        debian.base(),
        security.base()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn resumes_after_kill_at_any_moment() {
    let debian = Proxy::start(&upstream("bookworm"), Fault::None).await;
    let security = Proxy::start(&upstream("bookworm-security"), Fault::None).await;
    let text = cluster(&debian, &security);

    let undisturbed = Sandbox::new();
    undisturbed.write("cluster.yaml", &text);
    assert!(build(&undisturbed).wait().expect("khimg").success());
    let expected = sums(&undisturbed.path("dist"));

    let sandbox = Sandbox::new();
    sandbox.write("cluster.yaml", &text);
    let mut rounds = Vec::new();
    let mut before = (debian.seen().len(), security.seen().len());
    // Later and later, so that every stage is hit; from some point on the build is faster than the axe.
    for step in 1..60_u64 {
        let complete = complete(&sandbox.store());
        let mut child = build(&sandbox);
        tokio::time::sleep(Duration::from_millis(step * 17)).await;
        let ended = child.try_wait().expect("khimg").is_some();
        if !ended {
            child.kill().expect("killed");
        }
        let success = child.wait().expect("khimg").success();
        let (all, secure) = (debian.seen(), security.seen());
        let asked = all[before.0..].iter().chain(&secure[before.1..]).map(|seen| seen.path.clone()).collect();
        before = (all.len(), secure.len());
        rounds.push(Round { complete, asked });
        let dist = sandbox.path("dist");
        assert!(!dist.exists() || dist.join("public/manifest.json").is_file(), "half a delivery after {step}");
        if ended && success {
            break;
        }
    }
    assert!(build(&sandbox).wait().expect("khimg").success());
    assert!(rounds.len() > 3, "the build was too fast to be killed even once in each stage");
    assert_eq!(expected, sums(&sandbox.path("dist")));

    let lock = khimg::lock::read(&sandbox.path("khimg.lock")).expect("a lock");
    for (number, round) in rounds.iter().enumerate() {
        for package in lock.packages.iter().filter(|package| round.complete.contains(&package.sha256)) {
            let again = round.asked.iter().any(|path| path.ends_with(&package.path));
            assert!(!again, "round {number} fetched {} again", package.name);
        }
    }
}
