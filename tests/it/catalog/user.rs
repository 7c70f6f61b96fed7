//! A catalogue and profiles of the user's, good and bad.

use std::fs;
use std::path::Path;

use khimg::catalog::{self, Catalog, Source};
use khimg::cluster::Role;
use khimg::config::Problems;
use khimg::exit::{Exit, Explain};
use khimg::profile;
use tempfile::TempDir;

use super::built_in;

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().expect("writable");
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("has a parent")).expect("writable");
        fs::write(path, text).expect("writable");
    }
    directory
}

fn load(files: &[(&str, &str)]) -> Result<Catalog, Problems> {
    catalog::load(Some(directory(files).path()))
}

#[test]
fn adds_and_replaces_entries() {
    let digest = "ab".repeat(32);
    let own = load(&[
        ("sources.yaml", "docker-ce: {apt: {layout: {flat: {}}, fingerprints: [9DC858229FC7DD38854AE2D88D81803C0EBFCD88], keys: [own.asc], mirrors: {lan: http://lan/}}}\nlan: {file: {mirrors: {lan: http://lan/}}}\n"),
        ("digests.txt", &format!("kubeadm 1.20.2 amd64 {digest}\nown 1.0 arm64 {digest}\n")),
        ("kubernetes.yaml", "- {from: 1.40.0, etcd: 3.7.0-0, coredns: v1.15.0, pause: 3.11}\n"),
        ("limits.yaml", "[]\n"),
        ("keys/own.asc", "a key"),
        ("README.md", "notes"),
    ])
    .unwrap_or_else(|problems| panic!("{problems}"));
    let shipped = built_in();
    assert_eq!(own.sources.len(), shipped.sources.len() + 1);
    assert!(matches!(&own.sources["docker-ce"], Source::Apt(apt) if apt.keys == ["own.asc"]));
    assert_eq!(own.keys["own.asc"], b"a key");
    assert_eq!(own.keys.len(), shipped.keys.len() + 1);
    let amd64 = khimg::arch::Arch::Amd64;
    assert_eq!(own.digests["kubeadm"][&amd64]["1.20.2"].hex(), digest);
    assert_eq!(own.digests["kubeadm"][&amd64]["1.20.1"], shipped.digests["kubeadm"][&amd64]["1.20.1"]);
    assert_eq!(own.kubernetes.0.len(), 1);
    // A number that stands where a text is wanted is the text that was written.
    assert_eq!(own.kubernetes.0[0].pause, "3.11");
    assert_eq!(own.limits, []);
    assert_eq!(own.components, shipped.components);
}

/// Everything that is wrong is told at once, each with its place.
#[test]
fn tells_every_flaw() {
    let problems = load(&[
        (
            "sources.yaml",
            "a: {apt: {layout: {flat: {}}, fingerprints: [abc], keys: [none.asc], mirrors: {x: 'http://x/{minr}', y: ftp://y}}}\n\
             b: {apt: {layout: {suite: {suites: ['{codname}'], components: [main]}}, fingerprints: [], mirrors: {}}}\n\
             c: {file: {mirrors: {system: system}}}\n\
             d: {registry: {mirrors: {x: x}, renames: {y: {a: b}}}}\n",
        ),
        (
            "components.yaml",
            "a:\n  description: x\n  packages:\n    - {name: p, sources: [debain, github], version: '{version}', when: {runtim: x}}\n\
             \x20 files:\n    - {name: tool, version: '1', source: a, path: '{verson}', install: {program: /usr/bin/tool}}\n\
             \x20 images:\n    - {source: github, repository: r, tag: '{pouse}', name: n, when: {kubernetes: '1.20.1'}}\n\
             b:\n  description: x\n  offers: [{source: file, version: '1', when: {source.kubernetes: file}}]\n  packages: [{name: p, when: {source.b: package, source.a: file}}]\n",
        ),
        ("systems.yaml", "debian-99: {family: debian, codename: forky, sources: [github, nope], base: {priorities: [], packages: []}}\n"),
        ("kubernetes.yaml", "- {from: '1.20', etcd: a, coredns: b, pause: c}\n- {from: 1.20.1, etcd: a, coredns: b, pause: c}\n- {from: 1.20.1, etcd: a, coredns: b, pause: c}\n"),
        ("limits.yaml", "- {when: {os: debian-98}, reason: x, remedy: y}\n"),
    ])
    .expect_err("all of it is wrong");
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| {
            let (line, _) = problem.position().expect("has a place");
            let file = Path::new(problem.file().expect("has a file")).file_name().expect("has a name");
            format!("{}:{line}: {}", file.display(), problem.message())
        })
        .collect();
    let expected = [
        "components.yaml:4: there is no source \"debain\"",
        "components.yaml:4: the source \"github\" is no package repository",
        "components.yaml:4: \"{version}\" uses the unknown variable {version}",
        "components.yaml:4: \"runtim\" is no fact that a condition can ask for",
        "components.yaml:6: nothing would prove tool: it has no line in digests.txt and no `checksums`",
        "components.yaml:6: the source \"a\" is no source of plain files",
        "components.yaml:6: \"{verson}\" uses the unknown variable {verson}",
        "components.yaml:8: the source \"github\" is no container registry",
        "components.yaml:8: \"{pouse}\" uses the unknown variable {pouse}",
        "components.yaml:8: \"1.20.1\" is not a range of Kubernetes minor versions such as \">=1.24, <1.29\"",
        "components.yaml:11: an offer may not depend on `source.kubernetes`",
        "components.yaml:12: `source.b` is never \"package\"",
        "components.yaml:12: `source.a` is never \"file\"",
        "kubernetes.yaml:1: \"1.20\" is not a Kubernetes version such as \"1.34.2\" or \"1.34\"",
        "kubernetes.yaml:3: 1.20.1 has two rows, the 2. and the 3.",
        "limits.yaml:1: `os` is never \"debian-98\"",
        "sources.yaml:1: \"abc\" is not a full fingerprint",
        "sources.yaml:1: there is no key file keys/none.asc",
        "sources.yaml:1: \"http://x/{minr}\" uses the unknown variable {minr}",
        "sources.yaml:1: \"ftp://y\" is not a URL",
        "sources.yaml:2: the repository has neither `keys` nor a `keyPath`",
        "sources.yaml:2: \"{codname}\" uses the unknown variable {codname}",
        "sources.yaml:2: nobody may sign this repository",
        "sources.yaml:3: only a Debian package repository can come from this machine's apt",
        "sources.yaml:4: there is no mirror \"y\"",
        "systems.yaml:1: the source \"github\" is no Debian package repository",
        "systems.yaml:1: there is no source \"nope\"",
    ];
    assert_eq!(lines, expected);
    assert!(problems.iter().all(|problem| problem.help().is_some()), "each has a remedy");
    assert_eq!(problems.exit(), Exit::BadInput);
}

#[test]
fn tells_unreadable_files() {
    let table = [
        (load(&[("source.yaml", "{}")]), "nothing reads", Exit::BadInput),
        (load(&[("sources.yaml", "a: {zypper: {}}\n")]), "zypper", Exit::BadInput),
        (load(&[("sources.yaml", "a: [\n")]), "sources.yaml", Exit::BadInput),
        (
            load(&[("digests.txt", "\nkubeadm 1.20.2 amd64 12\n")]),
            "digests.txt:2: the fourth word is not 64 lower-case hex digits",
            Exit::BadInput,
        ),
        (load(&[("keys/big", &"x".repeat(300_000))]), "it has more than 262144 bytes", Exit::BadInput),
        (catalog::load(Some(Path::new("/does/not/exist"))), "cannot read /does/not/exist", Exit::LocalIo),
    ];
    for (result, part, exit) in table {
        let problems = result.expect_err(part);
        assert!(problems.to_string().contains(part), "{problems}");
        assert_eq!(problems.exit(), exit, "{problems}");
    }
}

#[test]
fn profiles_are_replaced_file_by_file() {
    let catalog = built_in();
    let own = directory(&[(
        "lb.yaml",
        "role: lb\ndescription: mine\ncomponents: [{name: haproxy}]\nlayers: []\nenable: []\n",
    )]);
    let profiles = profile::load(Some(own.path()), &catalog).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(profiles[&Role::Lb].components.len(), 1);
    assert!(profiles[&Role::Master].components.len() > 1);
}

#[test]
fn profiles_tell_every_flaw() {
    let text = "role: lb\ndescription: x\ncomponents:\n  - {name: haproxxy}\n  - {name: base, when: {source.etcd: snap}}\n  - name: base\n\
                layers:\n  - {name: base, when: {colour: red}}\nenable: []\n";
    let own = directory(&[("master.yaml", text), ("maste.yaml", "")]);
    let problems = profile::load(Some(own.path()), &built_in()).expect_err("all of it is wrong");
    let messages: Vec<_> =
        problems.iter().map(|problem| problem.message().replace(own.path().to_str().expect("UTF-8"), "")).collect();
    let expected = [
        "nothing reads /maste.yaml",
        "the file of the role master says that it is for lb",
        "the catalogue has no component \"haproxxy\"",
        "`source.etcd` is never \"snap\"",
        "\"base\" is in `components` twice",
        "\"colour\" is no fact that a condition can ask for",
    ];
    assert_eq!(messages, expected);
}
