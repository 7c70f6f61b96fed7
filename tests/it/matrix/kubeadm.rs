//! What kubeadm reads: the real one of 1.20.2 for the versions of its configuration that it knows, and for the others the lists
//! of their fields.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use khimg::arch::Arch;
use khimg::cluster::Role;
use khimg::digest::Digest;
use khimg::secrets::{KeyAlgorithm, Secrets};
use serde_json::Value;

use super::cells::cells;
use super::fields;
use super::fixture::{BuiltIn, Cell};
use crate::render::fixture::unpack;
use crate::render::on_node::text;

/// kubeadm 1.20.2 as the tests' mirror builds it, if it has.
fn kubeadm() -> Option<PathBuf> {
    let cache = std::env::var_os("KHIMG_LAB_CACHE").map_or_else(|| "/var/cache/khimg-lab".into(), PathBuf::from);
    let place = cache.join("root/dl/release/v1.20.2/bin/linux/amd64/kubeadm");
    place.exists().then_some(place)
}

/// Every distinct configuration of all cells, with one cell that has it.
fn configurations() -> &'static BTreeMap<Digest, (Cell, String)> {
    static ALL: OnceLock<BTreeMap<Digest, (Cell, String)>> = OnceLock::new();
    ALL.get_or_init(read_configurations)
}

fn read_configurations() -> BTreeMap<Digest, (Cell, String)> {
    let (built_in, secrets) = (BuiltIn::without_limits(), Secrets::stand_in());
    let mut found = BTreeMap::new();
    for cell in cells("debian-12") {
        let cluster = built_in.cluster(&cell.file()).unwrap_or_else(|problems| panic!("{problems}"));
        let (rendered, _) = built_in.render(&cluster, &secrets);
        for node in ["master-1", "master-2", "worker-1"] {
            let files = rendered.all_files(node).expect("a node");
            for (path, entry) in files.iter().filter(|(path, _)| path.as_str().starts_with("/etc/khimg/kubeadm-")) {
                let text = String::from_utf8(entry.bytes().expect("a file").to_vec()).expect("text");
                assert!(!text.is_empty(), "{path}");
                found.entry(Digest::of(text.as_bytes())).or_insert((cell.clone(), text));
            }
        }
    }
    found
}

/// v1beta1 and v1beta2. Only the version of Kubernetes is another one: kubeadm refuses to plan those that it cannot install.
#[test]
fn kubeadm_reads_what_is_meant_for_it() {
    let Some(kubeadm) = kubeadm() else {
        return println!("skipped: kubeadm_reads_what_is_meant_for_it: no kubeadm 1.20.2: tests/lab/mirror builds it");
    };
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("kubeadm.yaml");
    let (mut apis, mut read) = (BTreeSet::new(), BTreeSet::new());
    for (cell, text) in configurations().values().filter(|(cell, _)| cell.minor <= 21) {
        apis.extend(text.lines().filter(|line| line.contains("kubeadm.k8s.io/")).map(str::to_owned));
        let lines = text.lines().map(|line| match line.strip_prefix("kubernetesVersion: ") {
            Some(_) => "kubernetesVersion: v1.20.2".to_owned(),
            None => line.to_owned(),
        });
        let text: String = lines.map(|line| line + "\n").collect();
        if !read.insert(text.clone()) {
            continue;
        }
        std::fs::write(&file, &text).expect("a file");
        let output = Command::new(&kubeadm).args(["config", "migrate", "--old-config"]).arg(&file).output();
        let output = output.expect("kubeadm");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Strict: it warns of every field that it does not know.
        let strict = !said.contains("unknown field") && !said.contains("error unmarshaling");
        assert!(output.status.success() && strict, "{cell:?}: {said}\n{text}");
    }
    let expected = ["v1beta1", "v1beta2"].map(|api| format!("apiVersion: kubeadm.k8s.io/{api}"));
    assert_eq!(apis, expected.into());
}

/// v1beta3 and v1beta4, for which Debian has no kubeadm, and the others once more.
#[test]
fn no_field_is_unknown_to_its_version() {
    for (cell, text) in configurations().values() {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{cell:?}: {error}"));
        for document in documents {
            let unknown = fields::unknown(&document);
            assert!(unknown.is_empty(), "{cell:?}: {unknown:?} in\n{text}");
        }
    }
}

/// kubeadm asks for exactly the images that a master carries, whatever the runtime, the endpoint and etcd.
#[test]
fn kubeadm_wants_the_images_that_are_carried() {
    let Some(kubeadm) = kubeadm() else {
        return println!("skipped: kubeadm_wants_the_images_that_are_carried: no kubeadm 1.20.2");
    };
    let (built_in, place) = (BuiltIn::new(), tempfile::tempdir().expect("a directory"));
    let file = place.path().join("kubeadm.yaml");
    for cell in cells("debian-12").filter(|cell| cell.minor == 20) {
        let cluster = built_in.cluster(&cell.file()).unwrap_or_else(|problems| panic!("{problems}"));
        let (rendered, inventory) = built_in.render(&cluster, &Secrets::stand_in());
        let files = rendered.all_files("master-1").expect("a node");
        std::fs::write(&file, files.get(khimg::render::INIT_PATH).and_then(|file| file.bytes()).expect("a file"))
            .expect("a file");
        let output = Command::new(&kubeadm).args(["config", "images", "list", "--config"]).arg(&file).output();
        let output = output.expect("kubeadm");
        assert!(output.status.success(), "{cell:?}: {}", text(&output));
        let wanted: BTreeSet<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        let carried = inventory.images(Role::Master, Arch::Amd64).filter(|name| name.starts_with("registry.k8s.io/"));
        assert_eq!(wanted, carried.map(str::to_owned).collect(), "{cell:?}");
    }
}

/// kubeadm's own rehearsal of `init`, as it would run on a master: everything but the machine's own checks, and without the
/// PKI, which 1.20's rehearsal does not find where it pretends to have put it.
#[test]
fn kubeadm_rehearses() {
    let Some(kubeadm) = kubeadm() else {
        return println!("skipped: kubeadm_rehearses: no kubeadm 1.20.2: tests/lab/mirror builds it");
    };
    let secrets = Secrets::generate(KeyAlgorithm::EcdsaP256).expect("generates");
    let built_in = BuiltIn::new();
    for (runtime, endpoint, network) in [
        ("containerd", "stacked", ""),
        ("docker", "vip-only", ", kubeProxy: ipvs"),
        ("containerd", "external", ", cni: bridge"),
    ] {
        let cell = Cell { runtime, endpoint, network: network.to_owned(), ..Cell::plain(20, "debian-12") };
        let cluster = built_in.cluster(&cell.file()).unwrap_or_else(|problems| panic!("{problems}"));
        let root = unpack(&built_in.render(&cluster, &secrets).0, "master-1");
        let output = rehearse(&kubeadm, root.path());
        if output.status.code() == Some(9) {
            return println!("skipped: kubeadm_rehearses: no namespaces here: {}", text(&output));
        }
        let said = text(&output);
        assert!(output.status.success(), "{cell:?}: {said}");
        let proxy = if network.contains("ipvs") { "mode: ipvs" } else { "mode: iptables" };
        for expected in
            ["Your Kubernetes control-plane has initialized successfully", "192.168.30.200:", "name: kube-proxy", proxy]
        {
            assert!(said.contains(expected), "{cell:?}: {expected} is missing in\n{said}");
        }
        assert!(!said.contains("unknown field"), "{cell:?}: {said}");
    }
}

fn rehearse(kubeadm: &Path, root: &Path) -> Output {
    let script = format!(
        "mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work /mnt/var && \
         mount -t overlay overlay -o lowerdir={root}/etc:/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc && \
         mount --bind /mnt/var /var/lib && ip link set lo up && ip link add ens160 type bridge && \
         ip address add 192.168.30.11/24 dev ens160 && ip link set ens160 up && ip route add default via 192.168.30.1 || exit 9\n\
         rm -rf /etc/kubernetes/pki\n\
         {kubeadm} init --dry-run --config {file} --ignore-preflight-errors all",
        root = root.display(),
        kubeadm = kubeadm.display(),
        file = khimg::render::INIT_PATH,
    );
    Command::new("unshare").args(["--mount", "--net", "bash", "-euc", &script]).output().expect("unshare")
}
