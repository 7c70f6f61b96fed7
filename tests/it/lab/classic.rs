//! The way to a cluster that the documentation of kubeadm shows, to compare with.
//!
//! Both begin with the very same disks: the bundles installed, the images imported, and no cluster. Both end when Kubernetes calls all
//! nodes Ready. Nobody types: in the classic order, with kubeadm's own settings, the next command follows as soon as the node
//! before is Ready, as one waits for by hand. How much of the time was that waiting is printed, too, and how busy this machine was:
//! on a small one, whose processors never rest while all form together, no order can be faster.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::agreement::{NODES, all_ready};
use super::formed::stacked;
use crate::support::rehearsal::{Rehearsal, step};

/// The goal for the time that it takes together, in parts of what it takes one after another.
const GOAL: f64 = 0.4;

/// What noise leaves of it in continuous integration.
const LIMIT: f64 = 2.0 * GOAL;

/// How often a node is asked whether it is there, and Kubernetes whether nodes are Ready.
const LOOK: Duration = Duration::from_secs(2);

/// Where all nodes see whether they are to form a cluster by themselves.
const HELD: &str = "/var/lib/khimg/depot/held";

/// kubeadm's own checks want crictl, which Debian does not have. They take a few seconds more.
const SKIPPED: &str = "--skip-phases=preflight";

/// As in the documentation, with what this network needs. The authorities are there already, which spares it a little.
const CONFIGURATION: &str = "\
apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: 10.77.0.11}
---
apiVersion: kubeadm.k8s.io/v1beta2
kind: ClusterConfiguration
kubernetesVersion: v1.20.2
controlPlaneEndpoint: 10.77.0.100:8443
networking: {podSubnet: 10.244.0.0/16}
controllerManager: {extraArgs: {allocate-node-cidrs: 'false'}}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
";

#[test]
fn takes_longer_than_together() {
    let Some(lab) = Rehearsal::prepare(&stacked("")) else { return };
    step("machines are installed, and no cluster yet", || install(&lab));
    let together = step("power-on to all Ready, together", || together(&lab));
    let Classic { took: classic, waiting } =
        step("power-on to all Ready, one after another", || in_classic_order(&lab));
    let (all, ratio) = (classic.seconds, together.seconds / classic.seconds);
    println!(
        "to form: {:.0} s together, {all:.0} s one after another, {:.0} s of them waiting for the node before; \
         ratio {ratio:.2} (goal {GOAL}), {:.2} to one who does not wait",
        together.seconds,
        waiting.as_secs_f64(),
        together.seconds / (all - waiting.as_secs_f64())
    );
    println!(
        "work: {:.0} s of {} processors together, {:.0} s one after another; without any rest the ratio would be {:.2}",
        together.work,
        together.processors,
        classic.work,
        together.work / together.processors / all
    );
    assert!(ratio < LIMIT, "{ratio}");
}

fn disk(lab: &Rehearsal, node: &str) -> PathBuf {
    lab.directory().join("nodes").join(node).join("disk.img")
}

fn hold(lab: &Rehearsal, held: bool) {
    let path = lab.directory().join("depot/held");
    if held { fs::write(path, "").expect("written") } else { fs::remove_file(path).expect("removed") }
}

/// Installs all nodes, and keeps their disks.
fn install(lab: &Rehearsal) {
    lab.start_up(&[]);
    hold(lab, true);
    for node in NODES {
        let unit = "/etc/systemd/system/khimg-node.service.d";
        let held = format!("mkdir -p {unit}; printf '[Unit]\\nConditionPathExists=!{HELD}\\n' >{unit}/90-held.conf");
        // The kubelet needs that file; khimg makes it where there is none, and in the classic order nobody would.
        lab.must(node, &format!("{held}; [ -e /etc/resolv.conf ] || : >/etc/resolv.conf"));
    }
    for node in NODES {
        lab.until("the bundle is installed", || {
            std::thread::sleep(LOOK);
            let installed = lab.run(node, "test -f /var/lib/khimg/stage0/installed").status.success();
            if installed { Ok(()) } else { Err(lab.status()["nodes"].to_string()) }
        });
        assert_eq!(
            lab.must(node, "ls -A /var/lib/etcd /var/lib/khimg/membership 2>/dev/null | grep -v : | wc -l").trim(),
            "0"
        );
    }
    lab.fault(&[&["power-off"], &NODES[..]].concat());
    for node in NODES {
        fs::hard_link(disk(lab, node), disk(lab, node).with_extension("kept")).expect("a link");
    }
}

/// What became of time.
struct Took {
    seconds: f64,
    /// What this machine's processors did in it, in seconds of one.
    work: f64,
    processors: f64,
}

/// Time that goes by.
struct Clock {
    begun: Instant,
    /// What the processors had done since this machine was started, and when they had rested, in ticks.
    before: (f64, f64),
}

impl Clock {
    fn start() -> Self {
        Self { begun: Instant::now(), before: Self::ticks() }
    }

    /// The first line of `/proc/stat`: user, nice, system, idle, iowait and others (proc(5)); the last two, of guests, are part of the
    /// first ones.
    fn ticks() -> (f64, f64) {
        let stat = fs::read_to_string("/proc/stat").expect("the kernel's counters");
        let line = stat.lines().next().unwrap_or_default();
        let ticks: Vec<f64> =
            line.split_whitespace().skip(1).take(8).map(|tick| tick.parse().expect("a number")).collect();
        let idle = ticks[3] + ticks[4];
        (ticks.iter().sum::<f64>() - idle, idle)
    }

    fn stop(&self) -> Took {
        let seconds = self.begun.elapsed().as_secs_f64();
        let (busy, idle) = Self::ticks();
        let (busy, idle) = (busy - self.before.0, idle - self.before.1);
        let processors = std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
        Took { seconds, work: busy / (busy + idle) * seconds * processors, processors }
    }
}

/// Gives all nodes the disks that were kept, and power; gives the time since then.
fn power_on(lab: &Rehearsal) -> Clock {
    for node in NODES {
        // Everything that was written is in the file then.
        lab.fault(&["wipe", node]);
        let (kept, disk) = (disk(lab, node).with_extension("kept"), disk(lab, node));
        let copied = Command::new("cp").arg("--sparse=always").args([kept, disk]).status();
        assert!(copied.expect("cp").success());
    }
    rustix::fs::sync();
    let clock = Clock::start();
    lab.fault(&[&["power-on"], &NODES[..]].concat());
    clock
}

/// All at once, by themselves.
fn together(lab: &Rehearsal) -> Took {
    hold(lab, false);
    let clock = power_on(lab);
    ready(lab, &NODES);
    clock.stop()
}

/// Waits until Kubernetes calls the nodes Ready. Asks seldom: asking takes time from those who are asked.
fn ready(lab: &Rehearsal, nodes: &[&str]) {
    lab.until("Kubernetes calls them Ready", || {
        std::thread::sleep(LOOK);
        let list = lab.try_kubectl("get nodes --no-headers")?;
        let is_ready = |node: &str| list.lines().any(|line| line.split_whitespace().take(2).eq([node, "Ready"]));
        if nodes.iter().copied().all(is_ready) { Ok(()) } else { Err(list) }
    });
}

/// How long the classic order took.
struct Classic {
    took: Took,
    /// For a node to become Ready that had joined.
    waiting: Duration,
}

/// What the documentation of kubeadm shows: init on one, then one join after the other, each waited for.
fn in_classic_order(lab: &Rehearsal) -> Classic {
    lab.fault(&[&["power-off"], &NODES[..]].concat());
    hold(lab, true);
    let clock = power_on(lab);
    let mut waiting = Duration::ZERO;
    let mut wait = |nodes: &[&str]| {
        let begun = Instant::now();
        ready(lab, nodes);
        waiting += begun.elapsed();
    };
    for node in NODES {
        // What kubeadm needs of a machine.
        let units = if node.starts_with("master") { "containerd haproxy keepalived" } else { "containerd" };
        lab.until("the machine is up", || {
            let up = lab.run(node, &format!("systemctl is-active {units}"));
            let said = String::from_utf8_lossy(&up.stdout).into_owned();
            if said.lines().all(|line| line == "active") && !said.is_empty() { Ok(()) } else { Err(said) }
        });
    }
    kubeadm(
        lab,
        "master-1",
        &format!(
            "cat >/root/init.yaml <<'END'\n{CONFIGURATION}END\nimages=$(sed -n 's/^imageRepository: //p' /etc/khimg/kubeadm-stored.yaml); \
             sed -i \"/^kubernetesVersion/a imageRepository: $images\" /root/init.yaml; \
             kubeadm init --config /root/init.yaml {SKIPPED},addon/coredns"
        ),
    );
    wait(&NODES[..1]);
    let own = |command: &str| lab.must("master-1", command).trim().to_owned();
    let token = own("kubeadm token create");
    let hash = own(
        "openssl x509 -pubkey -noout -in /etc/kubernetes/pki/ca.crt | openssl pkey -pubin -outform der | sha256sum | cut -d' ' -f1",
    );
    for (index, node) in NODES.iter().enumerate().skip(1) {
        let role = if node.starts_with("master") {
            "--control-plane --apiserver-advertise-address $(hostname --ip-address)"
        } else {
            ""
        };
        let join =
            format!("kubeadm join 10.77.0.100:8443 --token {token} --discovery-token-ca-cert-hash sha256:{hash}");
        kubeadm(lab, node, &format!("{join} {role} {SKIPPED}"));
        wait(&NODES[..=index]);
    }
    let took = clock.stop();
    all_ready(lab, &NODES);
    Classic { took, waiting }
}

fn kubeadm(lab: &Rehearsal, node: &str, script: &str) {
    let begun = Instant::now();
    lab.must(node, &format!("({script}) >/root/kubeadm.log 2>&1 || {{ cat /root/kubeadm.log >&2; exit 1; }}"));
    println!("kubeadm on {node}: {:.1} s", begun.elapsed().as_secs_f64());
}
