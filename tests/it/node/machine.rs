//! A fresh Debian 12 without a network, bundles of real packages for it, and the real program at work in it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use khimg::cluster::Role;
use khimg::digest::Digest;
use khimg::pack::Format;
use khimg::render::tree::Mode;
use tempfile::TempDir;

use crate::support::base::base;
use crate::support::twin::kill_all;
use crate::support::workshop::Workshop;
use crate::yum::tree::Rpms;

/// Package files with their names and versions.
type Packages = Vec<(String, String, Vec<u8>)>;

/// What haproxy and systemd need beyond the base, from the machine's own mirror.
fn closure() -> &'static Packages {
    static CLOSURE: OnceLock<Packages> = OnceLock::new();
    CLOSURE.get_or_init(|| {
        let cache = tempfile::tempdir().expect("a directory");
        downloaded(cache.path(), &["haproxy", "systemd"]).iter().map(|path| package(path)).collect()
    })
}

/// The package files of `packages` and all that they need beyond the base, from the machine's own mirror.
fn downloaded(cache: &Path, packages: &[&str]) -> Vec<PathBuf> {
    let root = base().copy();
    fs::create_dir_all(cache.join("archives/partial")).expect("a directory");
    let status = root.path().join("var/lib/dpkg/status");
    let output = Command::new("apt-get")
        .args(["--yes", "--quiet", "--no-install-recommends", "--download-only"])
        .args(["-o", &format!("Dir::State::status={}", status.display())])
        .args(["-o", &format!("Dir::Cache={}", cache.display())])
        .args(["-o", "Debug::NoLocking=true", "-o", "APT::Sandbox::User=root"])
        .arg("install")
        .args(packages)
        .output()
        .expect("apt-get");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut files: Vec<PathBuf> = fs::read_dir(cache.join("archives"))
        .expect("a directory")
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "deb"))
        .collect();
    files.sort();
    files
}

fn package(path: &Path) -> (String, String, Vec<u8>) {
    let field = |name: &str| {
        let output = Command::new("dpkg-deb").arg("--field").arg(path).arg(name).output().expect("dpkg-deb");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    (field("Package"), field("Version"), fs::read(path).expect("a package"))
}

/// A small package with a configuration file and a service that would start at once.
fn sample(version: &str) -> (String, String, Vec<u8>) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |path: &str, mode: u32, text: &str| {
        let path = dir.path().join("tree").join(path);
        fs::create_dir_all(path.parent().expect("below")).expect("a directory");
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    file(
        "DEBIAN/control",
        0o644,
        &format!(
            "Package: sample\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: sample\n"
        ),
    );
    file("DEBIAN/conffiles", 0o644, "/etc/sample.conf\n");
    // As every package with a service does it.
    file("DEBIAN/postinst", 0o755, "#!/bin/sh\nset -e\nif invoke-rc.d sample start; then :; fi\n");
    file("etc/sample.conf", 0o644, &format!("the package's own, {version}\n"));
    file("etc/init.d/sample", 0o755, "#!/bin/sh\ntouch /var/sample-was-started\n");
    file("usr/share/sample", 0o644, version);
    fs::set_permissions(dir.path().join("tree"), fs::Permissions::from_mode(0o755)).expect("a mode");
    let deb = dir.path().join("sample.deb");
    let built = Command::new("dpkg-deb")
        .args(["--build", "--root-owner-group"])
        .arg(dir.path().join("tree"))
        .arg(&deb)
        .output();
    assert!(built.expect("dpkg-deb").status.success());
    package(&deb)
}

/// A bundle file for a load balancer.
pub struct BundleFile {
    pub bytes: Vec<u8>,
    pub sha256: Digest,
}

impl BundleFile {
    /// The bundle that a workshop makes.
    pub fn of(workshop: &Workshop) -> Self {
        let packed = workshop.pack(Format::TarZst, 2).expect("packs").remove(0);
        let mut bytes = Vec::new();
        packed.write(&mut bytes).expect("in memory");
        Self { bytes, sha256: packed.sha256 }
    }
}

fn bundle(version: &str, files: &[(&str, Mode, &str)]) -> BundleFile {
    let mut workshop = Workshop::new();
    for (name, version, bytes) in closure().iter().chain(&[sample(version)]) {
        workshop.package(name, version, "haproxy", &[Role::Lb], bytes);
    }
    workshop.role(Role::Lb, files);
    workshop.roles[0].enable = vec!["haproxy.service".to_owned()];
    BundleFile::of(&workshop)
}

/// The first bundle.
pub fn first() -> &'static BundleFile {
    static BUNDLE: OnceLock<BundleFile> = OnceLock::new();
    BUNDLE.get_or_init(|| {
        bundle(
            "1.0",
            &[
                ("/etc/haproxy/haproxy.cfg", Mode::Plain, "# the first\n"),
                ("/etc/sample.conf", Mode::Plain, "the first bundle's\n"),
                ("/etc/khimg-test/only-first", Mode::Plain, "here\n"),
                ("/etc/motd", Mode::Plain, "welcome to the first\n"),
                ("/usr/libexec/khimg-test", Mode::Program, "#!/bin/sh\nexit 1\n"),
                ("/etc/khimg-test/link", Mode::Plain, "-> only-first"),
            ],
        )
    })
}

/// The second bundle: a newer package, a changed file, a new one, and some that are gone.
pub fn second() -> &'static BundleFile {
    static BUNDLE: OnceLock<BundleFile> = OnceLock::new();
    BUNDLE.get_or_init(|| {
        bundle(
            "2.0",
            &[
                ("/etc/haproxy/haproxy.cfg", Mode::Plain, "# the second\n"),
                ("/etc/sample.conf", Mode::Plain, "the second bundle's\n"),
                ("/etc/khimg-test/only-second", Mode::Plain, "here\n"),
                ("/usr/libexec/khimg-test", Mode::Program, "#!/bin/sh\nexit 2\n"),
            ],
        )
    })
}

/// A machine, as its root directory.
pub struct Machine {
    root: TempDir,
}

impl Machine {
    pub fn new() -> Self {
        let root = base().copy();
        // What the base lacks, and an owner put there.
        fs::write(root.path().join("etc/motd"), "mine\n").expect("a file");
        Self { root }
    }

    /// The same with rpm, as Debian packs it: a stand-in for a system whose own packages are rpm's.
    pub fn with_rpm() -> Self {
        static PROGRAMS: OnceLock<TempDir> = OnceLock::new();
        let machine = Self::new();
        let programs = PROGRAMS.get_or_init(|| {
            let cache = tempfile::tempdir().expect("a directory");
            for deb in downloaded(cache.path(), &["rpm"]) {
                let status = Command::new("dpkg-deb").arg("-x").arg(&deb).arg(cache.path().join("root")).status();
                assert!(status.expect("dpkg-deb").success(), "{}", deb.display());
            }
            cache
        });
        // Packages have /lib, where the machine has a link.
        let tree = programs.path().join("root/");
        let copied = Command::new("rsync").args(["-a", "--keep-dirlinks"]).arg(tree).arg(machine.root.path()).output();
        let copied = copied.unwrap_or_else(|error| panic!("rsync: {error}"));
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        // Scripts of packages need a shell, which a package has on such a system.
        let system = Rpms::build(&[("system", "1-1", "Provides: /bin/sh")]);
        let mut known = Command::new("rpm");
        known.arg("--root").arg(machine.root.path()).args(["-i", "--justdb", "--nosignature"]).args(system.files());
        assert!(known.status().expect("rpm").success());
        machine
    }

    /// What rpm knows beside the system itself, with spaces between packages.
    pub fn rpms(&self) -> String {
        let output = Command::new("chroot").arg(self.root.path()).args(["rpm", "-qa"]).output().expect("rpm");
        let mut lines: Vec<String> =
            String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect();
        lines.retain(|line| line != "system-1-1.x86_64");
        lines.sort();
        lines.join(" ")
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// Puts a bundle where the machine sees it.
    pub fn give(&self, bundle: &BundleFile) {
        fs::write(self.path("/bundle.tar.zst"), &bundle.bytes).expect("a file");
    }

    /// `khimg node …` in a namespace without an interface, of which nothing is left when it is killed.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child=KILL"])
            .arg(assert_cmd::cargo::cargo_bin!("khimg"))
            .arg("node")
            .args(arguments)
            .arg("--root")
            .arg(self.root.path())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("unshare")
    }

    /// Runs it and expects it to go well; gives what it says.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {told}");
        format!("{}{told}", String::from_utf8_lossy(&output.stdout))
    }

    pub fn install(&self, bundle: &BundleFile) -> String {
        self.give(bundle);
        self.succeed(&["install", "/bundle.tar.zst", "--sha256", &bundle.sha256.hex()])
    }

    /// Runs it again and again, and cuts the power after a longer while each time, until it gets through.
    pub fn survive(&self, arguments: &[&str]) -> usize {
        let mut patience = Duration::from_millis(40);
        for cut in 0.. {
            let mut child = self.command(arguments).spawn().expect("unshare");
            let end = std::time::Instant::now() + patience;
            while std::time::Instant::now() < end {
                if let Some(status) = child.try_wait().expect("a child") {
                    // A command that was cut off at its very end leaves nothing for the next one to take back.
                    let is_over =
                        status.success() || (cut > 0 && arguments == ["rollback"] && status.code() == Some(2));
                    assert!(is_over, "{arguments:?} after {cut} power cuts");
                    return cut;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            kill_all(child);
            patience = patience.mul_f64(1.3);
        }
        unreachable!("patience grows without bound")
    }

    /// Everything of the system that a bundle may change: files with their modes, and the versions of packages.
    pub fn snapshot(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for top in ["etc", "usr"] {
            for entry in walkdir::WalkDir::new(self.path(top)).sort_by_file_name() {
                let entry = entry.expect("readable");
                let name = entry.path().strip_prefix(self.root.path()).expect("below").to_string_lossy().into_owned();
                // Random, or a copy that some tool keeps of the state before.
                if name == "etc/machine-id"
                    || name.ends_with('-')
                    || name.ends_with(".dpkg-dist")
                    || entry.file_type().is_dir()
                {
                    continue;
                }
                let meta = entry.path().symlink_metadata().expect("there");
                let content = if meta.is_symlink() {
                    fs::read_link(entry.path()).expect("a link").display().to_string()
                } else if ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"].contains(&name.as_str()) {
                    // Numbers go to users in the order in which packages happen to be configured.
                    let text = fs::read_to_string(entry.path()).expect("text");
                    let mut users: Vec<&str> = text.lines().filter_map(|line| line.split(':').next()).collect();
                    users.sort_unstable();
                    users.join(" ")
                } else {
                    Digest::of(&fs::read(entry.path()).expect("a file")).to_string()
                };
                found.insert(name, format!("{:o} {content}", meta.permissions().mode()));
            }
        }
        let output = Command::new("dpkg-query")
            .arg(format!("--admindir={}", self.path("/var/lib/dpkg").display()))
            .args(["--show", "--showformat=${Package} ${Version} ${Status}\n"])
            .output()
            .expect("dpkg-query");
        found.insert("packages".to_owned(), String::from_utf8(output.stdout).expect("text"));
        if self.exists("/var/lib/rpm") {
            found.insert("rpm packages".to_owned(), self.rpms());
        }
        found
    }
}

/// The names whose values differ.
pub fn difference(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    names.into_iter().filter(|name| a.get(*name) != b.get(*name)).cloned().collect()
}
