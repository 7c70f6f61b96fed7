//! This machine once more: its whole system, with everything that is written there kept apart. Programs that have their
//! places at the root work in it as they do on a node. It has no init of its own: units are enabled and disabled for real,
//! and nobody starts them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use super::daemon::{Daemon, available, root, run};
use super::lab::lab;

/// Directories that are the test's own, on a file system that need not be fast, and what they are called there.
const OWN: [(&str, &str); 4] = [
    ("/etc/khimg", "etc-khimg"),
    ("/etc/kubernetes", "kubernetes"),
    ("/var/lib/etcd", "etcd"),
    ("/var/lib/khimg", "state"),
];

/// Mounts everything and stays; all of it goes with the last process in it.
const HOLD: &str = "\
cd \"$1\"
mount -t tmpfs tmpfs hold
mkdir hold/upper hold/work hold/root hold/containerd
cp -r own/. hold/
mount -t overlay overlay -o lowerdir=/,upperdir=hold/upper,workdir=hold/work hold/root
mount -t proc proc hold/root/proc
mount --rbind /dev hold/root/dev
mount --rbind /sys hold/root/sys
mount -t tmpfs tmpfs hold/root/run
mkdir -p hold/root/etc/khimg hold/root/etc/kubernetes hold/root/var/lib/etcd hold/root/var/lib/khimg hold/root/var/lib/containerd
mount --bind hold/etc-khimg hold/root/etc/khimg
mount --bind hold/kubernetes hold/root/etc/kubernetes
mount --bind hold/etcd hold/root/var/lib/etcd
mount --bind hold/state hold/root/var/lib/khimg
mount --bind hold/containerd hold/root/var/lib/containerd
touch ready
exec sleep infinity";

/// A copy of this machine.
pub struct Twin {
    holder: Daemon,
}

impl Twin {
    /// Makes one; nothing where this machine cannot.
    pub fn new() -> Option<Self> {
        if !root() || !available(&["systemctl", "setpriv", "unshare", "nsenter"]) {
            return None;
        }
        let mut holder = Daemon::start(|directory| {
            fs::create_dir_all(directory.join("hold")).expect("a directory");
            for (_, name) in OWN {
                fs::create_dir_all(directory.join("own").join(name)).expect("a directory");
            }
            let mut command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "sh", "-euc", HOLD, "sh"]).arg(directory);
            command
        });
        holder.wait(|daemon| daemon.path("ready").exists().then_some(()));
        let twin = Self { holder };
        for unit in ["khimg-node.service", "kubelet.service"] {
            let text = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
            twin.write(&format!("/etc/systemd/system/{unit}"), text);
            run(twin.command("systemctl").args(["enable", unit]));
        }
        Some(twin)
    }

    /// Where something of the twin is for this process.
    pub fn path(&self, path: &str) -> PathBuf {
        let seen = Path::new("/proc").join(self.holder.id().to_string()).join("root");
        let hold = self.holder.path("hold");
        seen.join(hold.strip_prefix("/").expect("absolute")).join("root").join(path.trim_start_matches('/'))
    }

    /// Writes a file, with the directories above it.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("below")).expect("directories");
        fs::write(path, content).expect("a file");
    }

    /// Reads a file.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Whether something is there.
    pub fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// The permissions of something.
    pub fn mode(&self, path: &str) -> u32 {
        fs::symlink_metadata(self.path(path)).expect("there").permissions().mode() & 0o777
    }

    /// Makes the program at `program` of this machine known there under its own name.
    pub fn lend(&self, program: &Path) {
        let name = program.file_name().expect("a name");
        symlink(program, self.path("/usr/bin").join(name)).expect("a link");
    }

    /// A program of the twin; everything that it starts ends with it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id()))
            .args(["unshare", "--pid", "--fork", "--kill-child=KILL", "chroot"])
            .arg(self.holder.path("hold/root"))
            .arg(program)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("SYSTEMD_OFFLINE", "1")
            .stdin(Stdio::null());
        command
    }

    /// `khimg node …`.
    pub fn node(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(assert_cmd::cargo::cargo_bin!("khimg"));
        command.arg("node").args(arguments);
        command
    }

    /// Runs `khimg node …` to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.node(arguments).output().expect("nsenter")
    }

    /// Runs it and cuts its power after `patience`, unless it ended before; says how it ended then.
    pub fn cut(&self, arguments: &[&str], patience: Duration) -> Option<Output> {
        let mut child = self.node(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("nsenter");
        let end = std::time::Instant::now() + patience;
        while std::time::Instant::now() < end {
            if child.try_wait().expect("a child").is_some() {
                return Some(child.wait_with_output().expect("a child"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        kill_all(child);
        None
    }

    /// Starts containerd where it is on every node, with etcd's image as Kubernetes 1.20.2 names it.
    pub fn containerd(&self) -> Option<Daemon> {
        if !available(&["containerd", "ctr", "runc", "skopeo"]) {
            return None;
        }
        let (source, name) = (format!("docker://{}/google_containers/etcd:3.4.13-0", lab().registry), ETCD_IMAGE);
        let archive = self.holder.path("etcd.tar");
        run(Command::new("skopeo")
            .args(["copy", "--quiet", "--src-tls-verify=false", &source])
            .arg(format!("docker-archive:{}:{name}", archive.display())));
        let mut containerd = Daemon::start(|_| {
            let mut command = Command::new("nsenter");
            command
                .arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id()))
                .arg("chroot")
                .arg(self.holder.path("hold/root"))
                .arg("containerd");
            command
        });
        containerd.wait(|_| self.command("ctr").arg("version").output().ok()?.status.success().then_some(()));
        run(self.command("ctr").args(["--namespace", "k8s.io", "images", "import"]).arg(&archive));
        Some(containerd)
    }
}

/// Ends whatever still runs in it: a container that was cut off has processes of its own.
impl Drop for Twin {
    fn drop(&mut self) {
        let own = self.holder.id().to_string();
        let space = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let Some(twin) = space(&own) else { return };
        let parent = |pid: &str| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.rsplit_once(") ")?.1.split(' ').nth(1).map(str::to_owned)
        };
        // The first process of a container has its own mounts already.
        let belongs = |pid: &String| {
            space(pid).as_ref() == Some(&twin) || parent(pid).and_then(|pid| space(&pid)).as_ref() == Some(&twin)
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let found: Vec<String> = names.filter(|name| *name != own && belongs(name)).collect();
        for pid in found.iter().filter_map(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// The image that [`Twin::containerd`] has.
pub const ETCD_IMAGE: &str = "registry.k8s.io/etcd:3.4.13-0";

/// Ends an `unshare` such as that of [`Twin::command`], and waits until all that it started has ended: the first process of the
/// namespace ends when all others in it have.
pub fn kill_all(mut child: Child) {
    let inside = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap_or_default();
    child.kill().expect("killed");
    child.wait().expect("a child");
    for pid in inside.split_whitespace() {
        while is_alive(pid) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
