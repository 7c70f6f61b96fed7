//! A cluster brought back from a snapshot, with a real etcd, its own tool out of its image in a real containerd, and power
//! cuts at any moment.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::daemon::Daemon;
use crate::support::etcd::Servers;
use crate::support::twin::{ETCD_IMAGE, Twin, kill_all};

/// How long one command may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A master with an etcd of its own, and two others, `m1` to `m3`; the twin is the first of them.
struct Master {
    servers: Servers,
    twin: Twin,
    _containerd: Daemon,
}

impl Master {
    fn new() -> Option<Self> {
        let (mut servers, twin) = (Servers::new(3)?, Twin::new()?);
        let containerd = twin.containerd()?;
        let own = &servers.list[0];
        let members: String = servers
            .list
            .iter()
            .map(|server| format!("- {{name: {}, role: master, address: {}}}\n", server.name, server.address))
            .collect();
        twin.write(
            "/etc/khimg/node.yaml",
            format!(
                "version: 1\ncluster: demo\ncaHash: sha256:{:064}\nname: {}\nrole: master\naddress: {}/8\n\
                 target: {{os: debian-12, arch: amd64}}\nkubernetes: 1.20.2\nruntime: containerd\nbootstrap: symmetric\n\
                 etcd: stacked\ncni: bridge\ndns: none\nendpoint: {{mode: stacked, address: {}, port: 8443}}\n\
                 joinSeconds: 86400\ntokenSeconds: 86400\nnodes:\n{members}",
                0, own.name, own.address, own.address
            ),
        );
        let (repository, tag) = ETCD_IMAGE.rsplit_once("/etcd:").expect("a tag");
        let stored = format!("etcd:\n  local: {{imageRepository: {repository}, imageTag: {tag}}}\n");
        twin.write("/etc/khimg/kubeadm-stored.yaml", stored);
        for file in ["ca.crt", "ca.key"] {
            let content = fs::read(servers.pki.file(file)).expect("a file");
            twin.write(&format!("/etc/kubernetes/pki/etcd/{file}"), content);
        }
        servers.list[0].data = twin.path("/var/lib/etcd");
        Some(Self { servers, twin, _containerd: containerd })
    }

    /// All three as one cluster.
    fn start_all(&mut self) {
        let membership = self.servers.membership(0..3);
        (0..3).for_each(|at| self.servers.run(at, &membership, "new"));
        self.servers.wait_ready(0..3);
    }

    fn stop_all(&mut self) {
        (0..3).for_each(|at| self.servers.stop(at));
    }

    /// The only snapshot.
    fn snapshot(&self) -> String {
        succeed(&self.twin.run(&["snapshot"]));
        let found = fs::read_dir(self.twin.path("/var/lib/khimg/snapshots")).expect("listed");
        let names = found.map(|entry| entry.expect("an entry").file_name().into_string().expect("text"));
        let found: Vec<String> = names.filter(|name| name.ends_with(".db")).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        format!("/var/lib/khimg/snapshots/{}", found[0])
    }

    /// Restores, and does what the kubelet does as soon as it is started: it starts etcd on what is there.
    fn restore(&mut self, snapshot: &str) {
        let log = self.servers.path("restore.log");
        let file = File::create(&log).expect("a file");
        let mut command = self.twin.node(&["restore", snapshot]);
        let mut child = command.stdout(Stdio::null()).stderr(file).spawn().expect("nsenter");
        let said = || fs::read_to_string(&log).expect("text");
        let end = Instant::now() + PATIENCE;
        while !said().contains("starting the control plane") {
            assert!(child.try_wait().expect("a child").is_none() && Instant::now() < end, "{}", said());
            std::thread::sleep(Duration::from_millis(5));
        }
        // What its manifest says counts for an empty disk only.
        let membership = self.servers.membership(0..3);
        self.servers.run(0, &membership, "new");
        while child.try_wait().expect("a child").is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        let ended = child.try_wait().expect("a child");
        if ended.is_none() {
            kill_all(child);
        }
        assert!(ended.is_some_and(|status| status.success()), "{}", said());
    }

    fn keys(&self) -> Vec<String> {
        let found = self.servers.etcdctl(0, &["get", "--prefix", "", "--keys-only"]);
        found.split_whitespace().map(str::to_owned).collect()
    }

    fn members(&self) -> Vec<String> {
        let list = self.servers.etcdctl(0, &["member", "list"]);
        list.lines().filter_map(|line| line.split(", ").nth(2)).map(str::to_owned).collect()
    }

    /// The units that come up with the machine.
    fn enabled(&self) -> bool {
        let wants = "/etc/systemd/system/multi-user.target.wants";
        let units = ["khimg-node.service", "kubelet.service"].map(|unit| self.twin.exists(&format!("{wants}/{unit}")));
        assert_eq!(units[0], units[1], "both or none");
        units[0]
    }

    /// Everything below etcd's directory that has the mark of [`Self::mark`].
    fn marked(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.twin.path("/var/lib/etcd")).expect("listed");
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.join("mark").exists()).collect()
    }

    /// Marks the data that is there now.
    fn mark(&self) {
        self.twin.write("/var/lib/etcd/member/mark", "");
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn succeed(output: &Output) {
    assert!(output.status.success(), "{}", text(output));
}

/// Expects an exit code and a word.
#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
}

#[test]
fn a_cluster_comes_back_from_a_snapshot() {
    let Some(mut master) = Master::new() else { return };
    master.start_all();
    master.servers.etcdctl(0, &["put", "before", "1"]);
    let snapshot = master.snapshot();
    assert_eq!((master.twin.mode("/var/lib/khimg/snapshots"), master.twin.mode(&snapshot)), (0o700, 0o600));
    master.servers.etcdctl(0, &["put", "after", "1"]);

    // A cluster that lives is left alone, and so is everything here.
    refused(&master.twin.run(&["restore", &snapshot]), 3, &["m2, m3", "khimg node stop"]);
    // A server without a majority does not answer its clients, and would make the old cluster live once it found one.
    (0..2).for_each(|at| master.servers.stop(at));
    let membership = master.servers.membership(0..3);
    master.servers.stop(2);
    master.servers.run(2, &membership, "new");
    let end = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect((master.servers.list[2].address, 2380)).is_err() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    refused(&master.twin.run(&["restore", &snapshot]), 3, &["runs on m3"]);
    assert!(master.enabled(), "a refusal stops nothing");
    master.stop_all();

    // One bit.
    let good = fs::read(master.twin.path(&snapshot)).expect("a snapshot");
    for at in [0, good.len() / 2, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        master.twin.write("/damaged.db", &bytes);
        refused(&master.twin.run(&["restore", "/damaged.db"]), 6, &["/damaged.db is no whole snapshot"]);
    }
    master.twin.write("/damaged.db", &good[..good.len() - 512]);
    refused(&master.twin.run(&["restore", "/damaged.db"]), 6, &["/damaged.db is no whole snapshot"]);
    refused(&master.twin.run(&["restore", "/nowhere.db"]), 7, &["/nowhere.db"]);
    assert!(master.enabled() && master.twin.exists("/var/lib/etcd/member/wal"), "a refusal changes nothing");

    // The data is gone, the snapshot is not.
    fs::remove_dir_all(master.twin.path("/var/lib/etcd/member")).expect("removed");
    master.restore(&snapshot);
    assert_eq!((master.keys(), master.members()), (vec!["before".to_owned()], vec!["m1".to_owned()]));
    assert!(master.enabled());
    assert_eq!(master.twin.mode("/var/lib/etcd"), 0o700);
    let left = fs::read_dir(master.twin.path("/var/lib/etcd")).expect("listed").count();
    assert_eq!(left, 1, "nothing but the data is left");

    // And once more, over data: what was there stays.
    master.servers.etcdctl(0, &["put", "new", "1"]);
    master.servers.stop(0);
    master.mark();
    master.restore(&snapshot);
    assert_eq!(master.keys(), ["before"]);
    assert_eq!(master.marked(), [master.twin.path("/var/lib/etcd/member.1")]);
}

#[test]
fn a_power_cut_at_any_moment_of_a_restore_costs_nothing() {
    let Some(mut master) = Master::new() else { return };
    master.start_all();
    master.servers.etcdctl(0, &["put", "before", "1"]);
    let snapshot = master.snapshot();
    master.servers.etcdctl(0, &["put", "after", "1"]);
    master.stop_all();
    master.mark();
    let (mut patience, mut cuts) = (Duration::from_millis(20), 0);
    loop {
        assert!(patience < PATIENCE, "it never gets to its end");
        // It would wait for etcd, which nobody starts.
        let ended = master.twin.cut(&["restore", &snapshot], patience).map(|output| text(&output));
        assert_eq!(ended, None, "after {cuts} cuts");
        let log = fs::read_dir(master.twin.path("/var/lib/etcd/member/wal")).expect("there is data at every moment");
        assert!(log.count() > 0, "after {cuts} cuts");
        assert_eq!(master.marked().len(), 1, "the former data is in one place, after {cuts} cuts");
        // What comes last.
        if master.marked()[0].ends_with("member.1") || cuts > 40 {
            break;
        }
        (patience, cuts) = (patience.mul_f64(1.35), cuts + 1);
    }
    assert!(cuts > 3, "{cuts} cuts came before its end");
    master.restore(&snapshot);
    assert_eq!((master.keys(), master.members()), (vec!["before".to_owned()], vec!["m1".to_owned()]));
    assert!(master.enabled());
    assert_eq!(master.marked().len(), 1);
    assert!(!master.twin.exists("/var/lib/etcd/khimg-restore"));
    assert!(!master.twin.exists("/var/lib/etcd/khimg-snapshot.db"));
}

#[test]
fn other_masters_follow_the_restored_one() {
    let Some(mut master) = Master::new() else { return };
    master.start_all();
    // Everybody is in one cluster.
    refused(&master.twin.run(&["follow"]), 3, &["counts this node in"]);
    master.stop_all();
    refused(&master.twin.run(&["follow"]), 5, &["khimg node restore"]);
    assert!(master.enabled(), "a refusal stops nothing");
    succeed(&master.twin.run(&["stop"]));
    assert!(!master.enabled(), "it stays off across boots");
    master.mark();

    // Another master has the restored cluster, alone.
    let data = master.servers.path("restored");
    master.servers.list[1].data = data;
    let membership = master.servers.membership(1..2);
    master.servers.run(1, &membership, "new");
    master.servers.wait_ready(1..2);
    master
        .twin
        .write("/var/lib/khimg/membership/marks.json", r#"["credentials", "kubelet", "manifests", "asked", "known"]"#);
    succeed(&master.twin.run(&["follow"]));
    assert!(master.enabled() && !master.twin.exists("/var/lib/etcd/member"));
    assert_eq!(master.marked(), [master.twin.path("/var/lib/etcd/member.1")]);
    let marks = master.twin.read("/var/lib/khimg/membership/marks.json");
    assert!(!marks.contains("asked") && !marks.contains("known") && marks.contains("credentials"), "{marks}");
    // Done twice it is done once.
    succeed(&master.twin.run(&["follow"]));
    assert_eq!(master.marked(), [master.twin.path("/var/lib/etcd/member.1")]);
}
