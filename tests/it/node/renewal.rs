//! Certificates of a control plane, renewed by the real kubeadm, told to a real API server, looked at by openssl, and the
//! power cut at any moment. The test does what the kubelet would: it starts a pod anew when its manifest has changed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use khimg::clock;
use khimg::node::kube::{Kube, Reply};
use khimg::secrets::{Authority, KeyAlgorithm, KeyPair};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, date_time_ymd};
use serde_json::{Value, json};

use crate::support::apiserver::ApiServer;
use crate::support::daemon::run;
use crate::support::etcd::loopback;
use crate::support::lab::lab;
use crate::support::twin::Twin;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What kubeadm issues, each with its key beside it.
const PAIRS: [&str; 7] = [
    "apiserver",
    "apiserver-kubelet-client",
    "apiserver-etcd-client",
    "front-proxy-client",
    "etcd/server",
    "etcd/peer",
    "etcd/healthcheck-client",
];

const PODS: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// A control plane as kubeadm makes it, and the API server that it talks to.
struct Master {
    server: ApiServer,
    authority: Authority,
    twin: Twin,
}

impl Master {
    /// One that is not alone, if there is `other`.
    fn new(other: Option<Ipv4Addr>) -> Option<Self> {
        let new = |name: &str| Authority::generate(name, KeyAlgorithm::EcdsaP256).expect("an authority");
        let authority = new("kubernetes");
        let (twin, server) = (Twin::new()?, ApiServer::start_with(&authority)?);
        let endpoint = server.url.host_str().expect("an address").to_owned();
        twin.lend(&lab().root.join("dl/release/v1.20.2/bin/linux/amd64/kubeadm"));
        for (place, one) in
            [("ca", &authority), ("front-proxy-ca", &new("front-proxy-ca")), ("etcd/ca", &new("etcd-ca"))]
        {
            twin.write(&format!("/etc/kubernetes/pki/{place}.crt"), &one.certificate);
            twin.write(&format!("/etc/kubernetes/pki/{place}.key"), one.key.expose());
        }
        let accounts = KeyPair::generate(KeyAlgorithm::Rsa2048).expect("a key pair");
        twin.write("/etc/kubernetes/pki/sa.pub", &accounts.public);
        twin.write("/etc/kubernetes/pki/sa.key", accounts.private.expose());
        twin.write("/etc/khimg/ca.crt", &authority.certificate);
        twin.write(
            "/etc/khimg/kubeadm-init.yaml",
            format!(
                "apiVersion: kubeadm.k8s.io/v1beta2\nkind: InitConfiguration\nbootstrapTokens:\n\
                 - token: abcdef.0123456789abcdef\nlocalAPIEndpoint: {{advertiseAddress: 10.77.0.11}}\n\
                 nodeRegistration: {{name: m1, criSocket: /run/containerd/containerd.sock}}\n---\n\
                 apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\nkubernetesVersion: v1.20.2\n\
                 controlPlaneEndpoint: {endpoint}:6443\napiServer: {{certSANs: [api.example.org]}}\n"
            ),
        );
        let other =
            other.map_or_else(String::new, |address| format!("- {{name: m2, role: master, address: {address}}}\n"));
        twin.write(
            "/etc/khimg/node.yaml",
            format!(
                "version: 1\ncluster: demo\ncaHash: sha256:{:064}\nname: m1\nrole: master\naddress: 10.77.0.11/24\n\
                 target: {{os: debian-12, arch: amd64}}\nkubernetes: 1.20.2\nruntime: containerd\nbootstrap: symmetric\n\
                 etcd: stacked\ncni: bridge\ndns: none\nendpoint: {{mode: stacked, address: {endpoint}, port: 6443}}\n\
                 joinSeconds: 86400\ntokenSeconds: 86400\nnodes:\n- {{name: m1, role: master, address: 10.77.0.11}}\n{other}",
                0
            ),
        );
        for phase in [["certs", "all"], ["kubeconfig", "all"], ["etcd", "local"], ["control-plane", "all"]] {
            let mut kubeadm = twin.command("kubeadm");
            run(kubeadm.args(["init", "phase"]).args(phase).args(["--config", "/etc/khimg/kubeadm-init.yaml"]));
        }
        Some(Self { server, authority, twin })
    }

    /// Puts a certificate and its key below `/etc/kubernetes/pki` that began a year before it ends, in so many days.
    fn age(&self, name: &str, days: i64) {
        let date = |days: i64| {
            let date =
                (clock::now() + DAY * i32::try_from(days).expect("few")).to_zoned(jiff::tz::TimeZone::UTC).date();
            date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
        };
        let signer = rcgen::KeyPair::from_pem(self.authority.key.expose()).expect("a key");
        let issuer = Issuer::from_ca_cert_pem(&self.authority.certificate, signer).expect("an authority");
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["api.example.org".to_owned()]).expect("a name");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = (date(days - 365), date(days));
        let certificate = params.signed_by(&key, &issuer).expect("a certificate").pem();
        self.twin.write(&format!("/etc/kubernetes/pki/{name}.crt"), certificate);
        self.twin.write(&format!("/etc/kubernetes/pki/{name}.key"), key.serialize_pem());
    }

    fn openssl(&self, arguments: &[&str]) -> String {
        run(self.twin.command("openssl").args(arguments))
    }

    /// When each certificate ends, of files and of kubeconfigs; every one of them fits its key and its authority.
    fn ends(&self) -> BTreeMap<String, Timestamp> {
        let mut ends = BTreeMap::new();
        for name in PAIRS {
            let path = |ending: &str| format!("/etc/kubernetes/pki/{name}.{ending}");
            let public = self.openssl(&["x509", "-in", &path("crt"), "-noout", "-pubkey"]);
            assert_eq!(public, self.openssl(&["pkey", "-in", &path("key"), "-pubout"]), "{name} is half of a pair");
            assert_eq!(self.twin.mode(&path("key")), 0o600);
            ends.insert(name.to_owned(), self.end(&path("crt")));
        }
        for name in ["admin", "controller-manager", "scheduler"] {
            let config: Value =
                serde_saphyr::from_str(&self.twin.read(&format!("/etc/kubernetes/{name}.conf"))).expect("YAML");
            let part = |name: &str| {
                use base64::Engine as _;
                let data = config["users"][0]["user"][name].as_str().expect("data");
                base64::engine::general_purpose::STANDARD.decode(data).expect("base64")
            };
            self.twin.write("/part.crt", part("client-certificate-data"));
            self.twin.write("/part.key", part("client-key-data"));
            let public = self.openssl(&["x509", "-in", "/part.crt", "-noout", "-pubkey"]);
            assert_eq!(public, self.openssl(&["pkey", "-in", "/part.key", "-pubout"]), "{name}");
            self.openssl(&["verify", "-CAfile", "/etc/kubernetes/pki/ca.crt", "/part.crt"]);
            ends.insert(name.to_owned(), self.end("/part.crt"));
        }
        ends
    }

    fn end(&self, path: &str) -> Timestamp {
        let told = self.openssl(&["x509", "-in", path, "-noout", "-enddate", "-dateopt", "iso_8601"]);
        told.trim().trim_start_matches("notAfter=").replace(' ', "T").parse().expect("a time")
    }

    /// Starts pods anew whose manifests have changed, as long as `work` goes on.
    fn with_kubelet<T>(&self, work: impl FnOnce() -> T) -> T {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let kubelet = scope.spawn(|| {
                let kube = self.server.client();
                let mut known = BTreeMap::new();
                while !over.load(Ordering::Relaxed) {
                    for pod in PODS {
                        let manifest = self.twin.read(&format!("/etc/kubernetes/manifests/{pod}.yaml"));
                        if known.get(pod) != Some(&manifest) {
                            block(start(&kube, &manifest));
                            known.insert(pod, manifest);
                        }
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
            let done = work();
            over.store(true, Ordering::Relaxed);
            kubelet.join().expect("the kubelet");
            done
        })
    }

    fn renew(&self, arguments: &[&str]) -> Output {
        self.twin.run(&[&["renew"], arguments].concat())
    }

    /// Whose turn it is.
    fn holder(&self) -> Option<String> {
        let path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/khimg-renewal";
        let lease = block(self.server.client().get(path)).expect("an answer").done()?;
        lease.pointer("/spec/holderIdentity").and_then(Value::as_str).map(str::to_owned)
    }
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Makes the pod of a manifest known, ready.
async fn start(kube: &Kube, manifest: &str) {
    let mut pod: Value = serde_saphyr::from_str(manifest).expect("YAML");
    let pods = "/api/v1/namespaces/kube-system/pods";
    let name = format!("{}-m1", pod["metadata"]["name"].as_str().expect("a name"));
    pod["metadata"]["name"] = json!(name);
    pod["spec"]["nodeName"] = json!("m1");
    let path = format!("{pods}/{name}");
    if kube.create(pods, &pod).await.expect("an answer") == Reply::Conflict {
        let annotations = json!({"metadata": {"annotations": pod["metadata"]["annotations"]}});
        kube.patch(&path, &annotations).await.expect("an answer");
    }
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    kube.patch(&format!("{path}/status"), &ready).await.expect("an answer").done().expect("patched");
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn said(output: &Output, code: i32, words: &[&str]) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
}

#[test]
fn what_ends_soon_is_renewed() {
    let Some(master) = Master::new(None) else { return };
    let before = master.ends();
    said(&master.renew(&[]), 0, &["nothing to renew"]);
    assert_eq!(master.ends(), before);
    assert_eq!(master.holder(), None, "it asks nobody for nothing");
    // Somebody's own, which is theirs to look after.
    master.age("mine", 10);
    said(&master.renew(&[]), 0, &["nothing to renew"]);

    master.age("apiserver", 100);
    said(&master.renew(&[]), 0, &["nothing to renew"]);
    // Soon, and too late: then its API server would trust it as little as it does the API server.
    for days in [80, -1] {
        master.age("apiserver", days);
        let mine = master.twin.read("/etc/kubernetes/pki/mine.crt");
        let output = master.with_kubelet(|| master.renew(&[]));
        said(&output, 0, &["renewed: the first certificate ends at", "starting kube-apiserver anew"]);
        let after = master.ends();
        for (name, end) in &after {
            assert!(*end > clock::now() + DAY * 360, "{name} ends at {end}");
        }
        let names = master.openssl(&["x509", "-in", "/etc/kubernetes/pki/apiserver.crt", "-noout", "-text"]);
        assert!(names.contains("DNS:api.example.org") && names.contains("CN = kube-apiserver"), "{names}");
        assert_eq!(master.twin.read("/etc/kubernetes/pki/mine.crt"), mine);
        let marks = PODS.map(|pod| master.twin.read(&format!("/etc/kubernetes/manifests/{pod}.yaml")));
        assert!(marks.iter().all(|manifest| manifest.contains("khimg.io/renewed: ")));
        assert_eq!(master.holder().unwrap_or_default(), "", "the next one may");
        assert_eq!(master.twin.mode("/etc/kubernetes/.khimg-renewal"), 0o700);
        assert!(!master.twin.exists("/etc/kubernetes/.khimg-renewal/kubeadm.yaml"), "the token is in it");
        said(&master.renew(&[]), 0, &["nothing to renew"]);
    }
}

#[test]
fn a_power_cut_leaves_whole_pairs_and_the_next_run_goes_on() {
    let Some(master) = Master::new(None) else { return };
    let before = master.ends();
    master.with_kubelet(|| {
        let (mut patience, mut cuts) = (Duration::from_millis(40), 0);
        loop {
            let ended = master.twin.cut(&["renew", "--force"], patience);
            // Whole pairs, whatever happened.
            let now = master.ends();
            if let Some(output) = ended {
                said(&output, 0, &["renewed"]);
                assert!(now.iter().all(|(name, end)| *end > before[name]), "{before:?} {now:?}");
                break;
            }
            assert!(cuts < 60, "it never gets to its end");
            (patience, cuts) = (patience.mul_f64(1.4), cuts + 1);
        }
        assert!(cuts > 3, "{cuts} cuts came before its end");
    });
    assert!(!master.twin.exists("/var/lib/khimg/renewal/pending.json"));

    // Cut off between two of those that come in place: what is missing is made up for.
    let admin = master.twin.read("/etc/kubernetes/admin.conf");
    let stage = "/etc/kubernetes/.khimg-renewal/etc/kubernetes";
    let old = master.twin.read(&format!("{stage}/admin.conf"));
    assert_ne!(admin, old, "what was replaced is kept");
    master.twin.write("/etc/kubernetes/admin.conf", &old);
    master.twin.write(&format!("{stage}/admin.conf"), &admin);
    master.twin.write("/var/lib/khimg/renewal/pending.json", r#"{"stamp": "later"}"#);
    let apiserver = master.twin.read("/etc/kubernetes/pki/apiserver.crt");
    said(&master.with_kubelet(|| master.renew(&[])), 0, &["renewed"]);
    assert_eq!(master.twin.read("/etc/kubernetes/admin.conf"), admin);
    assert_eq!(master.twin.read("/etc/kubernetes/pki/apiserver.crt"), apiserver, "what was in place stays");
    assert!(master.twin.read("/etc/kubernetes/manifests/etcd.yaml").contains("khimg.io/renewed: \"later\""));
}

#[test]
fn one_master_at_a_time_and_only_beside_well_ones() {
    let Some(master) = Master::new(Some(loopback())) else { return };
    let before = master.ends();
    master.age("apiserver", 80);
    let aged = master.twin.read("/etc/kubernetes/pki/apiserver.crt");
    said(&master.renew(&[]), 3, &["the API server of m2 is not well", "good for 79 more days"]);
    assert_eq!(master.holder().as_deref(), Some(""), "it keeps nobody waiting");

    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/khimg-renewal";
    let held = |since: Timestamp| {
        let time = since.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let spec = json!({"spec": {"holderIdentity": "m2", "renewTime": time}});
        block(master.server.client().patch(lease, &spec)).expect("an answer").done().expect("patched");
    };
    held(clock::now() - SignedDuration::from_mins(20));
    said(&master.renew(&[]), 3, &["m2 renews its certificates at the moment"]);
    assert_eq!(master.holder().as_deref(), Some("m2"));
    assert_eq!(master.twin.read("/etc/kubernetes/pki/apiserver.crt"), aged, "a refusal changes nothing");
    // One that was cut off does not keep the others waiting for ever, and there is an end to waiting for a broken one.
    held(clock::now() - SignedDuration::from_mins(40));
    master.age("apiserver", 5);
    let output = master.with_kubelet(|| master.renew(&[]));
    said(&output, 0, &["renewed"]);
    assert!(master.ends().iter().all(|(name, end)| *end > before[name] - DAY));
}
