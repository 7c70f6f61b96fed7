//! What a cluster needs over the years, with real kubelets: certificates that end, and a snapshot that has to serve.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::agreement::{NODES, all_ready, identity, one_cluster};
use crate::support::daemon::run;
use crate::support::rehearsal::Rehearsal;

/// Where a kubelet keeps the certificate that it shows, with its key.
const KUBELET: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";

const PKI: &str = "/etc/kubernetes/pki";

/// Ten months, in seconds: kubeadm's certificates are for a year.
const LONG: u32 = 300 * 24 * 3600;

/// The certificate in `pem`, whose key `key` is, with other dates.
fn redated(lab: &Rehearsal, pem: &str, key: &str, begin: &str, end: &str) -> String {
    let folder = tempfile::tempdir().expect("a directory");
    let path = |name: &str| folder.path().join(name);
    let authority = |ending: &str| lab.must("master-1", &format!("cat {PKI}/ca.{ending}"));
    let files = [
        ("own.crt", pem.to_owned()),
        ("own.key", key.to_owned()),
        ("ca.crt", authority("crt")),
        ("ca.key", authority("key")),
    ];
    for (name, text) in &files {
        fs::write(path(name), text).expect("written");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/lab/redate.sh");
    run(Command::new(script).args(files.map(|(name, _)| path(name))).args([begin, end]));
    fs::read_to_string(path("own.crt")).expect("a certificate")
}

fn write(lab: &Rehearsal, node: &str, path: &str, text: &str) {
    lab.must(node, &format!("cat >$(readlink -f {path}) <<'END'\n{}\nEND", text.trim_end()));
}

/// One certificate of a master's ends in three weeks: all are renewed, everything shows the new ones, and the cluster does not notice.
pub fn certificates_are_renewed(lab: &Rehearsal, cluster: &str) {
    let master = "master-2";
    let (certificate, key) = (format!("{PKI}/apiserver.crt"), format!("{PKI}/apiserver.key"));
    let read = |path: &str| lab.must(master, &format!("cat {path}"));
    write(lab, master, &certificate, &redated(lab, &read(&certificate), &read(&key), "345 days ago", "20 days"));
    let long =
        |path: &str| lab.run(master, &format!("openssl x509 -in {path} -noout -checkend {LONG}")).status.success();
    assert!(!long(&certificate), "the test has aged it");
    // As the timer does.
    lab.must(master, "systemctl start khimg-renew || { journalctl --unit khimg-renew --no-pager >&2; exit 1; }");
    for path in lab.must(master, &format!("find {PKI} -name '*.crt' ! -name '*ca.crt'")).lines() {
        assert!(long(path), "{path}");
    }
    for (port, file) in [(6443, "apiserver"), (2379, "etcd/server"), (2380, "etcd/peer")] {
        let fingerprint = "openssl x509 -noout -fingerprint -sha256";
        let shown =
            format!("openssl s_client -connect $(hostname --ip-address):{port} </dev/null 2>/dev/null | {fingerprint}");
        let kept = lab.must(master, &format!("{fingerprint} -in {PKI}/{file}.crt"));
        assert_eq!(lab.must(master, &shown), kept, "on port {port}");
    }
    // What shows none has read the new one, for it has started anew.
    let stamp = |pod: &str| {
        let path = r"{.metadata.annotations.khimg\.io/renewed}";
        lab.kubectl(&format!("--namespace kube-system get pod {pod}-{master} -o 'jsonpath={path}'"))
    };
    let stamps = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"].map(stamp);
    assert!(!stamps[0].is_empty() && stamps.iter().all(|one| *one == stamps[0]), "{stamps:?}");
    let again = lab.must(master, "khimg node renew");
    assert!(again.contains("nothing to renew"), "{again}");
    all_ready(lab, &NODES);
    one_cluster(lab, cluster);
}

/// A worker was off when its kubelet's certificate ended.
pub fn worker_comes_back_without_a_certificate(lab: &Rehearsal) {
    let worker = "worker-1";
    let shown = lab.must(worker, &format!("cat {KUBELET}"));
    let key = shown.find("-----BEGIN EC PRIVATE KEY").map(|at| &shown[at..]).expect("a key behind the certificate");
    let ended = redated(lab, &shown, key, "400 days ago", "35 days ago");
    lab.must(worker, "systemctl stop khimg-node kubelet");
    write(lab, worker, KUBELET, &format!("{ended}{key}"));
    lab.fault(&["power-off", worker]);
    lab.fault(&["power-on", worker]);
    lab.wait_ready();
    all_ready(lab, &NODES);
    let journal = lab.must(worker, "journalctl --boot --unit khimg-node --no-pager");
    assert!(journal.contains("has ended: this node joins once more"), "{journal}");
    assert!(!lab.must(worker, &format!("cat {KUBELET}")).contains(&ended));
}

/// All masters but one have lost etcd for good: a snapshot on that one becomes the cluster again, and the others join it.
pub fn snapshot_becomes_the_cluster(lab: &Rehearsal) {
    let before = identity(lab, "master-1");
    lab.kubectl("create configmap before --from-literal=key=value");
    let taken = lab.must("master-1", "khimg node snapshot --json");
    let taken: serde_json::Value = serde_json::from_str(&taken).expect("JSON");
    let file = taken["path"].as_str().expect("a path");
    lab.kubectl("create configmap after --from-literal=key=value");
    for master in ["master-2", "master-3"] {
        lab.must(master, "khimg node stop");
    }
    // It ends on purpose: nobody may restore beside a living cluster.
    lab.must("master-1", &format!("khimg node stop && khimg node restore {file}"));
    for master in ["master-2", "master-3"] {
        lab.until("the restored cluster takes a master in", || {
            let follows = lab.run(master, "khimg node follow");
            if follows.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&follows.stderr).into_owned()) }
        });
        lab.wait_ready();
    }
    // This etcd counts on from the snapshot, and whoever watched it since would wait in vain.
    lab.fault(&["power-off", "worker-1"]);
    lab.fault(&["power-on", "worker-1"]);
    lab.wait_ready();
    all_ready(lab, &NODES);
    let now = identity(lab, "master-1");
    assert_ne!(now, before);
    one_cluster(lab, &now);
    assert_eq!(lab.kubectl("get configmap before -o jsonpath={.data.key}"), "value");
    assert!(lab.try_kubectl("get configmap after").is_err_and(|error| error.contains("NotFound")));
    lab.until("all pods run", || {
        let others =
            lab.try_kubectl("get pods --all-namespaces --no-headers --field-selector status.phase!=Running")?;
        if others.is_empty() { Ok(()) } else { Err(others) }
    });
}
