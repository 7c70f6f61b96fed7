//! Nodes say how far they are: the real programs of the node, and the real server.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::{Project, Served, certificate, curl, token};
use crate::support::daemon::{Daemon, available, root, run};

const ANY: [&str; 4] = ["--listen", "127.0.0.1:0", "--status", "127.0.0.1:0"];

/// A machine's root directory with what its seed says about reports.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().expect("a directory") };
        for directory in [machine.settings(), machine.state().join("membership")] {
            fs::create_dir_all(directory).expect("a directory");
        }
        // Where randomness comes from if the kernel gives it no other way.
        fs::create_dir(machine.folder.path().join("dev")).expect("a directory");
        for (name, minor) in [("random", "8"), ("urandom", "9")] {
            if rustix::process::getuid().is_root() {
                run(Command::new("mknod").arg(machine.folder.path().join("dev").join(name)).args(["c", "1", minor]));
            }
        }
        machine
    }

    fn settings(&self) -> PathBuf {
        self.folder.path().join("etc/khimg/report")
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("var/lib/khimg")
    }

    fn told_to(&self, url: &str, token: &str, ca: Option<&Path>) {
        fs::write(self.settings().join("url"), format!("{url}\n")).expect("written");
        fs::write(self.settings().join("token"), format!("{token}\n")).expect("written");
        if let Some(ca) = ca {
            fs::copy(ca, self.settings().join("ca.crt")).expect("copied");
        }
    }

    fn stage0(&self, state: &str, message: &str) {
        let text = format!(
            "{{\"stage\":\"stage0\",\"node\":\"worker-1\",\"state\":\"{state}\",\"bundle\":\"sha256:0\",\"message\":\"{message}\"}}\n"
        );
        fs::write(self.state().join("stage0.json"), text).expect("written");
    }

    fn progress(&self, phase: &str, step: &str, waits: &str) {
        let text = format!(
            "{{\"phase\":\"{phase}\",\"step\":\"{step}\",\"waitingFor\":\"{waits}\",\"since\":\"2026-01-01T00:00:00Z\"}}"
        );
        fs::write(self.state().join("membership/progress.json"), text).expect("written");
    }

    fn report(&self, options: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("khimg"));
        command.args(["node", "report", "--root"]).arg(self.folder.path()).args(options);
        command
    }

    fn once(&self) -> Output {
        self.report(&["--once"]).output().expect("runs")
    }

    /// The script of the seed, with no program to load things with but `loader`.
    fn script(&self, loader: &str) -> Daemon {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("overlays/report/etc/khimg/report/run");
        let source = fs::read_to_string(source).expect("the script");
        // It adds the usual directories; here the path is the test's.
        let (before, after) = source.split_once("PATH=${PATH:-}:").expect("the line that sets PATH");
        let after = after.split_once('\n').expect("a line").1;
        let script = self.folder.path().join("run");
        fs::write(&script, format!("{before}{after}")).expect("written");
        let place = self.folder.path().join(format!("bin-{loader}"));
        fs::create_dir_all(&place).expect("a directory");
        for tool in ["cat", "mkdir", "od", "rm", "sed", "sleep", loader] {
            let found = Path::new("/usr/bin").join(tool);
            std::os::unix::fs::symlink(found, place.join(tool)).expect("a link");
        }
        Daemon::start(|_| {
            let mut command = Command::new("env");
            command.arg(format!("PATH={}", place.display())).arg("/bin/sh").arg(&script);
            command.arg(self.settings()).arg(self.state());
            command
        })
    }
}

fn row(served: &Served) -> serde_json::Value {
    let rows: serde_json::Value = serde_json::from_slice(&curl(&served.page("/status.json"), &[]).body).expect("JSON");
    rows[1].clone()
}

/// Waits until the table says this of worker-1, and gives its row.
fn until(served: &Served, expected: &str) -> serde_json::Value {
    let begin = Instant::now();
    loop {
        let row = row(served);
        if row["told"].to_string().contains(expected) {
            return row;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{expected}: {row}\n{}", served.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_node_says_how_far_it_is() {
    if !root() {
        return;
    }
    let (project, machine) = (Project::new(), Machine::new());
    let served = project.serve(&ANY);
    machine.told_to(&served.url("/report/worker-1"), &token("worker-1"), None);
    machine.stage0("waiting", "no medium and no depot has the bundle yet");
    let _node = Daemon::start(|_| machine.report(&[]));
    let row = until(&served, "no depot has the bundle yet");
    assert_eq!((&row["told"][1]["condition"], &row["node"]), (&"waiting".into(), &"worker-1".into()));
    machine.progress("waiting", "join", "an API server");
    until(&served, "an API server");
    machine.progress("retrying", "join", "");
    until(&served, "failed");
    machine.progress("ready", "ready", "");
    until(&served, "ready");
    assert!(curl(&served.page("/"), &[]).text().contains("ready: ready"));
}

#[test]
fn only_the_authority_of_the_seed_counts() {
    if !root() {
        return;
    }
    let (project, machine) = (Project::new(), Machine::new());
    let folder = tempfile::tempdir().expect("a directory");
    let (good, key) = certificate(folder.path());
    let other = folder.path().join("other");
    fs::create_dir(&other).expect("a directory");
    let (bad, _) = certificate(&other);
    let (certificate, key) = (good.to_str().expect("text"), key.to_str().expect("text"));
    let tls = ["--tls-listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key, "--status", "127.0.0.1:0"];
    let served = project.serve(&tls);
    let url = served.url("/report/worker-1");
    assert!(url.starts_with("https://"));
    machine.progress("waiting", "join", "an API server");
    for ca in [None, Some(bad.as_path())] {
        machine.told_to(&url, &token("worker-1"), ca);
        let refused = machine.once();
        assert!(!refused.status.success(), "{}", String::from_utf8_lossy(&refused.stderr));
        assert!(row(&served)["told"].is_null());
    }
    machine.told_to(&url, &token("worker-1"), Some(&good));
    let heard = machine.once();
    assert!(heard.status.success(), "{}", String::from_utf8_lossy(&heard.stderr));
    until(&served, "an API server");
}

#[test]
fn nobody_speaks_for_another_node() {
    if !root() {
        return;
    }
    let (project, machine) = (Project::new(), Machine::new());
    let served = project.serve(&ANY);
    for wrong in [token("worker-2"), String::new(), "x".repeat(3000)] {
        machine.told_to(&served.url("/report/worker-1"), &wrong, None);
        let refused = machine.once();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(5) && said.contains("403"), "{said}");
        assert!(wrong.is_empty() || !said.contains(&wrong), "{said}");
    }
    assert!(row(&served)["told"].is_null());
    assert!(served.log().contains("127.0.0.1 reports for worker-1 without its token"), "{}", served.log());
    // The digest by which the server knows the token is no token, and is not handed out.
    assert_eq!(curl(&served.url("/secret/worker-1/report.sha256"), &[]).status, 404);
    assert_eq!(curl(&served.url("/public/../secret/worker-1/report.sha256"), &[]).status, 404);
}

#[test]
fn whoever_was_not_told_to_sends_nothing() {
    if !root() {
        return;
    }
    let machine = Machine::new();
    let silent = machine.report(&[]).output().expect("runs");
    assert!(silent.status.success() && String::from_utf8_lossy(&silent.stderr).contains("nobody is told anything"));
}

/// Nobody answers: the node goes on trying, and nothing else of it notices.
#[test]
fn a_server_that_comes_late_hears_it_too() {
    if !root() {
        return;
    }
    let (project, machine) = (Project::new(), Machine::new());
    let port = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
    machine.told_to(&format!("http://{port}/report/worker-1"), &token("worker-1"), None);
    machine.progress("waiting", "join", "an API server");
    let mut node = Daemon::start(|_| machine.report(&[]));
    node.wait(|node| node.log().contains("trying again").then_some(()));
    let served = project.serve(&["--listen", &port.to_string(), "--status", "127.0.0.1:0"]);
    until(&served, "an API server");
}

/// Before the khimg program is there, the script speaks, whatever the machine can load things with; then it makes room.
#[test]
fn stage_0_says_how_far_it_is() {
    let folder = tempfile::tempdir().expect("a directory");
    let (certificate, key) = certificate(folder.path());
    let (certificate, key) = (certificate.to_str().expect("text"), key.to_str().expect("text"));
    let tls = ["--tls-listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key, "--status", "127.0.0.1:0"];
    for loader in ["curl", "python3", "wget"] {
        if !available(&[loader]) {
            continue;
        }
        for options in [&ANY[..], &tls] {
            let (project, machine) = (Project::new(), Machine::new());
            let served = project.serve(options);
            let url = served.url("/report/worker-1");
            machine.told_to(&url, &token("worker-1"), url.starts_with("https").then_some(Path::new(certificate)));
            machine.stage0("loading", "loading http://[fd00::1]/public/bin/khimg-amd64");
            let mut script = machine.script(loader);
            let row = until(&served, "loading http://[fd00::1]/public/bin/khimg-amd64");
            assert_eq!((&row["told"][1]["condition"], &row["told"][1]["step"]), (&"working".into(), &"stage 0".into()));
            machine.stage0("waiting", "no depot has the bundle yet");
            until(&served, "no depot has the bundle yet");
            fs::create_dir_all(machine.state().join("stage0")).expect("a directory");
            let program = machine.state().join("stage0/khimg");
            fs::write(&program, "#!/bin/sh\necho \"now $*\"\nexec sleep 60\n").expect("written");
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its mode");
            script.wait(|script| script.log().contains("now node report").then_some(()));
            assert!(!machine.state().join("report.wgetrc").exists());
        }
    }
}
