//! Programs of the system: which are needed, from which of Debian's packages, and how they are run.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::error::LabError;
use super::interrupt::Interrupt;

/// Every program that a lab calls, with Debian's package that has it.
const NEEDED: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mmdebstrap", "mmdebstrap"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("systemd-nspawn", "systemd-container"),
    ("tc", "iproute2"),
    ("umount", "mount"),
];

/// Where they are looked for; the caller's own `PATH` may lack the system's directories.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How much of a failed program's words an error repeats, in characters.
const KEPT: usize = 1500;

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Whether a program is on this machine.
fn exists(program: &str) -> bool {
    PATH.split(':').any(|directory| Path::new(directory).join(program).is_file())
}

/// Everything is there that a lab calls, `further` programs too.
pub(super) fn check(further: &[(&'static str, &'static str)]) -> Result<(), LabError> {
    let needed = NEEDED.iter().chain(further);
    let missing: Vec<_> = needed.filter(|(program, _)| !exists(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(LabError::Missing {
        programs: missing.iter().map(|(program, _)| *program).collect(),
        packages: missing.iter().map(|(_, package)| *package).collect(),
    })
}

/// A command with nothing of this process's surroundings: no input, a fixed language and path.
pub(super) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    // A Ctrl-C is for khimg, which then ends what it started.
    command.process_group(0);
    command
}

/// Runs `program` to its end and gives what it wrote to its standard output.
pub(super) fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Result<String, LabError> {
    let mut command = command(program);
    command.args(arguments);
    let ended = command.output().map_err(|error| failed(&command, "it did not start", &error.to_string()))?;
    judge(&command, &ended)
}

/// Runs a program that takes long, and ends it if the user wants no more.
pub(super) fn run_long(mut command: Command, interrupt: &Interrupt) -> Result<String, LabError> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(&command, "it did not start", &error.to_string()))?;
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let status = loop {
        if let Ok(Some(status)) = child.try_wait() {
            break status;
        }
        if interrupt.is_set() {
            end(&mut child);
            return Err(LabError::Interrupted);
        }
        std::thread::sleep(LOOK);
    };
    let collect = |thread: std::thread::JoinHandle<Vec<u8>>| thread.join().unwrap_or_default();
    judge(&command, &Output { status, stdout: collect(stdout), stderr: collect(stderr) })
}

/// Reads a pipe to its end beside the work, so that the program never waits for its reader.
fn drain<R: Read + Send + 'static>(pipe: Option<R>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        if let Some(mut pipe) = pipe {
            // What cannot be read is not shown; how the program ended decides.
            let _ = pipe.read_to_end(&mut all);
        }
        all
    })
}

/// Asks a child to end, and all that it started with it; waits until it has.
fn end(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, Signal::TERM);
    }
    for _ in 0..500 {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        std::thread::sleep(LOOK);
    }
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
        let _ = kill_process(group, Signal::KILL);
    }
    let _ = child.wait();
}

fn judge(command: &Command, ended: &Output) -> Result<String, LabError> {
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    let said = [&ended.stdout[..], &ended.stderr[..]].concat();
    Err(failed(command, &ended.status.to_string(), &String::from_utf8_lossy(&said)))
}

fn failed(command: &Command, status: &str, output: &str) -> LabError {
    let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).collect();
    let line = words.join(OsStr::new(" ")).to_string_lossy().into_owned();
    LabError::Program { command: line, status: status.to_owned(), output: tail(output) }
}

/// The end of a text, on one line.
pub(super) fn tail(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let length = line.chars().count();
    if length <= KEPT { line } else { format!("… {}", line.chars().skip(length - KEPT).collect::<String>()) }
}
