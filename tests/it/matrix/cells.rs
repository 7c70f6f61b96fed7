//! All cells: each either renders or is refused with a reason and a remedy.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use khimg::digest::Digest;
use khimg::exit::{Exit, Explain};
use khimg::render::Rendered;
use khimg::render::tree::Tree;
use khimg::secrets::Secrets;

use super::fixture::{BuiltIn, Cell};

const MINORS: std::ops::RangeInclusive<u16> = 14..=36;

/// A combination that rendered.
pub struct Good {
    pub cell: Cell,
    pub rendered: Rendered,
}

/// Those that render, and what is said against the others.
type Judged = (Vec<Good>, Vec<(Cell, String)>);

/// All combinations on Debian 12, and on CentOS 7 those that are too old for it.
pub fn all() -> &'static Judged {
    static ALL: OnceLock<Judged> = OnceLock::new();
    ALL.get_or_init(|| {
        let (built_in, secrets) = (BuiltIn::new(), Secrets::stand_in());
        let (mut good, mut refused) = (Vec::new(), Vec::new());
        for cell in cells("debian-12").chain(cells("centos-7").filter(|cell| cell.minor < 19)) {
            match built_in.cluster(&cell.file()) {
                Ok(cluster) => good.push(Good { rendered: built_in.render(&cluster, &secrets).0, cell }),
                Err(problems) => {
                    for problem in problems.iter() {
                        assert_eq!(problem.exit(), Exit::Unsupported, "{cell:?}: {problems}");
                        assert!(problem.help().is_some(), "{cell:?}: no remedy: {problems}");
                    }
                    refused.push((cell, problems.to_string()));
                }
            }
        }
        (good, refused)
    })
}

/// All combinations on one operating system.
pub fn cells(os: &'static str) -> impl Iterator<Item = Cell> {
    MINORS.flat_map(move |minor| {
        ["containerd", "docker"].into_iter().flat_map(move |runtime| {
            ["stacked", "vip-only", "dedicated", "single-lb", "external"].into_iter().flat_map(move |endpoint| {
                ["stacked", "external"].map(|etcd| Cell { runtime, endpoint, etcd, ..Cell::plain(minor, os) })
            })
        })
    })
}

/// The files of every node whose path is `wanted`, each set of contents once: one node that has it, and how often it occurs.
pub fn distinct(wanted: impl Fn(&str) -> bool) -> Vec<(&'static Good, String, usize)> {
    let mut found: BTreeMap<Digest, (&Good, String, usize)> = BTreeMap::new();
    for good in &all().0 {
        for node in &good.rendered.nodes {
            let files = good.rendered.all_files(&node.name).expect("a node");
            if let Some(digest) = digest(&files, &wanted) {
                found.entry(digest).or_insert((good, node.name.clone(), 0)).2 += 1;
            }
        }
    }
    found.into_values().collect()
}

fn digest(files: &Tree, wanted: &impl Fn(&str) -> bool) -> Option<Digest> {
    let mut all = Vec::new();
    for (path, entry) in files.iter().filter(|(path, _)| wanted(path.as_str())) {
        all.extend_from_slice(path.as_str().as_bytes());
        all.extend_from_slice(entry.bytes().expect("a regular file"));
    }
    (!all.is_empty()).then(|| Digest::of(&all))
}

/// What Debian 12 cannot run, and nothing else, is refused; every version renders somewhere.
#[test]
fn every_cell_renders_or_is_refused_with_a_reason() {
    let (good, refused) = all();
    assert_eq!((good.len(), refused.len()), (23 * 2 * 5 * 2, 5 * 2 * 5 * 2), "1.14 to 1.18 only on CentOS 7");
    for (cell, said) in refused {
        let expected = cell.os == "debian-12" && cell.minor < 19 && said.contains("does not understand cgroup v2");
        assert!(expected, "{cell:?}: {said}");
    }
    for Good { cell, rendered } in good {
        let nodes =
            4 + match cell.endpoint {
                "dedicated" => 3,
                "single-lb" => 1,
                _ => 0,
            } + if cell.etcd == "external" { 3 } else { 0 };
        assert_eq!(rendered.nodes.len(), nodes, "{cell:?}");
    }
}

/// Every operating system on both architectures, with each minor and runtime: what its cgroups cannot run, and nothing else, is refused.
#[test]
fn every_system_runs_what_its_cgroups_allow() {
    let (built_in, secrets) = (BuiltIn::new(), Secrets::stand_in());
    let systems = BTreeMap::from([
        ("debian-12", 19..=36),
        ("debian-13", 19..=36),
        ("ubuntu-22.04", 19..=36),
        ("ubuntu-24.04", 19..=36),
        ("rocky-9", 19..=36),
        ("centos-7", 14..=34),
        ("centos-stream-8", 14..=34),
        ("openeuler-22.03", 14..=34),
    ]);
    assert!(systems.keys().eq(built_in.catalog.systems.keys()), "{:?}", built_in.catalog.systems.keys());
    for (os, minors) in systems {
        for cell in cells(os).filter(|cell| (cell.endpoint, cell.etcd) == ("stacked", "stacked")) {
            // A worker of the other architecture.
            let text = cell.file().replace(".21/24,", ".21/24, target: {arch: arm64},");
            match built_in.cluster(&text) {
                Ok(cluster) => {
                    assert!(minors.contains(&cell.minor), "{cell:?} is not refused");
                    // Every tenth, because it takes its time: the rest follows from the minor and the system alone.
                    if cell.minor.is_multiple_of(5) {
                        assert_eq!(built_in.render(&cluster, &secrets).0.roles.len(), 2, "{cell:?}");
                    }
                }
                Err(problems) => {
                    assert!(!minors.contains(&cell.minor), "{cell:?}: {problems}");
                    assert_eq!(problems.exit(), Exit::Unsupported, "{cell:?}: {problems}");
                    assert!(problems.to_string().contains("cgroup v"), "{cell:?}: {problems}");
                }
            }
        }
    }
}

/// Who carries haproxy, keepalived, etcd and the runtime follows from the modes alone.
#[test]
fn each_mode_has_its_services_where_they_belong() {
    for Good { cell, rendered } in &all().0 {
        for role in &rendered.roles {
            let (name, has) = (role.role.name(), |unit: &str| role.enable.iter().any(|found| found == unit));
            let carries = match cell.endpoint {
                "stacked" => (name == "master", name == "master"),
                "vip-only" => (false, name == "master"),
                "dedicated" => (name == "lb", name == "lb"),
                "single-lb" => (name == "lb", false),
                _ => (false, false),
            };
            assert_eq!((has("haproxy.service"), has("keepalived.service")), carries, "{cell:?} {name}");
            assert_eq!(has("etcd.service"), name == "etcd", "{cell:?} {name}");
            let pods = ["master", "worker"].contains(&name);
            assert_eq!(has("containerd.service"), pods && cell.runtime == "containerd", "{cell:?} {name}");
            assert_eq!(has("docker.service"), pods && cell.runtime == "docker", "{cell:?} {name}");
            let shim = pods && cell.runtime == "docker" && cell.minor >= 24;
            assert_eq!(has("cri-docker.service"), shim, "{cell:?} {name}");
        }
    }
}

/// The image that starts every pod is the same in the runtime's settings and in the bundle.
#[test]
fn the_sandbox_is_the_one_that_is_carried() {
    let catalog = BuiltIn::new().catalog;
    for Good { cell, rendered } in &all().0 {
        let patch = catalog.digests["kubeadm"][&khimg::arch::Arch::Amd64]
            .keys()
            .filter_map(|version| version.parse::<khimg::kubernetes::KubernetesVersion>().ok())
            .filter(|version| version.minor == cell.minor)
            .max()
            .expect("a patch");
        let pause = format!("registry.k8s.io/pause:{}", catalog.kubernetes.images(patch).expect("known").pause);
        let files = rendered.all_files("worker-1").expect("a node");
        let text = |path: &str| {
            files.get(path).map(|file| String::from_utf8_lossy(file.bytes().expect("a file")).into_owned())
        };
        let place = match cell.runtime {
            "containerd" => "/etc/containerd/config.toml",
            _ if cell.minor >= 24 => "/usr/lib/systemd/system/cri-docker.service",
            _ => "/etc/khimg/kubeadm-join.yaml",
        };
        assert!(text(place).is_some_and(|text| text.contains(&pause)), "{cell:?}: {pause} in {place}");
        let join = text("/etc/khimg/kubeadm-join.yaml").expect("a file");
        let argument = join.contains("pod-infra-container-image");
        assert_eq!(argument, cell.runtime == "docker" && cell.minor < 24, "{cell:?}: {join}");
    }
}
