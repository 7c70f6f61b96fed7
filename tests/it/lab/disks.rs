//! A machine that boots from a disk image of khimg's, with its seed on a disc the first time and with nothing but its disk from then on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::support::daemon::{available, root};
use crate::support::rehearsal::PATIENCE;
use crate::support::rehearsal::cache;
use crate::support::sandbox::Sandbox;

/// A balancer of a cluster with two; its network is a cable to nobody.
const CLUSTER: &str = "apiVersion: khimg/v1
name: disks
kubernetes: 1.20.2
endpoint: {mode: dedicated, vip: 10.0.0.100, interface: eth0}
network: {podSubnet: 10.128.0.0/11, cni: none}
mirrors: [system]
seed: {disc: seed, userData: [report.sh]}
nodes:
  - {name: master-1, role: master, address: 10.0.0.1/16, mac: \"52:54:00:00:00:21\"}
  - {name: lb-1, role: lb, address: 10.0.0.11/16, mac: \"52:54:00:00:00:11\"}
  - {name: lb-2, role: lb, address: 10.0.0.12/16, mac: \"52:54:00:00:00:12\"}
";

/// What the machine is asked at each boot; the answers are on its console. In the background, for cloud-init must come to its end.
const REPORT: &str = r#"#!/bin/sh
exec >/dev/ttyS0 2>&1 </dev/null
(
    left=200
    until khimg node status | grep -q '^cluster *ready' && ip -4 -brief address | grep -qF 10.0.0.100 || [ "$left" = 0 ]; do
        left=$((left - 1))
        sleep 3
    done
    echo
    khimg node status | sed 's/^/KHIMG status /'
    echo "KHIMG units $(systemctl is-active haproxy keepalived khimg-data | tr '\n' ' ')"
    echo "KHIMG address $(ip -4 -brief address | grep -coF 10.0.0.100)"
    echo "KHIMG identity $(cat /etc/machine-id) $(sha256sum </etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f1)"
    echo "KHIMG boots $(journalctl --list-boots --quiet | wc -l)"
    echo "KHIMG kept $(stat -c %a /run/khimg/data/seed /run/khimg/data/seed/user-data | tr '\n' ' ')"
    echo "KHIMG root $(findmnt -n -o SOURCE,FSTYPE /run/khimg/root | tr -s ' ') $(findmnt -n -o FSTYPE /)"
    echo "KHIMG end"
) &
"#;

/// A machine that has power until this is dropped.
struct Machine {
    qemu: Child,
    console: PathBuf,
    began: Instant,
}

impl Machine {
    fn start(disk: &Path, disc: Option<&Path>, console: PathBuf) -> Self {
        File::create(&console).expect("a file");
        let mut command = Command::new("qemu-system-x86_64");
        command.args([
            "-machine",
            "accel=tcg",
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            "1536",
            "-display",
            "none",
            "-no-reboot",
        ]);
        // Nobody answers on this cable.
        command.args(["-netdev", "socket,id=wire,udp=127.0.0.1:9,localaddr=127.0.0.1:0"]);
        command.args(["-device", "virtio-net-pci,netdev=wire,mac=52:54:00:00:00:11,romfile="]);
        command.arg("-serial").arg(format!("file:{}", console.display()));
        command.arg("-drive").arg(format!("file={},if=virtio,format=raw", disk.display()));
        if let Some(disc) = disc {
            command.arg("-drive").arg(format!("file={},if=virtio,format=raw,readonly=on", disc.display()));
        }
        let qemu = command.stdin(Stdio::null()).spawn().expect("qemu starts");
        Self { qemu, console, began: Instant::now() }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.console).expect("there")).into_owned()
    }

    /// What it answers, once it has answered everything.
    fn report(&mut self) -> Vec<String> {
        loop {
            let said = self.said();
            let told = said.lines().filter_map(|line| Some(line.split_once("KHIMG ")?.1.trim().to_owned()));
            let told: Vec<String> = told.collect();
            if told.last().is_some_and(|last| last == "end") {
                return told;
            }
            let ended = self.qemu.try_wait().expect("a child");
            assert!(ended.is_none() && self.began.elapsed() < 2 * PATIENCE, "{ended:?}: {said}");
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
    }
}

/// A power cut.
impl Drop for Machine {
    fn drop(&mut self) {
        self.qemu.kill().expect("killed");
        self.qemu.wait().expect("ended");
        if std::thread::panicking() {
            eprintln!("--- the console\n{}", self.said());
        }
    }
}

/// What follows `what` in the report.
fn told<'a>(report: &'a [String], what: &str) -> &'a str {
    report.iter().find_map(|line| line.strip_prefix(what)).unwrap_or_else(|| panic!("{what}: {report:?}")).trim()
}

#[test]
fn a_balancer_on_a_disk_is_the_same_after_a_power_cut() {
    if !root() || !available(&["qemu-system-x86_64", "mmdebstrap"]) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("cluster.yaml", CLUSTER);
    sandbox.write("report.sh", REPORT);
    for verb in [&["build"][..], &["image", "--format", "raw"]] {
        let began = Instant::now();
        let store = cache().join("store");
        sandbox.khimg(verb).args(["--profile", "lb", "--store"]).arg(store).assert().success();
        println!("khimg {verb:?} took {:.0?}", began.elapsed());
    }
    let (disk, image) = (sandbox.root().join("disk"), sandbox.root().join("images/lb-amd64/disk.raw"));
    let copied = Command::new("cp").arg("--sparse=always").arg(&image).arg(&disk).status().expect("cp");
    assert!(copied.success());
    // Twice as large as need be: the machine finds out by itself.
    File::options().write(true).open(&disk).and_then(|file| file.set_len(8 << 30)).expect("a disk");
    let disc = sandbox.root().join("dist/secret/lb-1/cidata.iso");

    let mut first = Machine::start(&disk, Some(&disc), sandbox.root().join("first"));
    let report = first.report();
    println!("from disk, with its seed on a disc, to an active balancer: {:.0?}", first.began.elapsed());
    for line in ["units active active active", "address 1", "kept 700 600", "root /dev/vda3 squashfs overlay"] {
        assert!(report.iter().any(|told| told == line), "{line}: {report:#?}");
    }
    assert_eq!(told(&report, "status state"), "on /dev/vda4; this boot's seed is from the disc");
    let identity = told(&report, "identity").to_owned();
    assert_eq!(told(&report, "boots"), "1");
    drop(first);

    let mut second = Machine::start(&disk, None, sandbox.root().join("second"));
    let report = second.report();
    println!("after a power cut, without a disc: {:.0?}", second.began.elapsed());
    for line in ["units active active active", "address 1", "boots 2", "kept 700 600"] {
        assert!(report.iter().any(|told| told == line), "{line}: {report:#?}");
    }
    assert_eq!(told(&report, "status state"), "on /dev/vda4; this boot's seed is from the data partition");
    assert_eq!(told(&report, "identity"), identity, "another machine");
}
