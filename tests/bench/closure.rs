//! Resolution of the load balancer's packages with their closure against `apt-get install -s` of the same packages: the same
//! lists, read from this disk, the same base system, and the same result.
//!
//! khimg checks the signatures of the lists each time, which apt did when it fetched them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use khimg::lock;
use khimg::mirrors::SystemEntry;
use khimg::resolve::apt::system;
use tempfile::TempDir;

use crate::figure::{Figure, median};
use crate::program::{khimg, run};
use crate::support::base::base;
use crate::support::sandbox::Sandbox;

const ROUNDS: usize = 9;
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const SUITES: [&str; 3] = ["bookworm", "bookworm-updates", "bookworm-security"];
const SYSTEMS: &str = include_str!("../../profiles/catalog/systems.yaml");
const LOCK: [&str; 3] = ["lock", "--profile", "lb"];

pub fn measure() -> Vec<Figure> {
    let apt = Apt::new();
    let sandbox = Sandbox::new();
    sandbox.write("cluster.yaml", cluster(&apt.mirror()));
    // mmdebstrap takes the other way to a merged /usr, so this base has Perl; both sides must start from the same.
    sandbox.write("catalog/systems.yaml", SYSTEMS.replace("      - usr-is-merged\n", ""));
    let cold_khimg = |_| {
        forget(&sandbox);
        run(&mut khimg(&sandbox, &LOCK))
    };
    cold_khimg(0);
    let lock = lock::read(&sandbox.path("khimg.lock")).expect("a lock");
    let roots: BTreeSet<&str> =
        lock.packages.iter().flat_map(|package| &package.why).map(|why| why.chain[0].as_str()).collect();
    let ours: BTreeSet<String> = lock.packages.iter().map(|package| package.name.clone()).collect();
    assert_eq!(ours, apt.would_install(&roots), "not the same work");

    let (mut warm, mut cold) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for round in 0..ROUNDS {
        cold.0.push(cold_khimg(round));
        cold.1.push(apt.cold(&roots));
        fs::remove_file(sandbox.path("khimg.lock")).expect("a lock");
        warm.0.push(run(&mut khimg(&sandbox, &LOCK)));
        warm.1.push(apt.simulate(&roots));
    }
    let what = |caches: &str| format!("{} packages resolved, {caches}: apt-get install -s", ours.len());
    vec![
        Figure::times(what("warm caches"), median(warm.0), median(warm.1), 1.0 / 3.0),
        Figure::times(what("no caches"), median(cold.0), median(cold.1), None),
    ]
}

fn forget(sandbox: &Sandbox) {
    // The first time there is nothing.
    let _ = fs::remove_dir_all(sandbox.store());
    let _ = fs::remove_file(sandbox.path("khimg.lock"));
}

fn cluster(mirror: &str) -> String {
    format!(
        "apiVersion: khimg/v1
kubernetes: 1.34.2
endpoint: {{mode: dedicated, vip: 10.0.0.100, interface: eth0}}
mirrors: [disk]
mirrorDefinitions:
  disk: {{debian: {mirror}/debian, debian-security: {mirror}/debian-security}}
nodes:
  - {{name: m1, role: master, address: 10.0.0.1/24}}
  - {{name: lb1, role: lb, address: 10.0.0.2/24}}
"
    )
}

/// apt with a state of its own: the lists of the system's mirror, and the base system as all that is installed.
struct Apt {
    directory: TempDir,
}

impl Apt {
    fn new() -> Self {
        let apt = Self { directory: tempfile::tempdir().expect("a directory") };
        let root = apt.directory.path();
        for below in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(root.join(below)).expect("a directory");
        }
        let entries: Vec<SystemEntry> = system::entries(Path::new("/"))
            .expect("an apt configuration")
            .into_iter()
            .filter(|entry| SUITES.contains(&entry.suite.as_str()) && entry.uri.as_str().contains("debian"))
            .collect();
        let line = |entry: &SystemEntry| format!("deb [signed-by={KEYRING}] {} {} main\n", entry.uri, entry.suite);
        fs::write(root.join("sources.list"), entries.iter().map(line).collect::<String>()).expect("a file");
        let archive = Command::new("tar").arg("-xOf").arg(&base().archive).arg("./var/lib/dpkg/status").output();
        fs::write(root.join("status"), archive.expect("tar").stdout).expect("a file");
        // Not compressed: apt's own default, and the form that a mirror has as well.
        run(apt.apt().args(["-o", "Acquire::GzipIndexes=false", "update"]));
        apt.lay_out();
        apt
    }

    /// Puts what apt fetched where a mirror has it.
    fn lay_out(&self) {
        let root = self.directory.path();
        for suite in SUITES {
            let archive = if suite.ends_with("security") { "debian-security" } else { "debian" };
            let to = root.join(archive).join("dists").join(suite);
            fs::create_dir_all(to.join("main/binary-amd64")).expect("a directory");
            let lists = fs::read_dir(root.join("lists")).expect("lists").filter_map(Result::ok);
            for list in lists.map(|entry| entry.path()) {
                // `<host>_<path>_dists_<suite>_main_binary-amd64_Packages`
                let name = list.to_string_lossy().into_owned();
                let Some((_, name)) = name.split_once(&format!("_dists_{suite}_")) else { continue };
                fs::copy(&list, to.join(name.replacen("main_binary-amd64_", "main/binary-amd64/", 1))).expect("copied");
            }
        }
    }

    fn mirror(&self) -> String {
        format!("file://{}", self.directory.path().display())
    }

    fn apt(&self) -> Command {
        let mut command = Command::new("apt-get");
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        for (key, value) in [
            ("Dir::State", path("")),
            ("Dir::State::lists", path("lists")),
            ("Dir::State::status", path("status")),
            ("Dir::Cache", path("cache")),
            // Which containers often switch off.
            ("Dir::Cache::pkgcache", "pkgcache.bin".to_owned()),
            ("Dir::Cache::srcpkgcache", "srcpkgcache.bin".to_owned()),
            ("Dir::Etc::SourceList", path("sources.list")),
            ("Dir::Etc::SourceParts", "-".to_owned()),
            ("Dir::Etc::Preferences", "-".to_owned()),
            ("Dir::Etc::PreferencesParts", "-".to_owned()),
            ("APT::Architecture", "amd64".to_owned()),
            ("APT::Architectures", "amd64".to_owned()),
            ("Debug::NoLocking", "true".to_owned()),
            ("APT::Sandbox::User", "root".to_owned()),
        ] {
            command.arg("-o").arg(format!("{key}={value}"));
        }
        command.env("LC_ALL", "C");
        command
    }

    fn install(&self, packages: &BTreeSet<&str>) -> Command {
        let mut command = self.apt();
        command.args(["install", "-s", "-q", "--no-install-recommends"]).args(packages);
        command
    }

    fn would_install(&self, packages: &BTreeSet<&str>) -> BTreeSet<String> {
        let output = self.install(packages).output().expect("apt-get");
        let text = String::from_utf8_lossy(&output.stdout);
        let names = text.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
        names.map(str::to_owned).collect()
    }

    fn simulate(&self, packages: &BTreeSet<&str>) -> Duration {
        run(&mut self.install(packages))
    }

    fn cold(&self, packages: &BTreeSet<&str>) -> Duration {
        for cache in ["pkgcache.bin", "srcpkgcache.bin"] {
            fs::remove_file(self.directory.path().join("cache").join(cache)).expect("apt keeps a cache");
        }
        self.simulate(packages)
    }
}
