//! A Kubernetes minor that khimg does not know yet is a change of data: 1.37 by a catalogue of the user's.

use khimg::cluster::Role;
use khimg::secrets::Secrets;

use super::fields;
use super::fixture::{BuiltIn, Cell};

#[test]
fn a_new_minor_is_data() {
    let own = tempfile::tempdir().expect("a directory");
    let releases = khimg::shipped::catalog()["kubernetes.yaml"];
    let mut releases = String::from_utf8(releases.to_vec()).expect("text");
    releases.push_str("- {from: 1.37.0, etcd: 3.6.9-0, coredns: v1.14.3, pause: 3.10.3}\n");
    std::fs::write(own.path().join("kubernetes.yaml"), releases).expect("a file");
    let mut built_in = BuiltIn::new();
    let cell = Cell { network: ", cni: calico".to_owned(), runtime: "docker", ..Cell::plain(37, "debian-12") };
    let text = cell.file().replace("'1.37'", "1.37.0");
    let refused = built_in.cluster(&text).expect_err("not known without the row").to_string();
    assert!(refused.contains("does not know Kubernetes 1.37"), "{refused}");

    built_in.catalog = khimg::catalog::load(Some(own.path())).unwrap_or_else(|problems| panic!("{problems}"));
    let cluster = built_in.cluster(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let (rendered, inventory) = built_in.render(&cluster, &Secrets::stand_in());
    let images: Vec<&str> = inventory.images(Role::Master, khimg::arch::Arch::Amd64).collect();
    for image in ["kube-apiserver:v1.37.0", "etcd:3.6.9-0", "coredns/coredns:v1.14.3", "pause:3.10.3"] {
        assert!(images.contains(&format!("registry.k8s.io/{image}").as_str()), "{image} is not among {images:?}");
    }
    let files = rendered.all_files("master-2").expect("a node");
    let init = files.get(khimg::render::INIT_PATH).and_then(|file| file.bytes()).expect("a file");
    let init = std::str::from_utf8(init).expect("text");
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(init).expect("YAML");
    assert_eq!(documents[0]["apiVersion"], "kubeadm.k8s.io/v1beta4");
    for document in &documents {
        assert!(fields::unknown(document).is_empty(), "{document}");
    }
    let old = format!("{text}compat: {{kubeadmApi: v1beta3}}\n");
    let refused = built_in.cluster(&old).expect_err("v1beta3 is gone").to_string();
    assert!(refused.contains("reads the configuration v1beta3 from 1.22 to 1.36"), "{refused}");
}
