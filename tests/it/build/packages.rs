//! Every package of a bundle installs by apt without a network in a fresh system of the declared base.

use std::path::Path;
use std::process::Command;

use super::roles::built;
use crate::support::base::base;

/// Unpacks a bundle with the system's own tools, as a person would.
pub fn unpack(bundle: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let status = Command::new("tar").arg("--zstd").arg("-xf").arg(bundle).arg("-C").arg(dir.path()).status();
    assert!(status.expect("tar").success(), "{}", bundle.display());
    dir
}

/// The bundle of a role of the cluster that all tests share, unpacked.
pub fn unpacked(role: &str) -> tempfile::TempDir {
    unpack(&built().path(format!("dist/public/bundles/{role}-debian-12-amd64.tar.zst")))
}

fn installs(role: &str) {
    let bundle = unpacked(role);
    let root = base().copy();
    let inside = root.path().join("tmp/packages");
    let copied = Command::new("cp").arg("-r").arg(bundle.path().join("packages")).arg(&inside).status();
    assert!(copied.expect("cp").success());
    // No network at all: a namespace without an interface. No sources either: apt knows nothing but these files.
    let script = "set -e; rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*; rm -rf /var/lib/apt/lists/*
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
        export DEBIAN_FRONTEND=noninteractive
        apt-get install --yes --no-install-recommends /tmp/packages/*.deb
        dpkg --audit; test -z \"$(dpkg --audit)\"";
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "chroot"])
        .arg(root.path())
        .args(["sh", "-c", script])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .output()
        .expect("unshare");
    assert!(
        output.status.success(),
        "{role}: {}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn of_a_master() {
    installs("master");
}

#[test]
fn of_a_worker() {
    installs("worker");
}

#[test]
fn of_a_load_balancer() {
    installs("lb");
}

#[test]
fn of_an_etcd_member() {
    installs("etcd");
}
