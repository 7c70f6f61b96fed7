//! A real containerd with everything of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::daemon::{Daemon, available, root, run};

/// A running containerd.
pub struct Containerd {
    daemon: Daemon,
}

impl Containerd {
    /// Starts one; nothing where the machine has none.
    pub fn start() -> Option<Self> {
        if !root() || !available(&["containerd", "ctr", "setpriv"]) {
            return None;
        }
        let mut daemon = Daemon::start(|directory| {
            let at = directory.display();
            let config = format!(
                "version = 2\nroot = \"{at}/root\"\nstate = \"{at}/state\"\n\
                 disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
                 [grpc]\naddress = \"{at}/socket\"\n[ttrpc]\naddress = \"{at}/ttrpc\"\n"
            );
            fs::write(directory.join("config.toml"), config).expect("a configuration");
            let mut command = Command::new("containerd");
            command.arg("--config").arg(directory.join("config.toml"));
            command
        });
        daemon.wait(|daemon| {
            let answer = ctr(&daemon.path("socket")).arg("version").output().ok()?;
            answer.status.success().then_some(())
        });
        Some(Self { daemon })
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.daemon.path("socket")
    }

    /// `ctr -n k8s.io …`, where the kubelet looks for images.
    pub fn ctr(&self, arguments: &[&str]) -> String {
        run(ctr(&self.socket()).args(arguments))
    }
}

fn ctr(socket: &Path) -> Command {
    let mut command = Command::new("ctr");
    command.arg("--address").arg(socket).args(["--namespace", "k8s.io"]);
    command
}
