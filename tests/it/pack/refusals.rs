use khimg::catalog::component::Install;
use khimg::cluster::Role;
use khimg::exit::{Exit, Explain};
use khimg::pack::{Format, PackError};
use khimg::render::tree::Mode;

use super::{archive, full, sample};
use crate::support::workshop::Workshop;

fn refused(workshop: &Workshop) -> PackError {
    workshop.pack(Format::TarZst, 1).expect_err("must not pack")
}

fn small() -> Workshop {
    let mut workshop = Workshop::new();
    workshop.role(Role::Lb, &[("/etc/hosts", Mode::Plain, "127.0.0.1 localhost\n")]);
    workshop
}

#[test]
fn a_secret_never_becomes_public() {
    let mut workshop = Workshop::new();
    workshop.role(Role::Lb, &[("/etc/kubernetes/pki/ca.key", Mode::Private, "secret")]);
    let error = refused(&workshop);
    assert_eq!(error.exit(), Exit::BadInput);
    assert!(error.to_string().starts_with("/etc/kubernetes/pki/ca.key of role lb is private"), "{error}");
}

#[test]
fn two_things_at_one_path() {
    let mut workshop = small();
    workshop.file("hosts", "base", &[Role::Lb], Install::Program("/etc/hosts".to_owned()), b"other");
    let error = refused(&workshop);
    assert!(error.to_string().starts_with("rootfs/etc/hosts stands twice in bundle lb-debian-12-amd64"), "{error}");
    assert_eq!(error.exit(), Exit::BadInput);
}

#[test]
fn a_file_below_a_file_or_a_link() {
    for text in ["a file", "-> /elsewhere"] {
        let mut workshop = Workshop::new();
        workshop.role(Role::Lb, &[("/etc/a", Mode::Plain, text)]);
        workshop.file("b", "base", &[Role::Lb], Install::Program("/etc/a/b".to_owned()), b"other");
        assert!(matches!(refused(&workshop), PackError::Clash { .. }), "{text}");
    }
}

#[test]
fn a_program_for_another_machine() {
    let mut workshop = small();
    workshop.program(std::path::Path::new("/nonexistent/khimg"));
    assert_eq!(refused(&workshop).exit(), Exit::LocalIo);
    let mut options = workshop.options(Format::TarZst, 1);
    options.programs.clear();
    let error = khimg::pack::pack(
        &workshop.roles,
        &workshop.fetched(),
        &workshop.lock,
        &workshop.store,
        &options,
        &khimg::report::Silent,
    )
    .expect_err("must not pack");
    assert_eq!(error.exit(), Exit::Unsupported);
    assert!(error.hint().is_some_and(|hint| hint.contains("x86_64-unknown-linux-musl")));
}

/// khimg is static by `.cargo/config.toml`; the machine's own shell is not.
#[test]
fn a_program_that_needs_a_c_library() {
    let mut workshop = small();
    workshop.program(std::path::Path::new(assert_cmd::cargo::cargo_bin!("khimg")));
    workshop.pack(Format::TarZst, 1).expect("khimg is static");
    workshop.program(std::path::Path::new("/bin/sh"));
    let error = refused(&workshop);
    assert_eq!(error.to_string(), "/bin/sh is linked dynamically, so it may not run on the nodes");
    assert_eq!(error.exit(), Exit::BadInput);
    assert!(error.hint().is_some_and(|hint| hint.contains("+crt-static")));
    workshop.program(std::path::Path::new("/etc/passwd"));
    assert_eq!(refused(&workshop).exit(), Exit::BadInput);
}

#[test]
fn hostile_archives() {
    let install = |to: &str| Install::Archive { to: to.to_owned(), strip: 1, only: Vec::new() };
    let mut workshop = small();
    workshop.file("cut", "base", &[Role::Lb], install("/opt/it"), &archive()[..900]);
    let error = refused(&workshop);
    assert_eq!(error.to_string(), "file cut 1.0 cannot be repacked");
    assert_eq!(error.exit(), Exit::Verification);

    let mut workshop = small();
    workshop.file("astray", "base", &[Role::Lb], install("/opt/../etc"), &archive());
    assert_eq!(refused(&workshop).exit(), Exit::Lock);
}

#[test]
fn bytes_that_changed_in_the_store() {
    let workshop = full();
    let fetched = workshop.fetched();
    let kubeadm = fetched.blob(&workshop.lock.files[0].sha256).expect("there").path().to_path_buf();
    std::fs::write(&kubeadm, sample(99, 2_500_000)).expect("written");
    let error = refused(&workshop);
    assert_eq!(error.exit(), Exit::Verification, "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("store verify")), "{error:?}");
}
