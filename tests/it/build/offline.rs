//! `--offline` opens no socket: it works where there is no network interface at all, not even loopback.

use std::process::Command;

use super::roles::{build_all, built, sums};
use crate::support::sandbox::Sandbox;

fn without_network(sandbox: &Sandbox, store: &std::path::Path, arguments: &[&str]) -> std::process::Output {
    Command::new("unshare")
        .arg("--net")
        .arg(assert_cmd::cargo::cargo_bin!("khimg"))
        .args(arguments)
        .current_dir(sandbox.root())
        .env_clear()
        .env("KHIMG_STORE", store)
        .output()
        .expect("unshare")
}

#[test]
fn builds_from_the_store_alone() {
    let sandbox = Sandbox::new();
    for name in ["cluster.yaml", "khimg.lock"] {
        sandbox.write(name, built().read(name));
    }
    let mut arguments = build_all().to_vec();
    arguments.extend(["--offline", "--locked"]);
    let output = without_network(&sandbox, &built().store(), &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(sums(&built().path("dist")), sums(&sandbox.path("dist")));
}

#[test]
fn names_what_is_missing() {
    let sandbox = Sandbox::new();
    for name in ["cluster.yaml", "khimg.lock"] {
        sandbox.write(name, built().read(name));
    }
    let output = without_network(&sandbox, &sandbox.store(), &["build", "--profile", "lb", "--offline", "--locked"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{told}");
    assert!(told.contains("haproxy"), "{told}");
    assert!(told.contains("hint: "), "{told}");
    assert!(!sandbox.path("dist").exists(), "half a delivery was left");
}
