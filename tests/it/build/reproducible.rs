//! Same lock, cluster file and program: same bytes, whatever the machine and the user's settings.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::roles::{build_all, built, sums};
use crate::support::sandbox::Sandbox;

/// Another directory, another store, and everything else that a machine may have set otherwise.
fn elsewhere(jobs: &str, umask: &str, zone: &str, locale: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["cluster.yaml", "khimg.lock"] {
        sandbox.write(name, built().read(name));
    }
    let program = assert_cmd::cargo::cargo_bin!("khimg");
    let mut arguments: Vec<&str> = build_all().to_vec();
    arguments.extend(["--locked", "--jobs", jobs, "--out", "another/dist"]);
    let mut shell = Command::new("/bin/sh");
    let status = shell
        .arg0("sh")
        .args(["-c", "umask $0; exec \"$@\"", umask])
        .arg(program)
        .args(arguments)
        .current_dir(sandbox.root())
        .env_clear()
        .env("HOME", sandbox.root())
        .env("KHIMG_STORE", sandbox.store())
        .env("TZ", zone)
        .env("LC_ALL", locale)
        .env("LANG", locale)
        .env("SOURCE_DATE_EPOCH", "1")
        .status();
    assert!(status.expect("khimg").success());
    sandbox
}

#[test]
fn every_public_file_is_the_same_on_another_machine() {
    let here = sums(&built().path("dist"));
    assert!(here.len() > 4, "{here:?}");
    for (jobs, umask, zone, locale) in
        [("1", "077", "Pacific/Kiritimati", "tr_TR.UTF-8"), ("5", "000", "America/St_Johns", "C")]
    {
        let there = elsewhere(jobs, umask, zone, locale);
        assert_eq!(here, sums(&there.path("another/dist")), "jobs {jobs}, umask {umask}, {zone}, {locale}");
    }
}

#[test]
fn the_build_checks_itself() {
    let sandbox = Sandbox::new();
    for name in ["cluster.yaml", "khimg.lock"] {
        sandbox.write(name, built().read(name));
    }
    sandbox
        .khimg(["build", "--profile", "lb", "--check", "--locked"])
        .env("KHIMG_STORE", built().store())
        .assert()
        .success();
}
