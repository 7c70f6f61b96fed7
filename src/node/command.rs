//! Programs of the system, run to their end: no input, a fixed language, and what they say kept for the error.

use std::path::Path;
use std::process::{Command, Stdio};

use super::error::NodeError;

/// How much of a failed program's words an error repeats.
const KEPT: usize = 2000;

/// Whether `program` can be started on this machine.
pub(super) fn exists(program: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|directory| Path::new(directory).join(program).exists())
}

/// What `program` says on its standard output; an error, if it fails.
pub(super) fn output(program: &str, arguments: &[&str]) -> Result<String, NodeError> {
    run(Command::new(program).args(arguments))
}

/// Runs `command`. `PATH` is fixed: units of cloud-init and chroots bring strange ones.
pub(super) fn run(command: &mut Command) -> Result<String, NodeError> {
    run_with(command, Stdio::null())
}

/// Runs `command` with something to read.
pub(super) fn run_with(command: &mut Command, input: Stdio) -> Result<String, NodeError> {
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8").stdin(input);
    let line = || {
        let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).collect();
        words.join(std::ffi::OsStr::new(" ")).to_string_lossy().into_owned()
    };
    let line = shortened(&line(), false);
    let failed = |status: String, output: &str| NodeError::Command {
        command: line.clone(),
        status,
        output: shortened(output, true),
    };
    let ended = command.output().map_err(|error| failed("it did not start".to_owned(), &error.to_string()))?;
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    if ended.status.success() {
        return Ok(said);
    }
    let all = format!("{said}{}", String::from_utf8_lossy(&ended.stderr));
    Err(failed(ended.status.to_string(), &all))
}

/// The end or the beginning of a text, on one line.
fn shortened(text: &str, end: bool) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: Vec<char> = words.join(" ").chars().collect();
    if line.len() <= KEPT {
        line.into_iter().collect()
    } else if end {
        format!("… {}", line.iter().skip(line.len() - KEPT).collect::<String>())
    } else {
        format!("{} …", line.iter().take(KEPT).collect::<String>())
    }
}
