//! Closures, compared with dnf: the same packages and versions, or an error on both sides.

use std::collections::BTreeMap;

use khimg::catalog::YumSigned;
use khimg::exit::{Exit, Explain};
use khimg::lock::Package;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::tree::{Dnf, Rpm, Rpms, Tree};
use super::{bench, resolve, told};
use crate::apt::archive::Key;
use crate::support::mirror::Mirror;

/// Everything that a dependency can be.
const PACKAGES: &[Rpm<'_>] = &[
    ("base", "1-1", "Provides: /bin/sh\nRequires: libbase >= 1\nfile: /usr/bin/base"),
    ("libbase", "1-1", "Provides: libbase.so.1()(64bit)"),
    (
        "app",
        "1-1",
        "Requires: /bin/sh\nRequires: lib >= 1\nRequires: lib < 3\nRequires(pre): tool\nRequires: rpmlib(CompressedFileNames) <= 3.0.4-1",
    ),
    ("lib", "1-1", ""),
    ("lib", "2-1", ""),
    ("lib", "2-2", "Requires: libbase.so.1()(64bit)"),
    ("lib", "3-1", ""),
    ("tool", "1:0.9-1", "arch: noarch\nfile: /usr/bin/tool\nfile: /usr/share/tool/data"),
    ("tool", "2-1", "arch: noarch"),
    ("by-program", "1-1", "Requires: /usr/bin/tool"),
    ("by-file", "1-1", "Requires: /usr/share/data/file"),
    ("data", "1-1", "arch: noarch\nfile: /usr/share/data/file\nRequires: /usr/share/more/file"),
    ("more", "1-1", "arch: noarch\nfile: /usr/share/more/file"),
    ("no-file", "1-1", "Requires: /usr/share/nowhere"),
    ("mta-b", "1-1", "Provides: mta = 2"),
    ("mta-a", "1-1", "Provides: mta = 1"),
    ("mail", "1-1", "Requires: mta"),
    ("mail-2", "1-1", "Requires: mta >= 2"),
    ("mail-both", "1-1", "Requires: mta\nRequires: mta-b"),
    ("old", "1-1", "Provides: thing"),
    ("new", "1-1", "Provides: thing\nObsoletes: old < 2"),
    ("wants-thing", "1-1", "Requires: thing"),
    ("enemy", "1-1", "Conflicts: mta-a"),
    ("mail-enemy", "1-1", "Requires: mta\nRequires: enemy"),
    ("kubelet", "1-1", "Requires: cni = 0.7.5"),
    ("kubeadm", "1-1", "Requires: kubelet >= 1\nRequires: cni >= 0.7"),
    ("cni", "0.7.5-0", ""),
    ("cni", "0.8.7-0", ""),
    ("rich-or", "1-1", "Requires: (absent or mta-b)"),
    ("rich-if", "1-1", "Requires: (lang-pack if langs)"),
    ("rich-if-langs", "1-1", "Requires: rich-if\nRequires: langs"),
    ("rich-if-else", "1-1", "Requires: (lang-pack if langs else more)"),
    ("rich-and", "1-1", "Requires: (lang-pack and langs)"),
    ("rich-with", "1-1", "Requires: (mta with mta >= 2)"),
    ("rich-without", "1-1", "Requires: (mta without mta-a)"),
    ("langs", "1-1", ""),
    ("lang-pack", "1-1", ""),
    ("circle-a", "1-1", "Requires: circle-b"),
    ("circle-b", "1-1", "Requires: circle-a"),
    ("any-version", "1-1", "Requires: unversioned >= 5"),
    ("unversioning", "1-1", "Provides: unversioned"),
    ("needs-newer-base", "1-1", "Requires: libbase >= 2"),
    ("impossible", "1-1", "Requires: absent"),
    ("against-base", "1-1", "Conflicts: libbase"),
    ("instead-of-base", "1-1", "Obsoletes: libbase < 9"),
    ("two-kinds", "1-1", "Requires: mta-a\nRequires: enemy"),
    ("deep", "1-1", "Requires: deeper"),
    ("deeper", "1-1", "Requires: lib = 9"),
    ("deeper", "0-1", "Requires: lib = 1"),
];

/// Asked for one after the other; `Err` where the base system would have to change, which dnf would do and khimg never does.
const ASKED: &[(&str, Result<(), &str>)] = &[
    ("app", Ok(())),
    ("by-program", Ok(())),
    ("by-file", Ok(())),
    ("no-file", Err("nothing offers /usr/share/nowhere")),
    ("mail", Ok(())),
    ("mail-2", Ok(())),
    ("mail-both", Ok(())),
    ("wants-thing", Ok(())),
    ("mail-enemy", Ok(())),
    ("kubeadm", Ok(())),
    ("rich-or", Ok(())),
    ("rich-if", Ok(())),
    ("rich-if-langs", Ok(())),
    ("rich-if-else", Ok(())),
    ("rich-and", Ok(())),
    ("rich-with", Ok(())),
    ("rich-without", Ok(())),
    ("circle-a", Ok(())),
    ("any-version", Ok(())),
    ("deep", Ok(())),
    ("needs-newer-base", Err("libbase >= 2 is not offered, only 1-1")),
    ("impossible", Err("impossible needs absent, which cannot be had: nothing offers absent")),
    ("against-base", Err("conflicts with libbase in the base system")),
    ("instead-of-base", Err("conflicts with libbase in the base system")),
    ("two-kinds", Err("conflicts with")),
];

fn by_name(packages: &[Package]) -> BTreeMap<String, String> {
    packages.iter().map(|package| (package.name.clone(), package.version.clone())).collect()
}

#[test]
fn equals_dnf() {
    let rpms = Rpms::build(PACKAGES);
    let tree = Tree::new();
    tree.repository("os", &rpms.files(), &[]);
    tree.sign("os", Key::shared());
    let mirror = Mirror::serving(tree.root());
    let bench = bench(&["os"], YumSigned::Metadata, &["base"], &[("first", mirror.url())]);
    let of_base = |name: &str| rpms.files().into_iter().find(|path| path.ends_with(name)).expect("built");
    let installed = [of_base("base-1-1.x86_64.rpm"), of_base("libbase-1-1.x86_64.rpm")];
    let dnf = Dnf::new(vec![format!("{}/os", mirror.url())], &installed);
    let together: Vec<&str> =
        ASKED.iter().filter(|(name, result)| result.is_ok() && *name != "mail-enemy").map(|(name, _)| *name).collect();
    let lists: Vec<Vec<&str>> = ASKED.iter().map(|(name, _)| vec![*name]).chain([together.clone()]).collect();
    let mut theirs = dnf.would_install(&lists);
    let all_theirs = theirs.pop().expect("an answer").expect("all at once");
    for ((name, expected), theirs) in ASKED.iter().zip(theirs) {
        match (resolve(&bench, &[(name, None)]), theirs, expected) {
            (Ok(ours), Ok(theirs), Ok(())) => {
                assert_eq!(by_name(&ours.packages), theirs, "{name}");
                for member in &ours.packages {
                    let chain = &member.why[0].chain;
                    assert_eq!((chain[0].as_str(), chain.last()), (*name, Some(&member.name)), "no explanation");
                }
            }
            (Err(error), theirs, Err(said)) => {
                assert!(told(&error).contains(said), "{name}: {}", told(&error));
                assert_eq!(error.exit(), Exit::Unsupported, "{name}");
                let may_replace = *name == "instead-of-base";
                assert!(theirs.is_err() || may_replace, "{name}: dnf would install {theirs:?}");
            }
            (ours, theirs, _) => panic!("{name}: {:?}\n{theirs:?}", ours.map(|ours| by_name(&ours.packages))),
        }
    }
    let asked: Vec<_> = together.iter().map(|name| (*name, None)).collect();
    let ours = resolve(&bench, &asked).unwrap_or_else(|error| panic!("{}", told(&error)));
    assert_eq!(by_name(&ours.packages), all_theirs);

    // And what dnf's command line says of one without a choice: everything below it.
    let query = ["repoquery", "--requires", "--resolve", "--recursive", "--qf", "%{name}", "by-file"];
    let mut said: Vec<String> = dnf.query(&query).lines().map(str::to_owned).collect();
    said.push("by-file".to_owned());
    said.sort();
    let ours = resolve(&bench, &[("by-file", None)]).expect("resolved");
    assert_eq!(ours.packages.iter().map(|package| package.name.clone()).collect::<Vec<_>>(), said);
}

/// Two streams of a module beside plain packages, as in CentOS Stream 8.
#[test]
fn equals_dnf_with_modules() {
    let rpms = Rpms::build(&[
        ("runc", "1:1.1-1.module", "Provides: oci-runtime = 2\nModularityLabel: tools:stable:1:a"),
        ("runc", "1:1.9-1.module", "Provides: oci-runtime = 2\nModularityLabel: tools:next:1:a"),
        ("runc", "1:5.0-1", "Provides: oci-runtime = 2"),
        ("crun", "1-1.module", "Provides: oci-runtime = 1\nModularityLabel: tools:next:1:a"),
        ("podman", "4-1", "Requires: oci-runtime"),
        ("plain", "1-1", "Requires: runc"),
        ("wants-next", "1-1", "Requires: runc = 1:1.9"),
    ]);
    let tree = Tree::new();
    tree.repository("os", &rpms.files(), &[]);
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let streams = [
        ("stable", owned(&["runc-1:1.1-1.module.x86_64"])),
        ("next", owned(&["runc-1:1.9-1.module.x86_64", "crun-0:1-1.module.x86_64"])),
    ];
    tree.modules("os", "tools", "stable", &streams);
    tree.sign("os", Key::shared());
    let mirror = Mirror::serving(tree.root());
    let bench = bench(&["os"], YumSigned::Metadata, &[], &[("first", mirror.url())]);
    let theirs = Dnf::new(vec![format!("{}/os", mirror.url())], &[]).would_install(&[
        vec!["podman"],
        vec!["plain"],
        vec!["wants-next"],
    ]);
    for (name, theirs) in ["podman", "plain"].into_iter().zip(&theirs) {
        let ours = resolve(&bench, &[(name, None)]).unwrap_or_else(|error| panic!("{}", told(&error)));
        assert_eq!(Ok(&by_name(&ours.packages)), theirs.as_ref(), "{name}");
        assert_eq!(by_name(&ours.packages)["runc"], "1:1.1-1.module", "{name}");
    }
    assert!(resolve(&bench, &[("wants-next", None)]).is_err() && theirs[2].is_err(), "{:?}", theirs[2]);
}

/// A hundred packages that need and provide each other at random, the same ones each time.
#[test]
fn equals_dnf_at_random() {
    const COUNT: usize = 100;
    let mut runner = TestRunner::deterministic();
    let mut pick = |below: usize| (0..below).new_tree(&mut runner).expect("a number").current();
    let mut packages: Vec<(String, String, String)> = Vec::new();
    for number in 0..COUNT {
        let mut lines = String::new();
        for _ in 0..pick(3) {
            let other = pick(COUNT);
            lines += &match pick(8) {
                0 => format!("Requires: p{other} >= {}\n", 1 + pick(2)),
                1 => format!("Requires: /usr/bin/p{other}\n"),
                2 => format!("Requires: cap{}\n", pick(40)),
                3 => format!("Requires: (p{other} or cap{})\n", pick(40)),
                4 => format!("Requires: (p{other} if p{})\n", pick(COUNT)),
                _ => format!("Requires: p{other}\n"),
            };
        }
        lines += &format!("Provides: cap{} = {}\nfile: /usr/bin/p{number}\n", pick(40), 1 + pick(3));
        if pick(20) == 0 {
            lines += &format!("Conflicts: p{}\n", pick(COUNT));
        }
        for version in 1..=1 + pick(2) {
            packages.push((format!("p{number}"), format!("{version}-1"), lines.clone()));
        }
    }
    let packages: Vec<Rpm<'_>> = packages.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
    let rpms = Rpms::build(&packages);
    let tree = Tree::new();
    tree.repository("os", &rpms.files(), &[]);
    tree.sign("os", Key::shared());
    let mirror = Mirror::serving(tree.root());
    let bench = bench(&["os"], YumSigned::Metadata, &[], &[("first", mirror.url())]);
    let names: Vec<String> = (0..COUNT).map(|number| format!("p{number}")).collect();
    let lists: Vec<Vec<&str>> = names.iter().map(|name| vec![name.as_str()]).collect();
    let theirs = Dnf::new(vec![format!("{}/os", mirror.url())], &[]).would_install(&lists);
    let (mut sets, mut errors) = (0, 0);
    for (name, theirs) in names.iter().zip(theirs) {
        match (resolve(&bench, &[(name, None)]), theirs) {
            (Ok(ours), Ok(theirs)) => {
                assert_eq!(by_name(&ours.packages), theirs, "{name}");
                sets += 1;
            }
            (Err(error), Err(_)) => {
                assert_eq!(error.exit(), Exit::Unsupported, "{name}: {}", told(&error));
                errors += 1;
            }
            (ours, theirs) => {
                let ours = ours.map(|ours| by_name(&ours.packages)).map_err(|error| told(&error));
                panic!("{name}: {ours:?}\n{theirs:?}");
            }
        }
    }
    println!("{sets} sets, {errors} errors");
    assert!(sets > 50 && errors > 2, "too little was compared");
}
