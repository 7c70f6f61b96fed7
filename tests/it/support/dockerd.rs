//! A real dockerd with everything of its own, on a containerd of ours.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::containerd::Containerd;
use super::daemon::{Daemon, available, root, run};

/// A running dockerd.
pub struct Dockerd {
    // Dropped in this order: dockerd needs its containerd until it has ended.
    daemon: Daemon,
    _containerd: Containerd,
}

impl Dockerd {
    /// Starts one without any network of its own; nothing where the machine has none.
    pub fn start() -> Option<Self> {
        // vfs is the one storage driver that needs nothing of the kernel.
        Self::with_configuration(
            r#"{"bridge": "none", "iptables": false, "ip6tables": false, "ip-masq": false, "storage-driver": "vfs"}"#,
        )
    }

    /// Starts one with this `daemon.json`, which names no directory.
    pub fn with_configuration(configuration: &str) -> Option<Self> {
        if !root() || !available(&["dockerd", "docker", "setpriv"]) {
            return None;
        }
        let containerd = Containerd::start()?;
        let socket = containerd.socket();
        let mut daemon = Daemon::start(|directory| {
            let config = directory.join("daemon.json");
            fs::write(&config, configuration).expect("a configuration");
            let mut command = Command::new("dockerd");
            command.arg("--config-file").arg(config);
            command.arg("--containerd").arg(socket);
            command.arg("--data-root").arg(directory.join("root"));
            command.arg("--exec-root").arg(directory.join("exec"));
            command.arg("--pidfile").arg(directory.join("pid"));
            command.arg("--host").arg(format!("unix://{}", directory.join("socket").display()));
            command.arg("--ip-forward=false");
            command
        });
        daemon.wait(|daemon| docker(daemon.directory()).arg("version").output().ok()?.status.success().then_some(()));
        Some(Self { daemon, _containerd: containerd })
    }

    /// `docker …`
    pub fn docker(&self, arguments: &[&str]) -> String {
        run(docker(self.daemon.directory()).args(arguments))
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // dockerd mounts its data root onto itself; one that is killed leaves that behind, and the directory could not be removed.
        let _ = Command::new("umount").args(["--quiet", "--lazy"]).arg(self.daemon.path("root")).status();
    }
}

fn docker(directory: &Path) -> Command {
    let mut command = Command::new("docker");
    command.arg("--host").arg(format!("unix://{}", directory.join("socket").display()));
    command.env("DOCKER_CONFIG", directory);
    command
}
