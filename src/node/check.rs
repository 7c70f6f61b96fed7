//! What on a machine keeps Kubernetes from running: a list of checks, each a pure judgement on facts that are gathered first.

use serde::Serialize;

use super::up::agent;
use crate::cluster::Role;

mod facts;

pub use facts::Facts;

/// Least memory of a master in kB: kubeadm's own limit (k/k cmd/kubeadm/app/constants, `ControlPlaneMem`, 1700 MB).
const MASTER_MEMORY: u64 = 1_700_000;

/// Least room for images, logs and etcd in kB.
const ROOM: u64 = 4_000_000;

/// How far ahead of this machine's clock a certificate of the cluster may begin: kubeadm dates them five minutes back.
const CLOCK_SECONDS: i64 = 300;

/// Ports of a control plane (kubernetes.io, "Ports and Protocols"), and khimg's own.
const MASTER_PORTS: [u16; 7] = [6443, 2379, 2380, 10250, 10257, 10259, agent::PORT];

/// Ports of a member of an external etcd.
const ETCD_PORTS: [u16; 3] = [2379, 2380, agent::PORT];

/// Ports of a machine that runs pods only.
const WORKER_PORTS: [u16; 1] = [10250];

/// What must be in the kernel, with the path below `/sys` or `/proc` that shows it.
const MODULES: [(&str, &str); 2] = [("overlay", "overlay"), ("br_netfilter", "bridge-nf-call-iptables")];

/// Kernel parameters that pods' traffic depends on.
const SYSCTLS: [&str; 2] = ["net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"];

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Kubernetes runs, but not well.
    Warn,
    /// Kubernetes does not run.
    Fail,
}

impl Verdict {
    /// In lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check.
    pub check: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

type Judge = fn(&Facts) -> (Verdict, String, Option<String>);

/// All checks, in the order in which they are told.
const CHECKS: [(&str, Judge); 8] = [
    ("memory", memory),
    ("disk", disk),
    ("swap", swap),
    ("cgroup", cgroup),
    ("modules", modules),
    ("sysctl", sysctl),
    ("ports", ports),
    ("clock", clock),
];

/// Those that only matter where pods run.
const FOR_PODS: [&str; 4] = ["swap", "cgroup", "modules", "sysctl"];

/// Looks at this machine.
pub fn check() -> Vec<Finding> {
    judge(&Facts::gather())
}

/// Judges facts. Pure.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    // On a balancer or a member of an external etcd no pod runs.
    let has_pods = !matches!(facts.role, Some(Role::Lb | Role::Etcd));
    CHECKS
        .iter()
        .filter(|(check, _)| has_pods || !FOR_PODS.contains(check))
        .map(|(check, judge)| {
            let (verdict, message, hint) = judge(facts);
            Finding { check, verdict, message, hint }
        })
        .collect()
}

fn ok(message: impl Into<String>) -> (Verdict, String, Option<String>) {
    (Verdict::Ok, message.into(), None)
}

fn memory(facts: &Facts) -> (Verdict, String, Option<String>) {
    let found = format!("{} MB", facts.memory / 1000);
    if facts.role == Some(Role::Master) && facts.memory < MASTER_MEMORY {
        let hint = format!("give this machine at least {} MB", MASTER_MEMORY / 1000);
        return (Verdict::Fail, format!("{found} are too little for a control plane"), Some(hint));
    }
    ok(found)
}

fn disk(facts: &Facts) -> (Verdict, String, Option<String>) {
    let found = format!("{} MB free below /var/lib", facts.room / 1000);
    if facts.room < ROOM {
        return (Verdict::Warn, found, Some(format!("make room: images and logs need some {} MB", ROOM / 1000)));
    }
    ok(found)
}

fn swap(facts: &Facts) -> (Verdict, String, Option<String>) {
    if facts.swaps.is_empty() {
        return ok("off");
    }
    let hint = "run `swapoff --all` and remove swap from /etc/fstab".to_owned();
    (Verdict::Fail, format!("{} in use, and the kubelet refuses to start", facts.swaps.join(", ")), Some(hint))
}

fn cgroup(facts: &Facts) -> (Verdict, String, Option<String>) {
    let missing: Vec<&str> =
        ["cpu", "memory", "pids"].into_iter().filter(|name| !facts.controllers.iter().any(|has| has == name)).collect();
    if !missing.is_empty() {
        let hint = "remove `cgroup_disable` from the kernel's command line".to_owned();
        return (Verdict::Fail, format!("the controllers {} are missing", missing.join(", ")), Some(hint));
    }
    let minor = facts.kubernetes.map(|version| version.minor);
    // Kubernetes 1.35 made failCgroupV1 true by default (KEP-5573).
    if !facts.cgroup2 && minor.is_some_and(|minor| minor >= 35) {
        let hint = "boot with systemd.unified_cgroup_hierarchy=1, or use Kubernetes 1.34".to_owned();
        return (Verdict::Fail, "version 1, which this Kubernetes does not accept".to_owned(), Some(hint));
    }
    ok(if facts.cgroup2 { "version 2" } else { "version 1" })
}

fn modules(facts: &Facts) -> (Verdict, String, Option<String>) {
    let names = MODULES.map(|(name, _)| name);
    let missing: Vec<&str> = names.into_iter().filter(|name| !facts.modules.iter().any(|has| has == name)).collect();
    if missing.is_empty() {
        return ok(names.join(", "));
    }
    let hint = format!("run `modprobe -a {}`; the kernel may lack them", missing.join(" "));
    (Verdict::Fail, format!("{} not in the kernel", missing.join(", ")), Some(hint))
}

fn sysctl(facts: &Facts) -> (Verdict, String, Option<String>) {
    let off: Vec<String> = SYSCTLS
        .iter()
        .filter(|name| facts.sysctls.get(**name).map(String::as_str) != Some("1"))
        .map(|name| name.replace('/', "."))
        .collect();
    if off.is_empty() {
        return ok("forwarding is on");
    }
    let hint = "run `sysctl --system`; /etc/sysctl.d/90-khimg.conf sets them".to_owned();
    (Verdict::Fail, format!("{} not 1", off.join(", ")), Some(hint))
}

fn ports(facts: &Facts) -> (Verdict, String, Option<String>) {
    if facts.is_formed {
        return ok("used by this node's own Kubernetes");
    }
    let wanted: &[u16] = match facts.role {
        Some(Role::Master) => &MASTER_PORTS,
        Some(Role::Etcd) => &ETCD_PORTS,
        Some(Role::Worker) => &WORKER_PORTS,
        // haproxy's follow from the cluster file, and it says itself when they are taken.
        Some(Role::Lb) | None => &[],
    };
    let own = |port: &u16| *port == agent::PORT && facts.is_answering;
    let taken: Vec<String> =
        wanted.iter().filter(|port| facts.listening.contains(port) && !own(port)).map(u16::to_string).collect();
    if taken.is_empty() {
        return ok("free");
    }
    let hint = format!("see who listens: ss -ltnp 'sport = :{}'", taken.first().cloned().unwrap_or_default());
    (Verdict::Fail, format!("{} taken by something else", taken.join(", ")), Some(hint))
}

fn clock(facts: &Facts) -> (Verdict, String, Option<String>) {
    match facts.seconds_until_valid {
        None => ok("not compared: there is no certificate of a cluster here"),
        Some(ahead) if ahead > CLOCK_SECONDS => {
            let hint = "set the clock, or let chrony reach a time server".to_owned();
            let message = format!("{ahead} s behind the beginning of the cluster's CA certificate");
            (Verdict::Fail, message, Some(hint))
        }
        Some(_) => ok("not before the cluster's CA certificate"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Facts {
        Facts {
            role: Some(Role::Master),
            is_formed: false,
            is_answering: false,
            kubernetes: "1.34.2".parse().ok(),
            memory: 4_000_000,
            room: 50_000_000,
            swaps: Vec::new(),
            controllers: ["cpu", "memory", "pids"].map(str::to_owned).to_vec(),
            cgroup2: true,
            modules: MODULES.map(|(name, _)| name.to_owned()).to_vec(),
            sysctls: SYSCTLS.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect(),
            listening: [22].into(),
            seconds_until_valid: Some(-60),
        }
    }

    /// The checks that fail.
    fn failing(facts: &Facts) -> Vec<&'static str> {
        judge(facts).into_iter().filter(|found| found.verdict == Verdict::Fail).map(|found| found.check).collect()
    }

    #[test]
    fn a_sound_machine_passes() {
        assert!(judge(&sound()).iter().all(|finding| finding.verdict == Verdict::Ok));
    }

    #[test]
    fn each_cause_is_named_alone() {
        assert_eq!(failing(&Facts { memory: 1_000_000, ..sound() }), ["memory"]);
        for role in [Role::Lb, Role::Etcd] {
            assert_eq!(failing(&Facts { modules: Vec::new(), role: Some(role), ..sound() }), [""; 0]);
        }
        assert_eq!(failing(&Facts { memory: 1_000_000, role: Some(Role::Worker), ..sound() }), [""; 0]);
        assert_eq!(failing(&Facts { swaps: vec!["/dev/sda2".to_owned()], ..sound() }), ["swap"]);
        assert_eq!(failing(&Facts { controllers: vec!["cpu".to_owned()], ..sound() }), ["cgroup"]);
        assert_eq!(failing(&Facts { cgroup2: false, ..sound() }), [""; 0]);
        assert_eq!(failing(&Facts { cgroup2: false, kubernetes: "1.35.0".parse().ok(), ..sound() }), ["cgroup"]);
        assert_eq!(failing(&Facts { modules: vec!["overlay".to_owned()], ..sound() }), ["modules"]);
        assert_eq!(failing(&Facts { sysctls: Default::default(), ..sound() }), ["sysctl"]);
        assert_eq!(failing(&Facts { listening: [22, 2379].into(), ..sound() }), ["ports"]);
        assert_eq!(failing(&Facts { listening: [22, 2379].into(), is_formed: true, ..sound() }), [""; 0]);
        assert_eq!(failing(&Facts { listening: [2379].into(), role: Some(Role::Worker), ..sound() }), [""; 0]);
        let agent = Facts { listening: [agent::PORT].into(), ..sound() };
        assert_eq!((failing(&agent), failing(&Facts { is_answering: true, ..agent.clone() })), (vec!["ports"], vec![]));
        assert_eq!(failing(&Facts { seconds_until_valid: Some(86_400), ..sound() }), ["clock"]);
    }
}
