//! Real rpm packages made by rpmbuild, in real repositories made by createrepo_c and signed by gpg.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::apt::archive::{Key, run as output};

/// One package: name, `[epoch:]version-release`, and further lines: tags of a spec file (`Requires: lib >= 1`), `arch: noarch`;
/// `file: /usr/share/x`, `config: /etc/x` and `from: /here to /usr/bin/x` for what it holds; `post: …` for what it does when it comes.
pub type Rpm<'a> = (&'a str, &'a str, &'a str);

/// Packages on disk.
pub struct Rpms {
    directory: TempDir,
}

impl Rpms {
    /// Builds packages for x86_64.
    pub fn build(packages: &[Rpm<'_>]) -> Self {
        Self::build_for("x86_64", packages)
    }

    /// One run of rpmbuild makes them all, but for further versions of the same name.
    pub fn build_for(machine: &str, packages: &[Rpm<'_>]) -> Self {
        let directory = tempfile::Builder::new().prefix("khimg-rpm-").tempdir().expect("a directory");
        let mut left: Vec<&Rpm<'_>> = packages.iter().collect();
        while !left.is_empty() {
            let mut names = Vec::new();
            let (now, later) = left.into_iter().partition(|(name, _, _)| {
                let first = !names.contains(name);
                names.push(name);
                first
            });
            left = later;
            let spec = directory.path().join("test.spec");
            fs::write(&spec, spec_of(now)).expect("written");
            let top = format!("_topdir {}", directory.path().join("build").display());
            let to = format!("_rpmdir {}", directory.path().display());
            let named = "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm";
            let mut command = Command::new("rpmbuild");
            command.args(["-bb", "--quiet", "--nodeps", "--target", machine]);
            let fast = "_binary_payload w1.gzdio";
            run(command.args(["--define", &top, "--define", &to, "--define", named, "--define", fast]).arg(&spec));
        }
        Self { directory }
    }

    /// All of them, by name.
    pub fn files(&self) -> Vec<PathBuf> {
        let entries =
            fs::read_dir(self.directory.path()).expect("a directory").map(|entry| entry.expect("entry").path());
        let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "rpm")).collect();
        files.sort();
        files
    }
}

fn spec_of(packages: Vec<&Rpm<'_>>) -> String {
    let mut spec =
        "Name: test\nVersion: 1\nRelease: 1\nSummary: test\nLicense: MIT\nAutoReqProv: no\n%description\n".to_owned();
    let mut install = "%install\nmkdir -p %{buildroot}\n".to_owned();
    let (mut files, mut scripts) = (String::new(), String::new());
    for (name, evr, lines) in packages {
        let (epoch, rest) = evr.split_once(':').unwrap_or(("", evr));
        let (version, release) = rest.rsplit_once('-').expect("a release");
        spec +=
            &format!("%package -n {name}\nSummary: {name}\nVersion: {version}\nRelease: {release}\nAutoReqProv: no\n");
        if !epoch.is_empty() {
            spec += &format!("Epoch: {epoch}\n");
        }
        files += &format!("%files -n {name}\n");
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line.split_once(": ") {
                Some(("file", path)) => {
                    install +=
                        &format!("mkdir -p %{{buildroot}}$(dirname {path}); echo {name} > %{{buildroot}}{path}\n");
                    files += &format!("{path}\n");
                }
                Some(("from", paths)) => {
                    let (from, path) = paths.split_once(" to ").expect("two paths");
                    install += &format!("install -D -m 755 {from} %{{buildroot}}{path}\n");
                    files += &format!("{path}\n");
                }
                Some(("config", path)) => {
                    install +=
                        &format!("mkdir -p %{{buildroot}}$(dirname {path}); echo {name} > %{{buildroot}}{path}\n");
                    files += &format!("%config(noreplace) {path}\n");
                }
                Some(("post", script)) => scripts += &format!("%post -n {name}\n{script}\n"),
                Some(("arch", arch)) => spec += &format!("BuildArch: {arch}\n"),
                _ => spec += &format!("{line}\n"),
            }
        }
        spec += &format!("%description -n {name}\n{name}\n");
    }
    format!(
        "%global debug_package %{{nil}}\n%global __os_install_post %{{nil}}\n{spec}%prep\n%build\n{install}{scripts}{files}"
    )
}

/// Repositories below one base, as a mirror serves them.
pub struct Tree {
    directory: TempDir,
}

impl Tree {
    pub fn new() -> Self {
        Self { directory: tempfile::Builder::new().prefix("khimg-yum-").tempdir().expect("a directory") }
    }

    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// A repository at `path` with these packages below `Packages`; `how` goes to createrepo_c.
    pub fn repository(&self, path: &str, files: &[PathBuf], how: &[&str]) {
        let packages = self.root().join(path).join("Packages");
        fs::create_dir_all(&packages).expect("created");
        for file in files {
            fs::copy(file, packages.join(file.file_name().expect("a name"))).expect("copied");
        }
        self.index(path, how);
    }

    /// Makes the lists of a repository anew.
    pub fn index(&self, path: &str, how: &[&str]) {
        run(Command::new("createrepo_c")
            .args(["--quiet", "--checksum", "sha256"])
            .args(how)
            .arg(self.root().join(path)));
    }

    /// A repository at `path` whose packages lie in `pool` beside it.
    pub fn pooled(&self, path: &str, pool: &str, files: &[PathBuf]) {
        let prefix = format!("--location-prefix=../../{}", pool.rsplit('/').next().expect("a name"));
        let (repository, pool) = (self.root().join(path), self.root().join(pool));
        fs::create_dir_all(&repository).expect("created");
        fs::create_dir_all(&pool).expect("created");
        for file in files {
            fs::copy(file, pool.join(file.file_name().expect("a name"))).expect("copied");
        }
        let mut command = Command::new("createrepo_c");
        run(command.args(["--quiet", &prefix, "--outputdir"]).arg(&repository).arg(&pool));
    }

    /// Gives a repository a module with these streams, each with the `name-epoch:version-release.arch` of its packages.
    pub fn modules(&self, path: &str, module: &str, default: &str, streams: &[(&str, Vec<String>)]) {
        let stream = |(stream, rpms): &(&str, Vec<String>)| {
            let rpms: String = rpms.iter().map(|rpm| format!("    - {rpm}\n")).collect();
            format!(
                "---\ndocument: modulemd\nversion: 2\ndata:\n  name: {module}\n  stream: \"{stream}\"\n  version: 1\n  context: a\n  \
                 arch: x86_64\n  summary: tools\n  description: >-\n    tools\n  license:\n    module:\n    - MIT\n  artifacts:\n    rpms:\n{rpms}...\n"
            )
        };
        let mut text: String = streams.iter().map(stream).collect();
        text += &format!(
            "---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: {module}\n  stream: \"{default}\"\n...\n"
        );
        let list = self.root().join(path).join("modules.yaml");
        fs::write(&list, text).expect("written");
        run(Command::new("modifyrepo_c")
            .arg("--mdtype=modules")
            .arg(list)
            .arg(self.root().join(path).join("repodata")));
    }

    /// Signs a repository's `repomd.xml`.
    pub fn sign(&self, path: &str, key: &Key) {
        let repomd = self.read(&format!("{path}/repodata/repomd.xml"));
        self.write(&format!("{path}/repodata/repomd.xml.asc"), &key.detach(&repomd));
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).expect("read")
    }

    pub fn write(&self, path: &str, content: &str) {
        fs::write(self.root().join(path), content).expect("written");
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.root().join(path)).expect("removed");
    }

    /// Puts another package list in place of the one that a repository has, with its right digest and size.
    pub fn replace_list(&self, path: &str, name: &str, bytes: &[u8]) {
        let repomd = self.read(&format!("{path}/repodata/repomd.xml"));
        let start = repomd.find("<data type=\"primary\">").expect("a list");
        let end = repomd[start..].find("</data>").expect("its end") + start;
        let digest = khimg::digest::Digest::of(bytes).hex();
        let (size, time) = (bytes.len(), khimg::clock::now().as_second());
        let data = format!(
            "<data type=\"primary\"><checksum type=\"sha256\">{digest}</checksum><location href=\"repodata/{name}\"/>\
             <timestamp>{time}</timestamp><size>{size}</size>"
        );
        fs::write(self.root().join(path).join("repodata").join(name), bytes).expect("written");
        self.write(&format!("{path}/repodata/repomd.xml"), &format!("{}{data}{}", &repomd[..start], &repomd[end..]));
    }

    /// The path of a list of a repository, such as `primary`.
    pub fn list(&self, path: &str, kind: &str) -> String {
        let entries = fs::read_dir(self.root().join(path).join("repodata")).expect("repodata");
        let names = entries.map(|entry| entry.expect("entry").file_name().into_string().expect("utf-8"));
        let name = names.into_iter().find(|name| name.contains(&format!("{kind}.xml"))).expect("a list");
        format!("{path}/repodata/{name}")
    }
}

/// A root directory with its own rpm database, and dnf that knows nothing but repositories of ours.
pub struct Dnf {
    root: TempDir,
    urls: Vec<String>,
}

/// Prints what dnf would install for each line of its input: `name evr` of each package, and a line with a dot.
const RESOLVE: &str = r#"
import os, sys, dnf
root, urls = sys.argv[1], sys.argv[2].split()
base = dnf.Base()
conf = base.conf
conf.installroot, conf.cachedir, conf.persistdir, conf.logdir = root, root + '/cache', root + '/state', root + '/log'
os.makedirs(root + '/log', exist_ok=True)
conf.substitutions['arch'] = conf.substitutions['basearch'] = 'x86_64'
conf.substitutions['releasever'] = '9'
conf.install_weak_deps, conf.gpgcheck, conf.reposdir = False, False, []
for number, url in enumerate(urls):
    base.repos.add_new_repo('r%d' % number, conf, baseurl=[url])
base.fill_sack()
for line in sys.stdin.read().splitlines():
    base.reset(goal=True)
    try:
        for spec in line.split():
            base.install(spec)
        base.resolve()
        for package in base.transaction.install_set:
            print(package.name, package.evr[2:] if package.evr.startswith('0:') else package.evr)
        for package in base.transaction.remove_set:
            print('error removes', package)
    except dnf.exceptions.Error as error:
        print('error', str(error).replace('\n', '; '))
    print('.')
"#;

impl Dnf {
    /// With these packages installed already.
    pub fn new(urls: Vec<String>, installed: &[PathBuf]) -> Self {
        let root = tempfile::Builder::new().prefix("khimg-dnf-").tempdir().expect("a directory");
        run(Command::new("rpm").arg("--root").arg(root.path()).arg("--initdb"));
        if !installed.is_empty() {
            let mut command = Command::new("rpm");
            command.arg("--root").arg(root.path()).args([
                "-i",
                "--justdb",
                "--nodeps",
                "--nosignature",
                "--ignorearch",
            ]);
            run(command.args(installed));
        }
        Self { root, urls }
    }

    /// What it would install for each list of packages, by name with version; an error in its own words.
    pub fn would_install(&self, asked: &[Vec<&str>]) -> Vec<Result<BTreeMap<String, String>, String>> {
        let input = self.root.path().join("asked");
        fs::write(&input, asked.iter().map(|names| names.join(" ") + "\n").collect::<String>()).expect("written");
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", RESOLVE]).arg(self.root.path()).arg(self.urls.join(" ")).env("LC_ALL", "C.UTF-8");
        let said = run(command.stdin(fs::File::open(&input).expect("opened")));
        let answer = |text: &str| {
            let mut found = BTreeMap::new();
            for line in text.lines() {
                match line.split_once(' ') {
                    Some(("error", why)) => return Err(why.to_owned()),
                    Some((name, version)) => drop(found.insert(name.to_owned(), version.to_owned())),
                    None => {}
                }
            }
            Ok(found)
        };
        let answers: Vec<_> = said.split(".\n").map(answer).collect();
        answers.into_iter().take(asked.len()).collect()
    }

    /// Whether rpm would install all packages of a directory in one transaction.
    pub fn accepts(&self, packages: &Path) -> bool {
        let files = fs::read_dir(packages).expect("packages").map(|entry| entry.expect("entry").path());
        let mut command = Command::new("rpm");
        command.arg("--root").arg(self.root.path()).args(["-U", "--test", "--nosignature", "--ignorearch"]).args(files);
        let output = command.output().expect("rpm");
        output.status.success() || panic!("{}", String::from_utf8_lossy(&output.stderr))
    }

    /// The output of a command of dnf itself.
    pub fn query(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("dnf");
        command.arg("--quiet").arg(format!("--installroot={}", self.root.path().display()));
        command.args([
            "--releasever=9",
            "--forcearch=x86_64",
            "--setopt=reposdir=",
            "--setopt=install_weak_deps=False",
        ]);
        for (number, url) in self.urls.iter().enumerate() {
            command.arg(format!("--repofrompath=r{number},{url}"));
        }
        run(command.args(arguments).env("LC_ALL", "C.UTF-8"))
    }
}

/// What a command that succeeds prints.
pub fn run(command: &mut Command) -> String {
    String::from_utf8(output(command)).expect("text")
}
