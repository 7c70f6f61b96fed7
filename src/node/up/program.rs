//! Programs of Kubernetes, run to their end within a bounded time. What they say is kept for the error, without tokens.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::node::error::NodeError;

/// How long one step may take. kubeadm itself gives up on an API server after one to five minutes.
const PATIENCE: Duration = Duration::from_secs(420);

/// How much of a failed program's words an error repeats, in characters.
const KEPT: usize = 1500;

/// `kubeadm init phase PHASE… --config CONFIG`.
pub(super) async fn phase(phase: &[&str], config: &Path) -> Result<(), NodeError> {
    let mut command = Command::new("kubeadm");
    command.args(["init", "phase"]).args(phase).arg("--config").arg(config);
    run(command).await
}

/// Runs `command`; nothing of this process's environment reaches it.
pub(in crate::node) async fn run(mut command: Command) -> Result<(), NodeError> {
    command
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let line = {
        let command = command.as_std();
        let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).collect();
        words.join(std::ffi::OsStr::new(" ")).to_string_lossy().into_owned()
    };
    let failed =
        |status: String, output: &str| NodeError::Command { command: line.clone(), status, output: told(output) };
    let child = command.spawn().map_err(|error| failed("it did not start".to_owned(), &error.to_string()))?;
    match tokio::time::timeout(PATIENCE, child.wait_with_output()).await {
        Err(_) => Err(failed(format!("no end within {} s", PATIENCE.as_secs()), "")),
        Ok(Err(error)) => Err(failed("it was lost".to_owned(), &error.to_string())),
        Ok(Ok(ended)) if ended.status.success() => Ok(()),
        Ok(Ok(ended)) => {
            let said = [ended.stdout, b"\n".to_vec(), ended.stderr].concat();
            Err(failed(ended.status.to_string(), &String::from_utf8_lossy(&said)))
        }
    }
}

/// The end of what a program said, on one line, with stars in the place of anything that looks like a bootstrap token.
fn told(output: &str) -> String {
    let words: Vec<String> = output.split_whitespace().map(without_tokens).collect();
    let line: Vec<char> = words.join(" ").chars().collect();
    let skipped = line.len().saturating_sub(KEPT);
    let end: String = line.into_iter().skip(skipped).collect();
    if skipped > 0 { format!("… {end}") } else { end }
}

/// A bootstrap token is `[a-z0-9]{6}.[a-z0-9]{16}` (kubernetes.io, "Authenticating with bootstrap tokens").
fn without_tokens(word: &str) -> String {
    let is_letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = word.as_bytes();
    let looks = |window: &[u8]| {
        window.iter().enumerate().all(|(at, byte)| if at == 6 { *byte == b'.' } else { is_letter(byte) })
    };
    if bytes.windows(23).any(looks) { "***".to_owned() } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_not_repeated() {
        assert_eq!(told("using  token:\nabcdef.0123456789abcdef now"), "using token: *** now");
        assert_eq!(told("token=\"abcdef.0123456789abcdef\"."), "***");
        assert_eq!(told("etcd.local.example.org 10.0.0.11:6443"), "etcd.local.example.org 10.0.0.11:6443");
        assert_eq!(told(&"x ".repeat(2000)).chars().count(), KEPT + 2);
    }

    #[tokio::test]
    async fn a_failed_program_is_named_with_its_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let error = run(command).await.expect_err("fails").to_string();
        assert!(error.contains("exit status: 3") && error.contains("out err"), "{error}");
        assert!(run(Command::new("/no/such/program")).await.is_err());
    }
}
