//! khimg as a user runs it.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::sandbox::Sandbox;

/// What a run took.
pub struct Run {
    pub time: Duration,
    /// The most memory that it held, in bytes.
    pub memory: u64,
}

/// khimg in the sandbox's project, with nothing of this machine's environment.
pub fn khimg(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("khimg"));
    command.args(arguments).arg("--quiet").current_dir(sandbox.root()).env_clear().env("KHIMG_STORE", sandbox.store());
    command
}

/// Runs it to its end, which must be a good one.
pub fn run(command: &mut Command) -> Duration {
    let begin = Instant::now();
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    let time = begin.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    time
}

/// Like [`run`], and watches the memory: the kernel keeps the peak (`VmHWM`, proc_pid_status(5)) as long as the process lives.
pub fn watch(command: &mut Command) -> Run {
    let begin = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the program starts");
    let status = format!("/proc/{}/status", child.id());
    let mut memory = 0;
    let end = loop {
        if let Some(end) = child.try_wait().expect("a child") {
            break end;
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        memory = memory.max(peak.unwrap_or(0_u64) * 1024);
        std::thread::sleep(Duration::from_millis(5));
    };
    let time = begin.elapsed();
    assert!(end.success(), "{command:?} failed");
    Run { time, memory }
}
