//! A bundle of rpm packages comes onto a machine whole, once, and can be taken back; the power may go at any moment.
//!
//! The packages are small and real, the machine is Debian's base with Debian's rpm: khimg decides by the packages' kind, and rpm
//! is the same program everywhere.

use std::fs;
use std::sync::OnceLock;

use khimg::cluster::Role;
use khimg::render::tree::Mode;

use super::machine::{BundleFile, Machine, difference};
use crate::support::workshop::Workshop;
use crate::yum::tree::{Rpm, Rpms};

const OLD: &[Rpm<'_>] = &[
    (
        "sample",
        "1:1.0-1",
        "Requires: sample-lib >= 1\nfile: /usr/share/sample\nfile: /usr/share/sample-1\nconfig: /etc/sample.conf",
    ),
    ("sample-lib", "1.0-1", "arch: noarch\nfile: /usr/share/sample-lib\npost: echo lib >> /var/sample-order"),
    ("replaced", "1-1", "file: /usr/share/replaced"),
];
const NEW: &[Rpm<'_>] = &[
    (
        "sample",
        "1:2.0-1",
        "Requires: sample-lib >= 2\nfile: /usr/share/sample\nfile: /usr/share/sample-2\nconfig: /etc/sample.conf",
    ),
    ("sample-lib", "2.0-1", "arch: noarch\nfile: /usr/share/sample-lib"),
    ("replacement", "1-1", "Obsoletes: replaced\nfile: /usr/share/replaced"),
];

fn bundle(packages: &[Rpm<'_>], text: &str) -> BundleFile {
    let rpms = Rpms::build(packages);
    let mut workshop = Workshop::new();
    for (name, version, _) in packages {
        let plain = version.split_once(':').map_or(*version, |(_, rest)| rest);
        let file = rpms.files().into_iter().find(|path| {
            path.file_name()
                .and_then(|file| file.to_str())
                .is_some_and(|file| file.starts_with(&format!("{name}-{plain}.")))
        });
        let file = file.expect("built");
        let path = format!("os/Packages/{}", file.file_name().and_then(|name| name.to_str()).expect("a name"));
        workshop.package_at(&path, name, version, "haproxy", &[Role::Lb], &fs::read(&file).expect("a package"));
    }
    workshop.role(Role::Lb, &[("/etc/sample.conf", Mode::Plain, text)]);
    BundleFile::of(&workshop)
}

fn old() -> &'static BundleFile {
    static BUNDLE: OnceLock<BundleFile> = OnceLock::new();
    BUNDLE.get_or_init(|| bundle(OLD, "the first bundle's\n"))
}

fn new() -> &'static BundleFile {
    static BUNDLE: OnceLock<BundleFile> = OnceLock::new();
    BUNDLE.get_or_init(|| bundle(NEW, "the second bundle's\n"))
}

#[test]
fn installs_changes_and_goes_back() {
    let machine = Machine::with_rpm();
    let told = machine.install(old());
    assert!(told.contains("is installed"), "{told}");
    assert_eq!(machine.rpms(), "replaced-1-1.x86_64 sample-1.0-1.x86_64 sample-lib-1.0-1.noarch");
    assert_eq!(machine.read("/etc/sample.conf"), "the first bundle's\n", "ours, not the package's");
    let with_old = machine.snapshot();

    let told = machine.install(old());
    assert!(told.contains("there was nothing to do"), "{told}");
    assert_eq!(difference(&with_old, &machine.snapshot()), [""; 0]);

    machine.install(new());
    assert_eq!(machine.rpms(), "replacement-1-1.x86_64 sample-2.0-1.x86_64 sample-lib-2.0-1.noarch");
    assert!(machine.exists("/usr/share/sample-2") && !machine.exists("/usr/share/sample-1"));

    let told = machine.succeed(&["rollback"]);
    assert!(told.contains("removing replacement"), "it says what stood in the way: {told}");
    assert_eq!(difference(&with_old, &machine.snapshot()), [""; 0]);
}

#[test]
fn a_newer_package_of_somebody_else_stays() {
    let machine = Machine::with_rpm();
    let rpms = Rpms::build(&[("sample-lib", "9-1", "arch: noarch")]);
    for file in rpms.files() {
        fs::copy(&file, machine.path("/newer.rpm")).expect("copied");
    }
    let status = std::process::Command::new("chroot").arg(machine.path("/")).args(["rpm", "-U", "/newer.rpm"]).status();
    assert!(status.expect("rpm").success());
    let told = machine.install(old());
    assert!(told.contains("sample-lib 9-1 stays"), "{told}");
    assert!(machine.rpms().contains("sample-lib-9-1.noarch"));
}

#[test]
fn survives_power_cuts_at_any_moment() {
    let (steady, cut) = (Machine::with_rpm(), Machine::with_rpm());
    let mut cuts = 0;
    for bundle in [old(), new()] {
        steady.install(bundle);
        cut.give(bundle);
        cuts += cut.survive(&["install", "/bundle.tar.zst", "--sha256", &bundle.sha256.hex()]);
        assert_eq!(difference(&steady.snapshot(), &cut.snapshot()), [""; 0]);
    }
    println!("{cuts} power cuts");
    assert!(cuts > 3, "hardly anything was cut off");
}
