//! What the runtime does for a recovery: ends containers, and runs etcd's own tool out of etcd's image.

use std::path::Path;

use super::RecoveryError;
use crate::clock;
use crate::kubernetes::Runtime;
use crate::node::command;
use crate::node::error::NodeError;

/// What the names of containers begin with that the tool runs in.
const NAME: &str = "khimg-restore";

/// What kubelets mark every container with.
const LABEL: &str = "io.kubernetes.container.name";

/// Ends all containers of pods: the control plane's, and those that would wait for news of a cluster that is no more. The
/// kubelet must not run, or it starts them anew.
pub(super) fn end_pods(runtime: Runtime) -> Result<(), NodeError> {
    let ids = match runtime {
        Runtime::Containerd => ctr(&["containers", "list", "--quiet", &format!("labels.\"{LABEL}\"")])?,
        Runtime::Docker => {
            command::output("docker", &["ps", "--quiet", "--no-trunc", "--filter", &format!("label={LABEL}")])?
        }
    };
    for id in ids.split_whitespace() {
        match runtime {
            Runtime::Containerd => kill(id)?,
            Runtime::Docker => drop(command::output("docker", &["kill", id])?),
        }
    }
    Ok(())
}

/// Ends one container of containerd, and waits until it has.
fn kill(id: &str) -> Result<(), NodeError> {
    let runs = || -> Result<bool, NodeError> {
        let tasks = ctr(&["tasks", "list"])?;
        Ok(tasks.lines().any(|line| line.starts_with(id) && line.contains("RUNNING")))
    };
    for _ in 0..100 {
        if !runs()? {
            return Ok(());
        }
        // It may end by itself in between.
        let _ended = ctr(&["tasks", "kill", "--signal", "SIGKILL", id]);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Err(RecoveryError::StillRuns { container: id.to_owned(), seconds: 10 }.into())
}

/// Runs a program out of `image`, without a network, as root, with the directory `shared` where it is here. What an
/// interrupted run of this left is ended first.
pub(super) fn run(runtime: Runtime, image: &str, shared: &Path, program: &[&str]) -> Result<String, NodeError> {
    let shared = shared.display();
    match runtime {
        Runtime::Containerd => {
            for id in ctr(&["containers", "list", "--quiet"])?.lines().filter(|id| id.starts_with(NAME)) {
                // Which of them it still has depends on when it was interrupted.
                for left in [&["tasks", "delete", "--force"][..], &["containers", "delete"], &["snapshots", "delete"]] {
                    let _gone = ctr(&[left, &[id]].concat());
                }
            }
            let mount = format!("type=bind,src={shared},dst={shared},options=rbind:rw");
            // A name of its own: containerd may not be done yet with an interrupted run.
            let name = format!("{NAME}-{}", clock::now().as_nanosecond());
            let head = ["run", "--rm", "--env", "ETCDCTL_API=3", "--mount", &mount, image, &name];
            ctr(&[&head, program].concat())
        }
        Runtime::Docker => {
            let label = format!("khimg={NAME}");
            let left = command::output("docker", &["ps", "--all", "--quiet", "--filter", &format!("label={label}")])?;
            for id in left.split_whitespace() {
                command::output("docker", &["rm", "--force", id])?;
            }
            let volume = format!("{shared}:{shared}");
            let (first, rest) = program.split_first().map_or(("", &[][..]), |(first, rest)| (*first, rest));
            let safe = ["run", "--rm", "--network", "none", "--pull", "never", "--env", "ETCDCTL_API=3"];
            let own = ["--label", &label, "--volume", &volume, "--entrypoint", first, image];
            command::output("docker", &[&safe[..], &own, rest].concat())
        }
    }
}

/// containerd's client, in the kubelet's namespace.
fn ctr(words: &[&str]) -> Result<String, NodeError> {
    command::output("ctr", &[&["--namespace", "k8s.io"], words].concat())
}
