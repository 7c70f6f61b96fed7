//! A real daemon for one test: its own directory, ended by its process id.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long any of them may take to come up or go down on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// Whether `program` can be run here; says why the test is left out otherwise.
pub fn available(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing: Vec<_> = programs
        .iter()
        .filter(|program| !std::env::split_paths(&path).any(|directory| directory.join(program).is_file()))
        .collect();
    if !missing.is_empty() {
        println!("skipped: {missing:?} not installed");
    }
    missing.is_empty()
}

/// Whether the test runs as root; says why it is left out otherwise.
pub fn root() -> bool {
    let root = rustix::process::getuid().is_root();
    if !root {
        println!("skipped: needs root");
    }
    root
}

/// A running daemon and its directory.
pub struct Daemon {
    child: Child,
    directory: TempDir,
}

impl Daemon {
    /// Starts what `command` makes of a fresh directory. It dies with the thread that called this, however that ends.
    pub fn start(prepare: impl FnOnce(&Path) -> Command) -> Self {
        // Unix sockets have short names, so not below a deep target directory.
        let directory = TempDir::with_prefix("khimg-").expect("a temporary directory");
        let wanted = prepare(directory.path());
        let log = File::create(directory.path().join("log")).expect("a log file");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .arg(wanted.get_program())
            .args(wanted.get_args())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("setpriv starts");
        Self { child, directory }
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A file in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap_or_default()).into_owned()
    }

    /// Ends it without warning, as a loss of power would.
    pub fn kill(mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    /// The most memory that it has held, in bytes (`VmHWM`, proc_pid_status(5)).
    pub fn peak_memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak.unwrap_or(0_u64) * 1024
    }

    /// Asks again and again until `ready` answers, the daemon ends or patience does.
    pub fn wait<T>(&mut self, mut ready: impl FnMut(&Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(answer) = ready(self) {
                return answer;
            }
            let ended = self.child.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "ended early: {}", self.log());
            assert!(begun.elapsed() < PATIENCE, "not up in time: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let Some(pid) = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or_default()) else {
            return;
        };
        // One that has ended may have left its number to another.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begun.elapsed() > PATIENCE {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}", self.directory.path().display(), self.log());
        }
    }
}

/// Runs a program to its end and returns what it wrote; panics with both streams if it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{out}{err}");
    out.into_owned()
}
