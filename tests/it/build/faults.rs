//! Mirrors that fail or lie, met by the whole program: another mirror serves, or nothing is delivered and the error says why.

use crate::apt::archive::{Archive, Key, STANZAS};
use crate::support::mirror::{Fault, Mirror};
use crate::support::sandbox::Sandbox;

const INDEX: &str = "dists/bookworm/main/binary-amd64/Packages.xz";

/// A cluster whose load balancers need one package, `app`, from mirrors of our own.
fn project(mirrors: &[&Mirror]) -> Sandbox {
    let sandbox = Sandbox::new();
    let fingerprint = &Key::shared().fingerprint;
    sandbox.write("key.asc", Key::shared().public());
    let source = format!(
        "debian: {{apt: {{layout: {{suite: {{suites: [bookworm], components: [main]}}}}, fingerprints: [{fingerprint}], keyPath: key.asc, mirrors: {{}}}}}}\n"
    );
    sandbox.write("catalog/sources.yaml", source);
    sandbox.write(
        "catalog/systems.yaml",
        "debian-12: {family: debian, codename: bookworm, sources: [debian], base: {priorities: [required], packages: []}}\n",
    );
    sandbox.write("catalog/components.yaml", "haproxy: {description: a test, packages: [{name: app}]}\n");
    let profile = "role: lb\ndescription: a test\ncomponents: [{name: haproxy}]\nlayers: [{name: base}]\nenable: []\n";
    sandbox.write("profiles/lb.yaml", profile);
    let names: Vec<String> = (0..mirrors.len()).map(|number| format!("mirror-{number}")).collect();
    let bases: String = names
        .iter()
        .zip(mirrors)
        .map(|(name, mirror)| format!("  {name}: {{debian: \"{}\"}}\n", mirror.url()))
        .collect();
    sandbox.write(
        "cluster.yaml",
        format!(
            "apiVersion: khimg/v1
endpoint: {{mode: dedicated, vip: 10.0.0.100, interface: eth0}}
mirrors: [{}]
mirrorDefinitions:
{bases}trust: {{debian: {{keys: [key.asc], fingerprints: [{fingerprint}]}}}}
nodes:
  - {{name: m1, role: master, address: 10.0.0.1/24}}
  - {{name: lb1, role: lb, address: 10.0.0.2/24}}
",
            names.join(", ")
        ),
    );
    sandbox
}

/// Builds with `bad` alone, which must end in `exit` and a message with `told`, and with `good` behind it, which must succeed.
fn judge(name: &str, bad: &Mirror, good: &Mirror, (exit, told): (i32, &str)) {
    let alone = project(&[bad]);
    let output = alone.khimg(["build", "--profile", "lb"]).output().expect("khimg");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{name}: {text}");
    assert!(text.contains(told), "{name}: {told:?} is not in\n{text}");
    assert!(!alone.path("dist").exists(), "{name}: something was delivered");
    let both = project(&[bad, good]);
    both.khimg(["build", "--profile", "lb"]).assert().success();
    both.khimg(["inspect"]).assert().success();
}

#[test]
fn of_transport() {
    let archive = Archive::suite(&STANZAS);
    let deb = "pool/main/app_1.0-1_amd64.deb";
    let table: [(&str, &str, Fault, (i32, &str)); 8] = [
        ("no package", deb, Fault::not_found(), (5, "404")),
        ("never available", deb, Fault::unavailable(), (5, "503")),
        ("truncated package", deb, Fault::truncated(), (5, "app")),
        ("package too long", deb, Fault::too_long(), (6, "app")),
        ("package of wrong bytes", deb, Fault::wrong_bytes(), (6, "sha256:")),
        ("endless redirect", deb, Fault::endless_redirect(), (5, "redirect")),
        ("truncated release file", "dists/bookworm/InRelease", Fault::truncated(), (5, "InRelease")),
        ("other bytes for the release file", "dists/bookworm/InRelease", Fault::instead("hello"), (6, "clear-signed")),
    ];
    for (name, path, fault, expected) in table {
        let (bad, good) = (Mirror::serving(archive.root()), Mirror::serving(archive.root()));
        bad.fault(path, fault);
        judge(name, &bad, &good, expected);
    }
}

#[test]
fn of_one_index_among_several() {
    let archive = Archive::suite(&STANZAS);
    for fault in [Fault::not_found(), Fault::wrong_bytes(), Fault::truncated()] {
        let mirror = Mirror::serving(archive.root());
        mirror.fault(INDEX, fault);
        // The same mirror has the same index in other compressions, each with its digest under the same signature.
        project(&[&mirror]).khimg(["build", "--profile", "lb"]).assert().success();
    }
}

#[test]
fn that_pass() {
    let archive = Archive::suite(&STANZAS);
    for fault in [Fault::unavailable_once(), Fault::dropped_midway()] {
        let mirror = Mirror::serving(archive.root());
        mirror.fault("pool/main/app_1.0-1_amd64.deb", fault);
        project(&[&mirror]).khimg(["build", "--profile", "lb"]).assert().success();
    }
}

#[test]
fn of_a_signed_index_whose_package_digest_is_wrong() {
    let (liar, honest) = (Archive::suite(&STANZAS), Archive::suite(&STANZAS));
    let index = liar.read("main/binary-amd64/Packages");
    let app = index.find("Package: app").expect("app");
    let digest = index[app..].find("SHA256: ").expect("a digest") + app + "SHA256: ".len();
    let mut lying = index.clone();
    lying.replace_range(digest..digest + 64, &"0".repeat(64));
    liar.replace_index(&lying);
    let (bad, good) = (Mirror::serving(liar.root()), Mirror::serving(honest.root()));
    let alone = project(&[&bad]);
    let output = alone.khimg(["build", "--profile", "lb"]).output().expect("khimg");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(text.contains("sha256:0000"), "{text}");
    assert!(!alone.path("dist").exists());
    // The lock believes the signature; bytes that answer it exist nowhere, so no mirror can help, and nothing is delivered.
    let both = project(&[&bad, &good]);
    both.khimg(["build", "--profile", "lb"]).assert().code(6);
    assert!(!both.path("dist").exists());
    // Without the liar in front the same project builds.
    project(&[&good, &bad]).khimg(["build", "--profile", "lb"]).assert().success();
}

#[test]
fn of_metadata() {
    use crate::apt::archive::{dated, with_field};
    let honest = Archive::suite(&STANZAS);
    let good = Mirror::serving(honest.root());
    let changed = |change: &dyn Fn(&Archive)| {
        let archive = Archive::suite(&STANZAS);
        change(&archive);
        archive
    };
    let table: [(&str, Archive, &str); 5] = [
        (
            "expired",
            changed(&|archive| {
                archive.sign(Key::shared(), |r| with_field(&r, "Valid-Until", "Sat, 01 Jan 2022 00:00:00 UTC"))
            }),
            "was valid until",
        ),
        ("from the future", changed(&|archive| archive.sign(Key::shared(), |r| dated(&r, 7 * 86400))), "future"),
        ("signed by a stranger", changed(&|archive| archive.sign(Key::other(), |r| r)), "sign"),
        (
            "not signed",
            changed(&|archive| {
                archive.remove("InRelease");
                archive.remove("Release.gpg");
            }),
            "sign",
        ),
        (
            "changed after signing",
            changed(&|archive| {
                let text = archive.read("InRelease").replace("Codename: bookworm", "Codename:  bookworm");
                archive.write("InRelease", &text);
                archive.remove("Release.gpg");
            }),
            "sign",
        ),
    ];
    for (name, archive, told) in table {
        judge(name, &Mirror::serving(archive.root()), &good, (6, told));
    }
}
