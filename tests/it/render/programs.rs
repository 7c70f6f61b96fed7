//! What the real programs say of the rendered files, read at their real paths.

use std::path::{Path, PathBuf};
use std::process::Command;

use khimg::cluster::{Cni, EndpointMode};
use khimg::secrets::{KeyAlgorithm, Secrets};

use super::fixture::{cluster, dry_run, lock, rendered, unpack, with_docker};
use super::on_node::{accepted, on_node, skip, text};

const MODES: [EndpointMode; 3] = [EndpointMode::Stacked, EndpointMode::Dedicated, EndpointMode::VipOnly];

/// A node that holds the endpoint's address in this mode.
fn balancer(mode: EndpointMode) -> &'static str {
    if mode == EndpointMode::Dedicated { "lb-1" } else { "master-1" }
}

#[test]
fn haproxy_accepts() {
    for mode in [EndpointMode::Stacked, EndpointMode::Dedicated, EndpointMode::SingleLb] {
        let node = if mode == EndpointMode::Stacked { "master-1" } else { "lb-1" };
        let script = "haproxy -c -V -f /etc/haproxy/haproxy.cfg";
        let Some(output) = on_node("haproxy_accepts", &["haproxy"], &cluster(mode, Cni::Bridge), node, script) else {
            return;
        };
        accepted(&output);
        let said = text(&output);
        assert!(!said.contains("WARNING") && !said.contains("NOTICE"), "{said}");
    }
}

#[test]
fn keepalived_accepts() {
    for mode in MODES {
        // keepalived 2.2.7 ends its parent after a test that went well.
        let script = "trap '' TERM; keepalived --config-test --use-file /etc/keepalived/keepalived.conf";
        let cluster = cluster(mode, Cni::Bridge);
        let Some(output) = on_node("keepalived_accepts", &["keepalived"], &cluster, balancer(mode), script) else {
            return;
        };
        accepted(&output);
        assert_eq!(text(&output), "", "keepalived warns");
    }
}

#[test]
fn containerd_reads_what_is_meant() {
    let script = "containerd --config /etc/containerd/config.toml config dump";
    let cluster = cluster(EndpointMode::Stacked, Cni::Bridge);
    let Some(output) = on_node("containerd", &["containerd"], &cluster, "master-1", script) else { return };
    accepted(&output);
    let dump = text(&output);
    for line in [
        "sandbox_image = \"registry.k8s.io/pause:3.2\"",
        "bin_dir = \"/opt/cni/bin\"",
        "conf_dir = \"/etc/cni/net.d\"",
        "SystemdCgroup = false",
        "restrict_oom_score_adj = true",
        "config_path = \"/etc/containerd/certs.d\"",
        "disabled_plugins = []",
        "runtime_type = \"io.containerd.runc.v2\"",
    ] {
        assert!(dump.contains(line), "{line} is missing in\n{dump}");
    }
}

#[test]
fn systemd_accepts_every_unit() {
    let needed = ["systemd-analyze", "haproxy", "keepalived", "containerd", "dockerd", "chronyd", "cloud-init"];
    let clusters = [
        (cluster(EndpointMode::Stacked, Cni::Bridge), "master-1"),
        (cluster(EndpointMode::VipOnly, Cni::Bridge), "master-1"),
        (cluster(EndpointMode::Dedicated, Cni::Bridge), "lb-1"),
        (cluster(EndpointMode::Dedicated, Cni::Bridge), "worker-1"),
        (with_docker(cluster(EndpointMode::Stacked, Cni::Bridge), 20), "worker-1"),
    ];
    for (cluster, node) in clusters {
        let files = dry_run(&cluster).all_files(node).expect("a node");
        let mut units = std::collections::BTreeSet::new();
        for (path, _) in files.iter() {
            let mut elements = path.as_str().split('/').map(|e| e.strip_suffix(".d").unwrap_or(e));
            let unit = elements.find(|e| e.ends_with(".service") || e.ends_with(".timer"));
            // The kubelet's own unit comes with its package.
            units.extend(unit.filter(|unit| *unit != "kubelet.service").map(str::to_owned));
        }
        assert!(units.len() >= 3, "{units:?}");
        let units = units.into_iter().collect::<Vec<_>>().join(" ");
        let script = format!("systemd-analyze verify --man=no {units}");
        let Some(output) = on_node("systemd_accepts_every_unit", &needed, &cluster, node, &script) else { return };
        // Without a running systemd it cannot resolve what units mean to each other; what it says of ours is all that counts.
        let said: Vec<String> =
            text(&output).lines().filter(|line| line.contains("khimg")).map(str::to_owned).collect();
        assert!(said.is_empty(), "{units}:\n{}\n\n{}", said.join("\n"), text(&output));
        accepted(&output);
    }
}

#[test]
fn sysctl_knows_every_key() {
    // -e would hide what is wrong; a leading "-" in the file already excuses what a container lacks.
    let script = "sysctl --dry-run --load /etc/sysctl.d/90-khimg.conf";
    for node in ["master-1", "lb-1"] {
        let cluster = cluster(EndpointMode::Dedicated, Cni::Bridge);
        let Some(output) = on_node("sysctl_knows_every_key", &["sysctl"], &cluster, node, script) else { return };
        accepted(&output);
        assert_eq!(text(&output).contains("net.ipv4.ip_forward = 1"), node == "master-1", "{}", text(&output));
    }
}

#[test]
fn chrony_accepts() {
    for (node, servers) in [("master-1", 2), ("worker-1", 3)] {
        let cluster = cluster(EndpointMode::Stacked, Cni::Bridge);
        let script = "chronyd -p -f /etc/chrony/chrony.conf";
        let Some(output) = on_node("chrony_accepts", &["chronyd"], &cluster, node, script) else { return };
        accepted(&output);
        let said = text(&output);
        assert_eq!(said.matches("server 192.168.30.").count(), servers, "{said}");
        assert!(!said.contains("pool"), "nobody outside is asked: {said}");
    }
}

#[test]
fn shellcheck_accepts_every_script() {
    let script = r#"for script in /etc/khimg/stage0 /usr/libexec/khimg/*; do shellcheck "$script"; done"#;
    for (mode, node) in [(EndpointMode::Stacked, "master-1"), (EndpointMode::VipOnly, "master-2")] {
        let cluster = cluster(mode, Cni::Bridge);
        let Some(output) = on_node("shellcheck", &["shellcheck"], &cluster, node, script) else { return };
        accepted(&output);
    }
}

/// The check that keepalived runs, against the real haproxy: alive, stopped in its tracks, dead.
#[test]
fn the_check_follows_haproxy() {
    let script = r#"
        check=/usr/libexec/khimg/check-endpoint
        mkdir -p /run/khimg-test && mount -t tmpfs tmpfs /run/khimg-test
        ! $check 2>/dev/null || { echo "succeeds without haproxy"; exit 1; }
        haproxy -db -f /etc/haproxy/haproxy.cfg >/run/khimg-test/log 2>&1 & haproxy=$!
        for i in $(seq 100); do $check 2>/dev/null && break; sleep 0.1; done
        $check || { echo "fails with haproxy"; cat /run/khimg-test/log; exit 1; }
        runuser -u nobody -- $check || { echo "fails for nobody"; exit 1; }
        kill -STOP $haproxy
        ! timeout 5 $check || { echo "succeeds with a haproxy that hangs"; exit 1; }
        kill -CONT $haproxy
        $check || { echo "fails after it goes on"; exit 1; }
        kill -KILL $haproxy; wait $haproxy 2>/dev/null || :
        ! $check 2>/dev/null || { echo "succeeds after its death"; exit 1; }
    "#;
    let cluster = cluster(EndpointMode::Stacked, Cni::Bridge);
    let Some(output) = on_node("the_check_follows_haproxy", &["haproxy", "runuser"], &cluster, "master-1", script)
    else {
        return;
    };
    accepted(&output);
}

/// The pod routes, applied twice to a real kernel.
#[test]
fn pod_routes_are_idempotent() {
    let script = "/usr/libexec/khimg/pod-routes && /usr/libexec/khimg/pod-routes && ip route show proto boot";
    let cluster = cluster(EndpointMode::Stacked, Cni::Bridge);
    let Some(output) = on_node("pod_routes_are_idempotent", &["ip"], &cluster, "master-1", script) else { return };
    accepted(&output);
    for route in
        ["10.244.12.0/24 via 192.168.30.12", "10.244.13.0/24 via 192.168.30.13", "10.244.21.0/24 via 192.168.30.21"]
    {
        assert_eq!(text(&output).matches(route).count(), 1, "{}", text(&output));
    }
}

/// Services are within reach where nothing else is, with any network plugin; a way out is left alone.
#[test]
fn services_have_a_route() {
    let script = r#"
        mount -t tmpfs tmpfs /run
        ip address replace "$(sed -n 's/^address: //p' /etc/khimg/node.yaml)" dev ens160
        for time in 1 2; do /usr/libexec/khimg/without-way-out; done
        ip route show to root 10.96.0.0/12; cat /run/khimg/kubelet.env; rm /run/khimg/kubelet.env; echo --
        ip route del 10.96.0.0/12; ip route add default via 192.168.30.1
        /usr/libexec/khimg/without-way-out; ip route show to root 10.96.0.0/12; ls /run/khimg
    "#;
    for cni in [Cni::Bridge, Cni::Flannel, Cni::None] {
        for node in ["master-1", "worker-1"] {
            let cluster = cluster(EndpointMode::Stacked, cni);
            let Some(output) = on_node("services_have_a_route", &["ip"], &cluster, node, script) else { return };
            accepted(&output);
            let said = text(&output);
            let (without, with) = said.split_once("--").expect("two parts");
            assert_eq!(without.lines().filter(|line| line.starts_with("10.96.0.0/12 dev ")).count(), 1, "{said}");
            assert!(without.contains("AWS_EC2_METADATA_DISABLED=true"), "{said}");
            assert!(!with.contains("10.96.0.0") && !with.contains("kubelet.env"), "{said}");
        }
    }
}

/// The kubeadm 1.20.2 that the tests' mirror builds from Debian's source package, if it has been built here.
fn kubeadm() -> Option<PathBuf> {
    let place = Path::new("/var/cache/khimg-lab/root/dl/release/v1.20.2/bin/linux/amd64/kubeadm");
    place.exists().then(|| place.to_owned())
}

#[test]
fn kubeadm_reads_its_configuration() {
    let Some(kubeadm) = kubeadm() else {
        return skip("kubeadm_reads_its_configuration", "no kubeadm 1.20.2: tests/lab builds it");
    };
    let run =
        |arguments: &[&str], file: &Path| Command::new(&kubeadm).args(arguments).arg(file).output().expect("kubeadm");
    let secrets = Secrets::generate(KeyAlgorithm::EcdsaP256).expect("generates");
    for cni in [Cni::Bridge, Cni::Flannel] {
        let rendered = rendered(&cluster(EndpointMode::Stacked, cni), &secrets);
        let master = unpack(&rendered, "master-1");
        let worker = unpack(&rendered, "worker-1");
        for file in [
            master.path().join("etc/khimg/kubeadm-init.yaml"),
            master.path().join("etc/khimg/kubeadm-stored.yaml"),
            master.path().join("etc/khimg/kubeadm-join.yaml"),
            worker.path().join("etc/khimg/kubeadm-join.yaml"),
        ] {
            // Strict: it prints a warning for every field that it does not know.
            let output = run(&["config", "migrate", "--old-config"], &file);
            accepted(&output);
            let warned = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!warned.contains("unknown field") && !warned.contains("error unmarshaling"), "{warned}");
        }
        let output = run(&["config", "images", "list", "--config"], &master.path().join("etc/khimg/kubeadm-init.yaml"));
        accepted(&output);
        let locked: Vec<String> = lock().images.into_iter().map(|image| image.name).collect();
        let wanted = String::from_utf8(output.stdout).expect("text");
        assert_eq!(wanted.lines().count(), 7, "{wanted}");
        for image in wanted.lines() {
            assert!(locked.iter().any(|name| name == image), "{image} is not in the bundle");
        }
    }
}

/// kubeadm's own phases take the PKI and the first membership of etcd: certificates, kubeconfigs and static pods.
#[test]
fn kubeadm_forms_a_master_on_paper() {
    let Some(kubeadm) = kubeadm() else {
        return skip("kubeadm_forms_a_master_on_paper", "no kubeadm 1.20.2: tests/lab builds it");
    };
    let secrets = Secrets::generate(KeyAlgorithm::EcdsaP256).expect("generates");
    let root = unpack(&rendered(&cluster(EndpointMode::Stacked, Cni::Bridge), &secrets), "master-1");
    let script = format!(
        "mount -t tmpfs tmpfs /mnt && cp -a {root}/etc/kubernetes /mnt/kubernetes && \
         mkdir -p /mnt/upper /mnt/work && \
         mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc && \
         mkdir -p /etc/kubernetes && mount --bind /mnt/kubernetes /etc/kubernetes && \
         ip link set lo up && ip link add ens160 type bridge && ip address add 192.168.30.11/24 dev ens160 && \
         ip link set ens160 up && ip route add default via 192.168.30.1 && \
         for phase in 'certs all' 'kubeconfig all' 'control-plane all' \
           'etcd local --experimental-patches {root}/etc/khimg/static-pods'; do \
           {kubeadm} init phase $phase --config {root}/etc/khimg/kubeadm-init.yaml || exit 7; done\n\
         openssl verify -CAfile /etc/kubernetes/pki/ca.crt /etc/kubernetes/pki/apiserver.crt\n\
         openssl verify -CAfile /etc/kubernetes/pki/etcd/ca.crt /etc/kubernetes/pki/etcd/server.crt\n\
         openssl x509 -in /etc/kubernetes/pki/apiserver.crt -noout -ext subjectAltName\n\
         openssl x509 -in /etc/kubernetes/pki/apiserver.crt -noout -text | grep -A2 'Public Key Algorithm'\n\
         cat /etc/kubernetes/manifests/etcd.yaml /etc/kubernetes/manifests/kube-controller-manager.yaml",
        root = root.path().display(),
        kubeadm = kubeadm.display(),
    );
    let output = Command::new("unshare").args(["--mount", "--net", "bash", "-euc", &script]).output().expect("unshare");
    if !output.status.success() && output.status.code() != Some(7) {
        return skip("kubeadm_forms_a_master_on_paper", &text(&output));
    }
    accepted(&output);
    let said = text(&output);
    assert!(said.contains("Using existing ca certificate authority"), "{said}");
    for expected in [
        "apiserver.crt: OK",
        "etcd/server.crt: OK",
        "IP Address:192.168.30.200",
        "DNS:master-3",
        "Public-Key: (256 bit)",
        "--initial-cluster=master-1=https://192.168.30.11:2380,master-2=https://192.168.30.12:2380,master-3=https://192.168.30.13:2380",
        "--initial-cluster-state=new",
        "image: registry.k8s.io/etcd:3.4.13-0",
        "--allocate-node-cidrs=false",
        "memory: 100Mi",
    ] {
        assert!(said.contains(expected), "{expected} is missing in\n{said}");
    }
    // A kubelet that has just become known would refuse the pod.
    assert!(!said.contains("ephemeral-storage"), "{said}");
    for once in ["--initial-cluster=", "--initial-cluster-state="] {
        assert_eq!(said.matches(once).count(), 1, "kubeadm's own default stands beside ours:\n{said}");
    }
}
