//! Real package repositories, made with dpkg-deb, apt-ftparchive and gpg, with faults of our own making.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use khimg::clock;

const DAY_ONE: &str = "20200101T000000!";

/// A key pair in a gpg home of its own.
pub struct Key {
    home: PathBuf,
    pub fingerprint: String,
}

impl Key {
    /// The key that most tests sign with.
    pub fn shared() -> &'static Self {
        static KEY: OnceLock<Key> = OnceLock::new();
        KEY.get_or_init(|| Self::at(super::scratch("key"), DAY_ONE, "ed25519", "never"))
    }

    /// Some other key.
    pub fn other() -> &'static Self {
        static KEY: OnceLock<Key> = OnceLock::new();
        KEY.get_or_init(|| Self::at(super::scratch("other"), DAY_ONE, "ed25519", "never"))
    }

    /// `algorithm` as gpg calls it; `expires` is `never` or a date. Made on 2020-01-01.
    pub fn new(algorithm: &str, expires: &str) -> Self {
        let home = tempfile::Builder::new().prefix("khimg-gpg-").tempdir().expect("a directory").keep();
        Self::at(home, DAY_ONE, algorithm, expires)
    }

    fn at(home: PathBuf, time: &str, algorithm: &str, expires: &str) -> Self {
        let mut key = Self { home, fingerprint: String::new() };
        let user = "Test <test@example.com>";
        key.gpg(&["--faked-system-time", time, "--quick-gen-key", user, algorithm, "sign", expires], "");
        let listed = key.gpg(&["--with-colons", "--list-keys"], "");
        let line = listed.lines().find(|line| line.starts_with("fpr:")).expect("a fingerprint").to_owned();
        key.fingerprint = line.split(':').nth(9).expect("a field").to_owned();
        key
    }

    pub fn public(&self) -> Vec<u8> {
        self.gpg(&["--armor", "--export"], "").into_bytes()
    }

    /// `InRelease` for a text.
    pub fn clearsign(&self, text: &str) -> String {
        self.gpg(&["--clearsign"], text)
    }

    /// `Release.gpg` for a text.
    pub fn detach(&self, text: &str) -> String {
        self.gpg(&["--armor", "--detach-sign"], text)
    }

    /// The revocation certificate that gpg made with the key.
    pub fn revocation(&self) -> String {
        let path = self.home.join(format!("openpgp-revocs.d/{}.rev", self.fingerprint));
        fs::read_to_string(path).expect("a revocation certificate").replace(":-----BEGIN", "-----BEGIN")
    }

    /// Puts a signature into rpm packages: over the header, and where `all` over header and payload too, as old ones have it.
    pub fn sign_rpms(&self, files: &[PathBuf], all: bool) {
        self.sign_rpms_with(files, all, "");
    }

    /// The same over the header, dated back.
    pub fn sign_rpms_in_2020(&self, files: &[PathBuf]) {
        self.sign_rpms_with(files, false, "--faked-system-time 20200601T000000!");
    }

    fn sign_rpms_with(&self, files: &[PathBuf], all: bool, more: &str) {
        let mut command = Command::new("rpmsign");
        command.args(["--define", "__gpg /usr/bin/gpg"]);
        command.arg("--define").arg(format!("_gpg_name {}", self.fingerprint));
        command.arg("--define").arg(format!("_gpg_path {}", self.home.display()));
        let gpg = format!("_gpg_sign_cmd_extra_args --batch --pinentry-mode loopback --passphrase '' {more}");
        command.arg("--define").arg(gpg).args(all.then_some("--rpmv3")).arg("--addsign").args(files);
        run(&mut command);
    }

    /// Runs gpg with this home.
    pub fn gpg(&self, arguments: &[&str], input: &str) -> String {
        String::from_utf8(self.gpg_bytes(arguments, input)).expect("text")
    }

    /// Runs gpg with this home.
    pub fn gpg_bytes(&self, arguments: &[&str], input: &str) -> Vec<u8> {
        let mut child = Command::new("gpg")
            .arg("--homedir")
            .arg(&self.home)
            .args(["--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", "", "--yes"])
            .args(["--allow-weak-digest-algos", "--allow-weak-key-signatures"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("gpg");
        let mut stdin = child.stdin.take().expect("stdin");
        std::io::Write::write_all(&mut stdin, input.as_bytes()).expect("written");
        drop(stdin);
        let output = child.wait_with_output().expect("gpg");
        assert!(output.status.success(), "gpg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(&self.home).args(["--kill", "all"]).status();
        let _ = fs::remove_dir_all(&self.home);
    }
}

/// One package: name, version and further control fields.
pub type Stanza<'a> = (&'a str, &'a str, &'a str);

/// What most tests need: `app` wants `lib`, which is there in two versions.
pub const STANZAS: [Stanza<'static>; 5] = [
    ("essential", "1", "Essential: yes\nPriority: required\n"),
    ("app", "1.0-1", "Depends: essential, lib (>= 1)\n"),
    ("lib", "1.0-1", ""),
    ("lib", "1.1-1", ""),
    ("doc", "2", "Architecture: all\n"),
];

/// A repository on disk.
pub struct Archive {
    directory: tempfile::TempDir,
    /// `dists/bookworm/` or nothing.
    below: &'static str,
}

impl Archive {
    /// `dists/bookworm/main/binary-amd64`, signed by the shared key.
    pub fn suite(stanzas: &[Stanza<'_>]) -> Self {
        let archive = Self { directory: tempfile::tempdir().expect("a directory"), below: "dists/bookworm/" };
        archive.fill(stanzas, "dists/bookworm/main/binary-amd64");
        archive.sign(Key::shared(), |release| release);
        archive
    }

    /// Everything at the base, signed by the shared key.
    pub fn flat(stanzas: &[Stanza<'_>]) -> Self {
        let archive = Self { directory: tempfile::tempdir().expect("a directory"), below: "" };
        archive.fill(stanzas, "");
        archive.sign(Key::shared(), |release| release);
        archive
    }

    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// The path of a file beside the release file, below the root.
    pub fn at(&self, name: &str) -> String {
        format!("{}{name}", self.below)
    }

    fn fill(&self, stanzas: &[Stanza<'_>], index: &str) {
        let root = self.root();
        let pool = if self.below.is_empty() { "amd64" } else { "pool/main" };
        fs::create_dir_all(root.join(pool)).expect("created");
        fs::create_dir_all(root.join(index)).expect("created");
        for (name, version, more) in stanzas {
            build_deb(&root.join(pool), name, version, more);
        }
        let packages = run(Command::new("apt-ftparchive").args(["packages", pool]).current_dir(root));
        let index = root.join(index);
        fs::write(index.join("Packages"), packages).expect("written");
        for program in ["gzip", "xz", "zstd"] {
            run(Command::new(program).args(["-k", "-q", "Packages"]).current_dir(&index));
        }
        let fields =
            [("Suite", "stable"), ("Codename", "bookworm"), ("Components", "main"), ("Architectures", "amd64")];
        let mut command = Command::new("apt-ftparchive");
        for (key, value) in fields.into_iter().filter(|_| !self.below.is_empty()) {
            command.arg("-o").arg(format!("APT::FTPArchive::Release::{key}={value}"));
        }
        let release =
            run(command.args(["release", if self.below.is_empty() { "." } else { self.below }]).current_dir(root));
        fs::write(root.join(self.at("Release")), release).expect("written");
    }

    /// Changes the release file and signs it anew, inside and beside.
    pub fn sign(&self, key: &Key, change: impl Fn(String) -> String) {
        let release = change(self.read("Release"));
        self.write("InRelease", &key.clearsign(&release));
        self.write("Release.gpg", &key.detach(&release));
        self.write("Release", &release);
    }

    /// Puts another plain index in place, the only one that the release file then lists, and signs it.
    pub fn replace_index(&self, index: &str) {
        self.write("main/binary-amd64/Packages", index);
        let digest = khimg::digest::Digest::of(index.as_bytes()).hex();
        self.sign(Key::shared(), |release| {
            let (head, _) = release.split_once("MD5Sum:").expect("digests");
            format!("{head}SHA256:\n {digest} {} main/binary-amd64/Packages\n", index.len())
        });
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.root().join(self.at(name))).expect("text")
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.root().join(self.at(name)), text).expect("written");
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.root().join(self.at(name))).expect("removed");
    }
}

/// `release` with another `Date`, so many seconds from now.
pub fn dated(release: &str, seconds: i64) -> String {
    with_field(release, "Date", &rfc2822(seconds))
}

/// `release` with a field set.
pub fn with_field(release: &str, field: &str, value: &str) -> String {
    let prefix = format!("{field}:");
    let rest: String =
        release.lines().filter(|line| !line.starts_with(&prefix)).flat_map(|line| [line, "\n"]).collect();
    format!("{field}: {value}\n{rest}")
}

pub fn rfc2822(seconds: i64) -> String {
    let at = clock::now() + jiff::SignedDuration::from_secs(seconds);
    at.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}

/// Builds one package into `pool`.
pub fn build_deb(pool: &Path, name: &str, version: &str, more: &str) -> PathBuf {
    let tree = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(tree.path().join("DEBIAN")).expect("created");
    let arch = if more.contains("Architecture:") { "" } else { "Architecture: amd64\n" };
    let control = format!(
        "Package: {name}\nVersion: {version}\n{arch}{more}Maintainer: Test <test@example.com>\nDescription: test\n"
    );
    fs::write(tree.path().join("DEBIAN/control"), control).expect("written");
    let file = pool.join(format!("{name}_{}_amd64.deb", version.replace(':', "%3a")));
    run(Command::new("dpkg-deb").args(["-Znone", "--root-owner-group", "-b"]).arg(tree.path()).arg(&file));
    file
}

/// What a command that succeeds prints.
pub fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
