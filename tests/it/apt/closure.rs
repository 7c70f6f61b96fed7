//! The packages that khimg would carry are those that apt itself would install on the same base.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use khimg::catalog::system::Base;
use khimg::catalog::{AptLayout, AptSource};
use khimg::clock;
use khimg::lock::Package;
use khimg::mirrors::SystemEntry;
use khimg::resolve::apt::repository::{Layout, Wanted};
use khimg::resolve::apt::system;
use khimg::resolve::apt::{closure, stanza::Stanzas};
use khimg::resolve::authority::Authority;
use khimg::resolve::universe::{Shelf, Universe};
use khimg::resolve::version::Scheme;

use super::{Bench, source, target};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Primary keys of bookworm and of its security archive (debian-archive-keyring).
const FINGERPRINTS: [&str; 3] = [
    "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8",
    "4D64FEC119C2029067D6E791F8D2585B8783D481",
    "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0",
];
/// What the issue names, and a few with harder dependencies.
const PACKAGES: [&str; 14] = [
    "haproxy",
    "keepalived",
    "containerd",
    "docker.io",
    "nginx",
    "chrony",
    "ipset", // the issue's
    "mailutils",
    "openssh-server",
    "python3-requests",
    "network-manager",
    "gcc",
    "cloud-init",
    "libvirt-daemon-system",
];

/// apt's status file is shared.
static STATUS: Mutex<()> = Mutex::new(());

/// The machine's own Debian mirrors, and apt with a state of its own that knows nothing else.
struct Apt {
    entries: Vec<SystemEntry>,
    root: PathBuf,
}

impl Apt {
    /// `None`, with the reason printed, where this machine has none.
    fn shared() -> Option<&'static Self> {
        static APT: OnceLock<Option<Apt>> = OnceLock::new();
        APT.get_or_init(|| match Self::set_up() {
            Ok(apt) => Some(apt),
            Err(reason) => {
                println!("skipped: {reason}");
                None
            }
        })
        .as_ref()
    }

    fn set_up() -> Result<Self, String> {
        if !Path::new(KEYRING).exists() {
            return Err(format!("no {KEYRING}: this is no Debian machine"));
        }
        let mut entries = system::entries(Path::new("/")).map_err(|error| error.to_string())?;
        let suites = ["bookworm", "bookworm-updates", "bookworm-security"];
        entries.retain(|entry| suites.contains(&entry.suite.as_str()) && entry.uri.as_str().contains("debian"));
        if suites.iter().any(|suite| entries.iter().all(|entry| entry.suite != *suite)) {
            return Err("the machine's apt configuration does not name all of bookworm's suites".to_owned());
        }
        let root = super::scratch("apt");
        for below in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(root.join(below)).map_err(|error| error.to_string())?;
        }
        let line = |entry: &SystemEntry| {
            format!("deb [signed-by={KEYRING}] {} {} {}\n", entry.uri, entry.suite, entry.components.join(" "))
        };
        fs::write(root.join("sources.list"), entries.iter().map(line).collect::<String>()).expect("written");
        fs::write(root.join("status"), "").expect("written");
        let apt = Self { entries, root };
        let output = apt.command("apt-get").arg("update").output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() && !said.contains("W: ") { Ok(apt) } else { Err(format!("apt-get update: {said}")) }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = |name: &str| self.root.join(name).display().to_string();
        for (key, value) in [
            ("Dir::State", path("")),
            ("Dir::State::lists", path("lists")),
            ("Dir::State::status", path("status")),
            ("Dir::Cache", path("cache")),
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
        command
    }

    /// Makes apt believe that these packages, and no others, are installed.
    fn install(&self, base: &BTreeMap<String, String>) {
        let mut status = String::new();
        let mut left = base.clone();
        for list in self.lists() {
            let output =
                Command::new("/usr/lib/apt/apt-helper").arg("cat-file").arg(&list).output().expect("apt-helper");
            let mut stanzas = Stanzas::new(&output.stdout[..]);
            while let Some(stanza) = stanzas.next_stanza().expect("sound") {
                let name = stanza.get("Package").expect("a name");
                if left.get(name).map(String::as_str) != stanza.get("Version") {
                    continue;
                }
                left.remove(name);
                status.push_str("Status: install ok installed\n");
                for key in [
                    "Package",
                    "Version",
                    "Architecture",
                    "Multi-Arch",
                    "Essential",
                    "Priority",
                    "Section",
                    "Installed-Size",
                    "Pre-Depends",
                    "Installed-Size",
                    "Depends",
                    "Provides",
                    "Conflicts",
                    "Breaks",
                    "Replaces",
                    "Source",
                ] {
                    if let Some(value) = stanza.get(key) {
                        status.push_str(&format!("{key}: {value}\n"));
                    }
                }
                status.push_str("Maintainer: nobody\nDescription: none\n\n");
            }
        }
        assert!(left.is_empty(), "the lists of apt do not have {left:?}");
        fs::write(self.root.join("status"), status).expect("written");
    }

    fn lists(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.root.join("lists")).expect("lists").map(|entry| entry.expect("entry").path());
        entries.filter(|path| path.to_string_lossy().contains("_Packages")).collect()
    }

    /// What apt would install, by name, with versions.
    fn would_install(&self, packages: &[&str]) -> BTreeMap<String, String> {
        let output = self
            .command("apt-get")
            .args(["install", "-s", "-q", "--no-install-recommends"])
            .args(packages)
            .env("LC_ALL", "C")
            .output()
            .expect("apt-get");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{packages:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        installed(&text)
    }
}

/// Names and versions of lines such as `Inst haproxy (2.6.12-1+deb12u2 Debian:12.11/oldstable [amd64])`.
fn installed(text: &str) -> BTreeMap<String, String> {
    let installed = text.lines().filter_map(|line| line.strip_prefix("Inst ")).map(|line| {
        let (name, rest) = line.split_once(" (").expect("a version");
        let version = rest.split_whitespace().next().expect("a version");
        (name.to_owned(), version.to_owned())
    });
    installed.collect()
}

fn sources() -> Vec<(&'static str, AptSource)> {
    let with = |suites: &[&str]| AptSource {
        layout: AptLayout::Suite {
            suites: suites.iter().map(|suite| (*suite).to_owned()).collect(),
            components: vec!["main".to_owned()],
        },
        ..source(&FINGERPRINTS, &[("system", "system")])
    };
    vec![("debian", with(&["{codename}", "{codename}-updates"])), ("debian-security", with(&["{codename}-security"]))]
}

fn bench(apt: &Apt, base: Base) -> Bench {
    let mut bench = Bench::new(&sources(), base);
    bench.catalog.keys.insert("key".to_owned(), fs::read(KEYRING).expect("the keyring"));
    bench.system = apt.entries.clone();
    bench
}

/// The base that khimg derives from its declaration, from the same indices.
fn derived_base(bench: &Bench, base: &Base) -> BTreeMap<String, String> {
    let net = bench.net();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let keyring = khimg::openpgp::Keyring::new(bench.catalog.keys.values(), FINGERPRINTS).expect("keys");
    let mut shelves = Vec::new();
    for (name, suite) in
        [("debian", "bookworm"), ("debian", "bookworm-updates"), ("debian-security", "bookworm-security")]
    {
        let vars = bench.catalog.vars(&target(), "1.20".parse().expect("a version"));
        let wanted = Wanted {
            source: name.to_owned(),
            part: suite.to_owned(),
            layout: Layout::Suite { suite: suite.to_owned(), components: vec!["main".to_owned()] },
            arch: target().arch,
            origins: bench.mirrors().origins(&bench.catalog, name, &vars).expect("origins"),
            authority: Authority::Keys { keyring: keyring.clone(), path: None },
            seen: None,
        };
        let loaded = runtime.block_on(wanted.load(&net, &bench.store, clock::now())).expect("loaded");
        let shelf = |index| Shelf { source: name.to_owned(), part: String::new(), proof: loaded.proof.clone(), index };
        shelves.extend(loaded.indices.iter().cloned().map(shelf));
    }
    let universe = Universe::new(Scheme::Deb, shelves.iter().collect(), BTreeMap::new());
    let base = closure::Base::new(&universe, &base.priorities, &base.packages).expect("a base");
    base.packages().map(|offer| (offer.package.name.to_owned(), offer.package.version.to_owned())).collect()
}

fn declared(priorities: &[&str], packages: &[&str]) -> Base {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Base { priorities: owned(priorities), packages: owned(packages) }
}

fn names_and_versions(packages: &[Package]) -> BTreeMap<String, String> {
    packages.iter().map(|package| (package.name.clone(), package.version.clone())).collect()
}

fn compare(apt: &Apt, base: Base, packages: &[&str]) {
    let bench = bench(apt, base.clone());
    let installed = derived_base(&bench, &base);
    apt.install(&installed);
    for package in packages.iter().copied() {
        let resolution = bench.resolve(&[(package, None)]).unwrap_or_else(|error| panic!("{package}: {error:?}"));
        assert_eq!(names_and_versions(&resolution.packages), apt.would_install(&[package]), "{package}");
        for member in &resolution.packages {
            let chain = &member.why[0].chain;
            assert_eq!(
                (chain[0].as_str(), chain.last()),
                (package, Some(&member.name)),
                "a chain that explains nothing"
            );
        }
    }
    let all: Vec<_> = packages.iter().map(|package| (*package, None)).collect();
    let resolution = bench.resolve(&all).expect("all at once");
    assert_eq!(names_and_versions(&resolution.packages), apt.would_install(packages));
    let names: BTreeSet<&str> = resolution.packages.iter().map(|package| package.name.as_str()).collect();
    assert!(names.is_disjoint(&installed.keys().map(String::as_str).collect()), "what is in the base is not carried");
}

#[test]
fn equals_apt_on_the_smallest_base() {
    let _one_at_a_time = STATUS.lock();
    let Some(apt) = Apt::shared() else { return };
    compare(apt, declared(&["required"], &["apt"]), &PACKAGES);
}

/// More is there already, and `usr-is-merged` takes the place of `usrmerge` as on machines of Debian's installer.
#[test]
fn equals_apt_on_a_larger_base() {
    let _one_at_a_time = STATUS.lock();
    let Some(apt) = Apt::shared() else { return };
    compare(apt, declared(&["required", "important"], &["usr-is-merged", "openssh-server"]), &["keepalived", "chrony"]);
}

/// The base that is derived from `required` and apt is what mmdebstrap would make of `--variant=minbase`.
#[test]
fn derives_the_base_that_mmdebstrap_makes() {
    let Some(apt) = Apt::shared() else { return };
    let output = Command::new("mmdebstrap")
        .args(["--variant=minbase", "--simulate", "--verbose", "--architectures=amd64", "bookworm", "/dev/null"])
        .arg(apt.root.join("sources.list"))
        .env("LC_ALL", "C")
        .output();
    let output = match output {
        Ok(output) if output.status.success() => output,
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => return println!("skipped: mmdebstrap: {error}"),
    };
    let base = declared(&["required"], &["apt"]);
    let said = [output.stdout, output.stderr].concat();
    assert_eq!(derived_base(&bench(apt, base.clone()), &base), installed(&String::from_utf8_lossy(&said)));
}
