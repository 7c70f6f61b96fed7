//! Programs of this machine that make a root: what is needed, and how they are kept apart from everything else.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::error::ImageError;
use crate::clock::ARCHIVE_EPOCH;

/// Every program that is called here, with Debian's package that has it.
const NEEDED: &[(&str, &str)] = &[
    ("chroot", "coreutils"),
    ("cp", "coreutils"),
    ("dpkg-deb", "dpkg"),
    ("mmdebstrap", "mmdebstrap"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
];

/// Where they are looked for.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// How long any of them may run: all of mmdebstrap's work takes minutes on a slow disk.
const MINUTES: u64 = 60;

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// How much of what a program says is kept, in bytes, and how much of that an error repeats, in characters and lines.
const KEPT: usize = 64 << 10;
const TOLD: usize = 3000;
const TOLD_LINES: usize = 15;

/// Whether this process may make images here, and has the programs for it.
pub(super) fn check() -> Result<(), ImageError> {
    let exists = |program: &str| PATH.split(':').any(|directory| Path::new(directory).join(program).is_file());
    let missing: Vec<_> = NEEDED.iter().filter(|(program, _)| !exists(program)).collect();
    if !missing.is_empty() {
        return Err(ImageError::Missing {
            programs: missing.iter().map(|(program, _)| *program).collect(),
            packages: missing.iter().map(|(_, package)| *package).collect(),
        });
    }
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(ImageError::NotRoot) }
}

/// A command that has nothing of this process's surroundings: no environment, no input.
pub(super) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8").env("TZ", "UTC").stdin(Stdio::null());
    command
}

/// A command that has no network, no mount and no process of this machine's, and dies with this process, with all that it started
/// and mounted.
pub(super) fn apart(program: &str) -> Command {
    let mut command = command("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "--pid", "--fork"]);
    command.args(["--kill-child", "--mount-proc", "--net", "--uts", "--ipc"]);
    command.args(["sh", "-c", "umask 022; exec \"$@\"", "sh", program]);
    command.env("SOURCE_DATE_EPOCH", ARCHIVE_EPOCH.to_string()).env("HOME", "/root");
    command
}

/// Runs a command to its end; gives what it says on its standard output.
pub(super) fn run(mut command: Command) -> Result<Vec<u8>, ImageError> {
    let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).collect();
    let line = begin(&words.join(OsStr::new(" ")).to_string_lossy());
    let failed =
        |status: String, output: &str| ImageError::Program { command: line.clone(), status, output: end(output) };
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed("it did not start".to_owned(), &error.to_string()))?;
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let end = Instant::now() + Duration::from_secs(MINUTES * 60);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < end => thread::sleep(LOOK),
            _ => {
                let _gone = child.kill().and_then(|()| child.wait());
                return Err(ImageError::Endless { command: line, minutes: MINUTES });
            }
        }
    };
    let (said, complaints) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
    if status.success() {
        return Ok(said);
    }
    let all = [&said[..], &complaints[..]].concat();
    Err(failed(status.to_string(), &String::from_utf8_lossy(&all)))
}

/// Reads a pipe to its end beside the work, and keeps the end of what comes.
fn drain<R: Read + Send + 'static>(pipe: Option<R>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut kept, mut block) = (Vec::new(), [0; 4096]);
        if let Some(mut pipe) = pipe {
            while let Ok(count @ 1..) = pipe.read(&mut block) {
                kept.extend_from_slice(block.get(..count).unwrap_or_default());
                if kept.len() > 2 * KEPT {
                    kept.drain(..kept.len() - KEPT);
                }
            }
        }
        kept
    })
}

/// The beginning of a text, on one line.
fn begin(text: &str) -> String {
    shortened(text, TOLD / 4)
}

/// The last lines of a text, none of them long: mmdebstrap repeats whole command lines.
fn end(text: &str) -> String {
    let lines: Vec<String> =
        text.lines().rev().take(TOLD_LINES).map(|line| shortened(line, TOLD / TOLD_LINES)).collect();
    let lines: Vec<String> = lines.into_iter().rev().filter(|line| !line.is_empty()).collect();
    lines.join("\n  ")
}

fn shortened(text: &str, most: usize) -> String {
    let line: Vec<char> = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
    match line.get(..most) {
        Some(begin) if line.len() > most => format!("{} …", begin.iter().collect::<String>()),
        _ => line.into_iter().collect(),
    }
}
