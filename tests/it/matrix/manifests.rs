//! What the first master applies to the cluster: every image is in the bundle of every node that may run it, and a real API
//! server takes every object.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use khimg::arch::Arch;
use khimg::cluster::Role;
use khimg::secrets::Secrets;

use super::fixture::{BuiltIn, Cell};
use crate::render::fixture::unpack;

/// The manifests of a master, in the order in which they are applied, and the images that every node with pods carries.
fn manifests(built_in: &BuiltIn, cluster: &str) -> (Vec<(String, String)>, BTreeSet<String>) {
    let cluster = built_in.cluster(cluster).unwrap_or_else(|problems| panic!("{problems}"));
    let (rendered, inventory) = built_in.render(&cluster, &Secrets::stand_in());
    let files = rendered.all_files("master-1").expect("a node");
    let manifests = files.iter().filter(|(path, _)| path.as_str().starts_with("/etc/khimg/manifests/"));
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.expect("a file").to_vec()).expect("text");
    let manifests = manifests.map(|(path, entry)| (path.to_string(), text(entry.bytes()))).collect();
    let carried = |role| inventory.images(role, Arch::Amd64).map(str::to_owned).collect::<BTreeSet<_>>();
    let both = carried(Role::Master).intersection(&carried(Role::Worker)).cloned().collect();
    (manifests, both)
}

fn images(manifest: &str) -> BTreeSet<String> {
    let lines = manifest.lines().filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix("image: "));
    lines.map(str::to_owned).collect()
}

#[test]
fn every_image_is_carried() {
    let built_in = BuiltIn::new();
    for (cni, oldest, count) in [("flannel", 19, 2), ("calico", 19, 3), ("cilium", 21, 2)] {
        for minor in oldest..=36 {
            let cell = Cell { network: format!(", cni: {cni}"), ..Cell::plain(minor, "debian-12") };
            let (manifests, carried) = manifests(&built_in, &cell.file());
            let [(path, text)] = manifests.as_slice() else { panic!("1.{minor} {cni}: {manifests:?}") };
            assert_eq!(*path, format!("/etc/khimg/manifests/10-{cni}.yaml"));
            let named = images(text);
            assert_eq!(named.len(), count, "1.{minor} {cni}: {named:?}");
            assert!(named.is_subset(&carried), "1.{minor} {cni}: {named:?} and not only {carried:?}");
            assert!(text.contains("10.244.0.0/16") || cni == "cilium", "1.{minor} {cni}");
        }
    }
}

/// Where the tests' mirror has built Kubernetes 1.20.2, if it has.
fn kubernetes() -> Option<PathBuf> {
    let cache = std::env::var_os("KHIMG_LAB_CACHE").map_or_else(|| "/var/cache/khimg-lab".into(), PathBuf::from);
    let built =
        std::fs::read_dir(cache.join("built")).ok()?.filter_map(Result::ok).map(|entry| entry.path().join("bin"));
    built.filter(|bin| bin.join("kube-apiserver").exists() && bin.join("kubectl").exists()).max()
}

/// What `script` says with a real etcd and API server of 1.20.2 that `ask` reaches, in namespaces of their own.
fn with_server(test: &str, bin: &Path, script: &str) -> Option<String> {
    let script = format!(
        r#"mount -t tmpfs tmpfs /mnt && cd /mnt && ip link set lo up && ip link add ens160 type bridge && \
           ip address add 192.168.30.11/24 dev ens160 && ip link set ens160 up && ip route add default via 192.168.30.1 || exit 9
           etcd --data-dir /mnt/etcd --logger zap --log-level error >etcd.log 2>&1 & etcd=$!
           openssl genrsa -out sa.key 2048 2>/dev/null
           echo "token,admin,admin,system:masters" >tokens
           {bin}/kube-apiserver --etcd-servers http://127.0.0.1:2379 --cert-dir /mnt/tls --token-auth-file tokens \
             --service-account-key-file sa.key --service-account-signing-key-file sa.key \
             --service-account-issuer https://kubernetes.default.svc --authorization-mode RBAC --allow-privileged \
             --service-cluster-ip-range 10.96.0.0/12 >server.log 2>&1 & server=$!
           trap 'kill $server $etcd; wait' EXIT
           printf '{{"apiVersion":"v1","kind":"Config","current-context":"a","clusters":[{{"name":"a","cluster":{{"server":"https://127.0.0.1:6443","insecure-skip-tls-verify":true}}}}],"users":[{{"name":"a","user":{{"token":"token"}}}}],"contexts":[{{"name":"a","context":{{"cluster":"a","user":"a"}}}}]}}' >kubeconfig
           ask() {{ {bin}/kubectl --kubeconfig /mnt/kubeconfig "$@"; }}
           for i in $(seq 300); do ask get namespace kube-system >/dev/null 2>&1 && break; sleep 0.2; done
           {script}"#,
        bin = bin.display(),
    );
    let arguments = ["--mount", "--net", "--pid", "--fork", "--kill-child", "bash", "-euc", &script];
    let output = Command::new("unshare").args(arguments).output().expect("unshare");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(9) {
        println!("skipped: {test}: no namespaces here: {said}");
        return None;
    }
    assert!(output.status.success(), "{said}");
    Some(said)
}

/// kubeadm makes CoreDNS, and what the cluster file says about it is applied over that, as on a master.
#[test]
fn coredns_gets_what_it_is_given() {
    let Some(bin) = kubernetes().filter(|_| PathBuf::from("/usr/bin/etcd").exists()) else {
        return println!(
            "skipped: coredns_gets_what_it_is_given: tests/lab/mirror has built no Kubernetes, or no etcd"
        );
    };
    let built_in = BuiltIn::new();
    let wanted = ", cni: none, coredns: {replicas: 5, memory: 512Mi, cacheSize: 10000, maxConcurrent: 2000}";
    let cell = Cell { network: wanted.to_owned(), ..Cell::plain(20, "debian-12") };
    let cluster = built_in.cluster(&cell.file()).unwrap_or_else(|problems| panic!("{problems}"));
    let root = unpack(&built_in.render(&cluster, &Secrets::stand_in()).0, "master-1");
    let script = format!(
        "{bin}/kubeadm init phase addon coredns --config {root}{stored} --kubeconfig /mnt/kubeconfig\n\
         ask --namespace kube-system get deployment coredns -o json >before.json\n\
         ask apply --filename {root}/etc/khimg/manifests\n\
         ask --namespace kube-system get deployment coredns -o json >after.json\n\
         jq '.spec.replicas, .spec.template.spec.containers[0].resources.limits.memory' after.json\n\
         ask --namespace kube-system get configmap coredns -o jsonpath='{{.data.Corefile}}'\n\
         rest='del(.metadata, .status, .spec.replicas, .spec.template.spec.containers[0].resources.limits)'\n\
         cmp <(jq -S \"$rest\" before.json) <(jq -S \"$rest\" after.json)",
        bin = bin.display(),
        root = root.path().display(),
        stored = khimg::render::STORED_PATH,
    );
    let Some(said) = with_server("coredns_gets_what_it_is_given", &bin, &script) else { return };
    for line in ["5\n\"512Mi\"\n", "max_concurrent 2000", "success 10000", "denial 10000", "kubernetes cluster.local "]
    {
        assert!(said.contains(line), "{line} is missing in\n{said}");
    }
}

/// The smoke test of the write-up with Kubernetes 1.14.
const GOWEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: goweb}
spec:
  selector: {matchLabels: {app: goweb}}
  replicas: 4
  template:
    metadata: {labels: {app: goweb}}
    spec:
      containers:
        - {name: goweb, image: lingtony/goweb, imagePullPolicy: IfNotPresent, ports: [{containerPort: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: gowebsvc}
spec:
  selector: {app: goweb}
  ports: [{name: default, protocol: TCP, port: 80, targetPort: 8000}]
";

/// A real API server of 1.20.2 takes every object: its kind and version exist, no field is unknown, every value is valid.
#[test]
fn an_api_server_takes_every_object() {
    let (Some(bin), true) = (kubernetes(), PathBuf::from("/usr/bin/etcd").exists()) else {
        return println!(
            "skipped: an_api_server_takes_every_object: tests/lab/mirror has built no Kubernetes, or no etcd"
        );
    };
    let built_in = BuiltIn::new();
    let place = tempfile::tempdir().expect("a directory");
    // 1.20 is too old for Cilium's agent; its objects are the same.
    for (cni, minor) in [("flannel", 20), ("calico", 20), ("calico", 36), ("cilium", 21)] {
        let cell = Cell { network: format!(", cni: {cni}"), ..Cell::plain(minor, "debian-12") };
        for (_, text) in manifests(&built_in, &cell.file()).0 {
            std::fs::write(place.path().join(format!("{cni}-1.{minor}.yaml")), text).expect("a file");
        }
    }
    // What a write-up tries its cluster with, as the user's own manifest.
    let goweb = place.path().join("goweb");
    std::fs::write(&goweb, GOWEB).expect("a file");
    let with_addon =
        format!("{}addons: [{{name: goweb, file: {}}}]\n", Cell::plain(20, "debian-12").file(), goweb.display());
    let addon = manifests(&built_in, &with_addon).0.remove(1);
    assert_eq!(addon, ("/etc/khimg/manifests/50-00-goweb.yaml".to_owned(), GOWEB.to_owned()));
    std::fs::write(place.path().join("goweb.yaml"), &addon.1).expect("a file");
    let apply = format!(
        "for file in {place}/*.yaml; do echo \"== $file\"
           ask apply --dry-run=client -f \"$file\" && ask apply -f \"$file\" || {{ tail server.log; exit 1; }}; done",
        place = place.path().display()
    );
    let Some(said) = with_server("an_api_server_takes_every_object", &bin, &apply) else { return };
    assert_eq!(said.matches(".crd.projectcalico.org created\n").count(), 22, "{said}");
    for object in [
        "daemonset.apps/kube-flannel-ds",
        "daemonset.apps/calico-node",
        "deployment.apps/cilium-operator",
        "deployment.apps/goweb",
        "service/gowebsvc",
    ] {
        assert!(said.contains(&format!("{object} created (dry run)")), "{said}");
        assert!(said.contains(&format!("{object} created\n")), "{said}");
    }
}
