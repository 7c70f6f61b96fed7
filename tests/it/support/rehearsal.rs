//! A lab for one test: real nodes from a real delivery. Whatever becomes of the test, nothing of the lab stays.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::daemon::{available, root};
use super::sandbox::Sandbox;

/// The lab's name; there is only one at a time.
const NAME: &str = "test";

/// How long anything may take on a machine with two busy cores.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// A lab that is up. Dropped, it is gone.
pub struct Rehearsal {
    delivery: Arc<Sandbox>,
    /// Held as long as the lab is there: two labs would not fit into the memory of a small machine.
    _turn: File,
}

/// Where the tests keep what is worth keeping.
pub fn cache() -> PathBuf {
    let cache =
        std::env::var_os("KHIMG_LAB_CACHE").map_or_else(|| PathBuf::from("/var/cache/khimg-lab"), PathBuf::from);
    std::fs::create_dir_all(&cache).expect("a cache directory");
    cache
}

/// The delivery of a cluster file, built once for all tests that ask for the same.
pub fn delivery(cluster: &str) -> Arc<Sandbox> {
    static BUILT: OnceLock<Mutex<BTreeMap<String, Arc<Sandbox>>>> = OnceLock::new();
    let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let build = || {
        let sandbox = Sandbox::new();
        sandbox.write("cluster.yaml", cluster);
        // One store for all: what one cluster fetched and packed, the next need not.
        let store = cache().join("store");
        sandbox.khimg(["build", "--store"]).arg(store).assert().success();
        Arc::new(sandbox)
    };
    Arc::clone(built.entry(cluster.to_owned()).or_insert_with(build))
}

impl Rehearsal {
    /// Everything for a lab but the lab itself. Nothing, where this machine cannot have one; it says why.
    pub fn prepare(cluster: &str) -> Option<Self> {
        if !root() || !available(&["systemd-nspawn", "mmdebstrap", "ip", "nsenter", "mkfs.ext4"]) {
            return None;
        }
        let turn = File::create(cache().join("lab.turn")).expect("a lock");
        turn.lock().expect("the lock");
        let rehearsal = Self { delivery: delivery(cluster), _turn: turn };
        // What a killed test left; nobody else can have it, for it is our turn.
        rehearsal.lab(&["down"]).stderr(Stdio::null()).status().expect("khimg starts");
        Some(rehearsal)
    }

    /// Boots the nodes of a cluster file, with further arguments for `lab up`, and returns when they have power. Nothing, where
    /// this machine cannot have a lab; it says why.
    pub fn start(cluster: &str, arguments: &[&str]) -> Option<Self> {
        let rehearsal = Self::prepare(cluster)?;
        rehearsal.start_up(arguments);
        Some(rehearsal)
    }

    /// Boots the nodes, and returns when they have power.
    pub fn start_up(&self, arguments: &[&str]) {
        let mut up = self.up(&[&["--no-wait"], arguments].concat());
        assert!(up.status().expect("khimg starts").success(), "the lab does not come up");
    }

    /// Ends the lab.
    pub fn down(&self) {
        assert!(self.lab(&["down"]).status().expect("khimg starts").success(), "the lab does not go");
    }

    /// `khimg lab up`.
    pub fn up(&self, arguments: &[&str]) -> Command {
        let mut up = self.lab(&["up"]);
        up.arg("--bases").arg(cache().join("bases")).args(arguments).stdout(Stdio::null());
        up
    }

    /// `khimg lab …` for this lab.
    pub fn lab(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("khimg"));
        command.current_dir(self.delivery.root()).env("NO_COLOR", "1").arg("--quiet").arg("lab");
        let (verb, rest) = arguments.split_first().expect("a command");
        command.arg(verb);
        let (deeper, rest) = if *verb == "fault" { rest.split_at(1) } else { rest.split_at(0) };
        command.args(deeper).arg("--dir").arg(cache().join("labs")).args(["--name", NAME]).args(rest);
        command
    }

    /// The lab's directory.
    pub fn directory(&self) -> PathBuf {
        cache().join("labs").join(NAME)
    }

    /// `khimg lab status --json`.
    pub fn status(&self) -> Value {
        let output = self.lab(&["status", "--json"]).output().expect("khimg starts");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// The lab's network namespace, for clients that are no node.
    pub fn namespace(&self) -> PathBuf {
        PathBuf::from(self.status()["namespace"].as_str().expect("a path"))
    }

    /// Names of the nodes that are on.
    pub fn nodes(&self) -> Vec<String> {
        let status = self.status();
        let nodes = status["nodes"].as_array().expect("nodes").iter();
        nodes.filter(|node| node["on"] == true).map(|node| node["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// Runs words of a shell on a node.
    pub fn run(&self, node: &str, script: &str) -> Output {
        self.lab(&["exec", node, "--", "sh", "-c", script]).stdin(Stdio::null()).output().expect("khimg starts")
    }

    /// What words of a shell on a node print; they must succeed.
    pub fn must(&self, node: &str, script: &str) -> String {
        let output = self.run(node, script);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "on {node}: {script}\n{out}{err}");
        out.into_owned()
    }

    /// Lets something happen: `fault(&["power-off", "master-1"])`.
    pub fn fault(&self, arguments: &[&str]) {
        let output = self.lab(&[&["fault"], arguments].concat()).output().expect("khimg starts");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Waits until every node that is on says that it is ready. Gives how long that took.
    pub fn wait_ready(&self) -> Duration {
        let begun = Instant::now();
        self.until("all nodes are ready", || {
            let status = self.status();
            let nodes = status["nodes"].as_array().expect("nodes").iter();
            let late: Vec<String> = nodes
                .filter(|node| node["on"] == true && node["ready"] != true)
                .map(|node| format!("{}: {}", node["name"], node["state"]))
                .collect();
            if late.is_empty() { Ok(()) } else { Err(late.join("; ")) }
        });
        begun.elapsed()
    }

    /// Looks again and again until `condition` holds; says what it said last if it never does.
    pub fn until<T>(&self, what: &str, mut condition: impl FnMut() -> Result<T, String>) -> T {
        let begun = Instant::now();
        loop {
            match condition() {
                Ok(value) => return value,
                Err(why) => assert!(begun.elapsed() < PATIENCE, "it never came that {what}: {why}"),
            }
            std::thread::sleep(LOOK);
        }
    }

    /// `kubectl` on the first master that is on, against its own API server; nothing, if it fails.
    pub fn try_kubectl(&self, arguments: &str) -> Result<String, String> {
        let master = self.nodes().into_iter().find(|node| node.starts_with("master"));
        let master = master.ok_or("no master is on")?;
        let output = self.run(&master, &format!("kubectl --request-timeout=10s {arguments}"));
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Whether every master that is on says that its own API server is ready.
    pub fn all_masters_answer(&self) -> Result<(), String> {
        for master in self.nodes().into_iter().filter(|node| node.starts_with("master")) {
            let address = self.must(&master, "hostname --ip-address 2>/dev/null || getent hosts $(hostname)");
            let address = address.split_whitespace().next().unwrap_or_default().to_owned();
            let ready = format!("kubectl --request-timeout=5s --server https://{address}:6443 get --raw /readyz");
            let answer = self.run(&master, &ready);
            if !answer.status.success() {
                return Err(format!("{master}: {}", String::from_utf8_lossy(&answer.stderr)));
            }
        }
        Ok(())
    }

    /// `kubectl` that must succeed.
    pub fn kubectl(&self, arguments: &str) -> String {
        self.try_kubectl(arguments).unwrap_or_else(|error| panic!("kubectl {arguments}: {error}"))
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        if std::thread::panicking() && self.directory().exists() {
            eprintln!("{:#}", self.status());
            for node in self.nodes() {
                let journal = self.run(&node, "journalctl -b --no-pager -n 60");
                eprintln!("--- journal of {node}\n{}", String::from_utf8_lossy(&journal.stdout));
            }
        }
        if self.directory().exists() {
            // A test that has failed already says why.
            let down = self.lab(&["down"]).status();
            assert!(std::thread::panicking() || down.is_ok_and(|status| status.success()), "the lab does not go");
        }
    }
}

/// One part of a long test, with how long it took.
pub fn step<T>(name: &str, step: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    println!("{name} …");
    let result = step();
    println!("{name}: {:.1} s", begun.elapsed().as_secs_f64());
    result
}
