//! A bundle comes onto a machine whole, once, and can be taken back; the power may go at any moment.

use std::fs;

use serde_json::Value;

use super::machine::{Machine, difference, first, second};

fn status(machine: &Machine) -> Value {
    let output = machine.run(&["status", "--json"]);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn installs_changes_and_goes_back() {
    let machine = Machine::new();
    let fresh = machine.snapshot();
    let told = machine.install(first());
    assert!(told.contains("is installed"), "{told}");
    assert_eq!(machine.read("/etc/haproxy/haproxy.cfg"), "# the first\n", "ours, not the package's");
    assert_eq!(machine.read("/etc/sample.conf"), "the first bundle's\n");
    assert_eq!(machine.read("/usr/share/sample"), "1.0");
    assert!(!machine.exists("/var/sample-was-started"), "a service started before its configuration was there");
    assert!(!machine.exists("/usr/sbin/policy-rc.d"), "the policy stays behind");
    assert!(machine.exists("/etc/systemd/system/multi-user.target.wants/haproxy.service"));
    assert!(machine.exists("/etc/systemd/system/swap.target"), "masked");
    let with_first = machine.snapshot();

    let told = machine.install(first());
    assert!(told.contains("there was nothing to do"), "{told}");
    assert_eq!(difference(&with_first, &machine.snapshot()), [""; 0]);

    machine.install(second());
    assert_eq!(machine.read("/etc/haproxy/haproxy.cfg"), "# the second\n");
    assert_eq!(machine.read("/usr/share/sample"), "2.0");
    assert!(machine.exists("/etc/khimg-test/only-second") && !machine.exists("/etc/khimg-test/only-first"));
    assert_eq!(machine.read("/etc/motd"), "mine\n", "what was there before any bundle is back");

    let told = machine.succeed(&["rollback"]);
    assert!(told.contains("sample 1.0"), "it says which packages go back: {told}");
    assert_eq!(difference(&with_first, &machine.snapshot()), [""; 0]);
    let report = status(&machine);
    assert_eq!(report["installed"]["history"][0]["sha256"], first().sha256.to_string());
    assert_eq!(report["last"]["phase"], "done");

    let output = machine.run(&["rollback"]);
    assert_eq!(output.status.code(), Some(2), "there is nothing before it");
    assert!(fresh.contains_key("etc/motd"));
}

#[test]
fn survives_power_cuts_at_any_moment() {
    let (steady, cut) = (Machine::new(), Machine::new());
    let mut cuts = 0;
    for bundle in [first(), second()] {
        steady.install(bundle);
        cut.give(bundle);
        cuts += cut.survive(&["install", "/bundle.tar.zst", "--sha256", &bundle.sha256.hex()]);
        assert_eq!(difference(&steady.snapshot(), &cut.snapshot()), [""; 0]);
    }
    steady.succeed(&["rollback"]);
    // A rollback that was cut off is finished by the next command, whichever that is.
    cuts += cut.survive(&["rollback"]);
    assert_eq!(difference(&steady.snapshot(), &cut.snapshot()), [""; 0]);
    println!("{cuts} power cuts");
    assert!(cuts > 5, "hardly anything was cut off");
}

#[test]
fn an_interrupted_installation_can_be_undone() {
    let machine = Machine::new();
    machine.install(first());
    let before = machine.snapshot();
    machine.give(second());
    // A directory where a file belongs stops it in the middle.
    fs::create_dir_all(machine.path("/etc/khimg-test/only-second/in-the-way")).expect("a directory");
    let output = machine.run(&["install", "/bundle.tar.zst", "--sha256", &second().sha256.hex()]);
    assert_eq!(output.status.code(), Some(7));
    let report = status(&machine);
    assert_eq!(report["last"]["phase"], "failed");
    assert_eq!(report["last"]["step"], "files");
    assert!(report["last"]["reason"][0].as_str().is_some_and(|reason| reason.contains("only-second")), "{report}");
    assert!(report["last"]["hint"].is_string());
    fs::remove_dir_all(machine.path("/etc/khimg-test/only-second")).expect("removed");
    machine.succeed(&["rollback"]);
    assert_eq!(difference(&before, &machine.snapshot()), [""; 0]);
}

#[test]
fn keeps_what_somebody_edited() {
    let machine = Machine::new();
    machine.install(first());
    fs::write(machine.path("/etc/haproxy/haproxy.cfg"), "# edited\n").expect("a file");
    machine.install(first());
    assert_eq!(machine.read("/etc/haproxy/haproxy.cfg"), "# the first\n");
    let saved = format!("/var/lib/khimg/saved/{}/edited/etc/haproxy/haproxy.cfg", first().sha256.short());
    assert_eq!(machine.read(&saved), "# edited\n");
}

#[test]
fn refuses_another_bundle_and_leaves_nothing() {
    let machine = Machine::new();
    let before = machine.snapshot();
    machine.give(first());
    let output = machine.run(&["install", "/bundle.tar.zst", "--sha256", &second().sha256.hex()]);
    assert_eq!(output.status.code(), Some(6));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains(&first().sha256.hex()) && told.contains(&second().sha256.hex()), "{told}");
    assert_eq!(difference(&before, &machine.snapshot()), [""; 0]);
    let left = fs::read_dir(machine.path("/var/lib/khimg/bundles")).expect("a directory").count();
    assert_eq!(left, 0, "half a bundle was left");
    assert_eq!(status(&machine)["last"]["phase"], "failed");
}
