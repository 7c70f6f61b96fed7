use super::*;
use crate::arch::Arch;
use crate::cluster::{Endpoint, EndpointMode, ImageChoice, Network, Seeding};
use crate::kubernetes::{Runtime, VersionRequest};
use crate::target::Target;
use serde_json::Value;

fn node(name: &str, role: Role, address: &str) -> Node {
    Node {
        name: name.to_owned(),
        role,
        address: address.parse().expect("an address"),
        gateway: None,
        nameservers: Vec::new(),
        mac: None,
        serial: None,
        uuid: None,
        interface: "ens160".to_owned(),
        target: None,
    }
}

fn cluster(minor: u16) -> Cluster {
    Cluster {
        name: "demo".to_owned(),
        kubernetes: VersionRequest { minor, patch: None },
        target: Target { os: "debian-12".to_owned(), arch: Arch::Amd64 },
        runtime: Runtime::Containerd,
        endpoint: Endpoint {
            mode: EndpointMode::Stacked,
            address: [192, 168, 30, 200].into(),
            port: 8443,
            interface: "ens160".to_owned(),
            virtual_router_id: 50,
            names: vec!["api.example.org".to_owned()],
        },
        etcd: EtcdMode::Stacked,
        bootstrap: Bootstrap::Symmetric,
        network: Network {
            pod_subnet: "10.244.0.0/16".parse().expect("a subnet"),
            service_subnet: "10.96.0.0/12".parse().expect("a subnet"),
            dns_domain: "cluster.local".to_owned(),
            cni: Cni::Flannel,
            dns: Dns::Coredns,
            kube_proxy: KubeProxy::Iptables,
            coredns: crate::cluster::Coredns::default(),
        },
        mirrors: Vec::new(),
        mirror_definitions: BTreeMap::new(),
        trust: BTreeMap::new(),
        components: BTreeMap::new(),
        compat: crate::cluster::Compat::default(),
        addons: Vec::new(),
        depots: Vec::new(),
        seeding: Seeding::default(),
        image: ImageChoice::default(),
        join_until: jiff::SignedDuration::from_hours(24 * 30),
        token_life: jiff::SignedDuration::from_hours(24),
        nodes: vec![
            node("m1", Role::Master, "192.168.30.11/24"),
            node("m2", Role::Master, "192.168.30.12/24"),
            node("m3", Role::Master, "192.168.30.13/24"),
            node("w1", Role::Worker, "192.168.30.21/24"),
        ],
    }
}

fn images() -> Images {
    Images {
        repository: "registry.k8s.io".to_owned(),
        etcd: Some(ImageName { repository: "registry.k8s.io".to_owned(), tag: "3.5.9-0".to_owned() }),
        coredns: Some(ImageName { repository: "registry.k8s.io/coredns".to_owned(), tag: "v1.10.1".to_owned() }),
        pause: "registry.k8s.io/pause:3.9".to_owned(),
    }
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).expect("YAML")
}

fn with<T>(cluster: &Cluster, run: impl FnOnce(Settings<'_>) -> T) -> T {
    let version = KubernetesVersion { minor: cluster.kubernetes.minor, patch: 2 };
    run(Settings { cluster, version, images: &images(), cni_bin: "/opt/cni/bin", secrets: &Secrets::stand_in() })
}

#[test]
fn arguments_are_a_map_and_then_a_list() {
    for (minor, api) in [(14, "v1beta1"), (20, "v1beta2"), (30, "v1beta3"), (31, "v1beta4"), (36, "v1beta4")] {
        let cluster = cluster(minor);
        let init = with(&cluster, |settings| documents(&settings.init(&cluster.nodes[0]).expect("init")));
        assert_eq!(init.len(), 4, "1.{minor}");
        assert_eq!(init[0]["apiVersion"], format!("kubeadm.k8s.io/{api}"), "1.{minor}");
        assert_eq!(init[1]["apiVersion"], init[0]["apiVersion"]);
        let (kubelet, etcd) =
            (&init[0]["nodeRegistration"]["kubeletExtraArgs"], &init[1]["etcd"]["local"]["extraArgs"]);
        let members = "m1=https://192.168.30.11:2380,m2=https://192.168.30.12:2380,m3=https://192.168.30.13:2380";
        if api == "v1beta4" {
            assert_eq!(kubelet[0], serde_json::json!({"name": "node-ip", "value": "192.168.30.11"}));
            assert_eq!(etcd[0], serde_json::json!({"name": "initial-cluster", "value": members}));
            assert_eq!(init[1]["encryptionAlgorithm"], "ECDSA-P256");
        } else {
            assert_eq!(kubelet["node-ip"], "192.168.30.11");
            assert_eq!(etcd["initial-cluster"], members);
            assert_eq!(etcd["initial-cluster-state"], "new");
            assert!(init[1].get("encryptionAlgorithm").is_none());
        }
        assert_eq!(init[1]["featureGates"]["PublicKeysECDSA"] == true, (19..31).contains(&minor), "1.{minor}");
        assert_eq!(init[1]["dns"].get("type").is_some(), minor < 22, "1.{minor}");
        assert_eq!(init[0].get("timeouts").is_some(), minor >= 31, "1.{minor}");
        assert_eq!(init[0]["nodeRegistration"].get("imagePullPolicy").is_some(), minor >= 22, "1.{minor}");
    }
}

#[test]
fn every_version_renders() {
    for minor in 14..=37 {
        for runtime in [Runtime::Containerd, Runtime::Docker] {
            let cluster = Cluster { runtime, ..cluster(minor) };
            with(&cluster, |settings| {
                for text in [settings.init(&cluster.nodes[0]), settings.stored(), settings.join(&cluster.nodes[3])] {
                    assert!(!documents(&text.expect("renders")).is_empty());
                }
            });
        }
    }
}

#[test]
fn the_stored_configuration_has_no_membership_no_gates_and_no_token() {
    let cluster = cluster(20);
    with(&cluster, |settings| {
        let stored = settings.stored().expect("stored");
        assert!(!stored.contains("initial-cluster"), "{stored}");
        assert!(!stored.contains(settings.secrets.token.expose()));
        let init = documents(&settings.init(&cluster.nodes[0]).expect("init"));
        let mut formed = init[1].clone();
        formed["etcd"]["local"].as_object_mut().expect("a map").remove("extraArgs");
        formed.as_object_mut().expect("a map").remove("featureGates");
        assert_eq!(documents(&stored)[0], formed, "nothing else differs");
    });
}

#[test]
fn init_join_has_no_membership_at_all() {
    let cluster = Cluster { bootstrap: Bootstrap::InitJoin, ..cluster(20) };
    let init = with(&cluster, |settings| settings.init(&cluster.nodes[0]).expect("init"));
    assert!(!init.contains("initial-cluster"));
}

#[test]
fn workers_join_with_the_pinned_ca_and_nothing_more() {
    let cluster = cluster(20);
    let (join, master) = with(&cluster, |settings| {
        let join = |node| documents(&settings.join(node).expect("join")).remove(0);
        (join(&cluster.nodes[3]), join(&cluster.nodes[1]))
    });
    let pins = join["discovery"]["bootstrapToken"]["caCertHashes"].as_array().expect("pins").clone();
    assert_eq!(pins, [Value::from(Secrets::stand_in().ca_hash().expect("a certificate"))]);
    assert_eq!(join["discovery"]["bootstrapToken"]["apiServerEndpoint"], "192.168.30.200:8443");
    assert!(join.get("controlPlane").is_none());
    assert_eq!(master["controlPlane"]["localAPIEndpoint"]["advertiseAddress"], "192.168.30.12");
    for document in [&join, &master] {
        assert!(!document.to_string().contains("unsafeSkip"));
    }
}

#[test]
fn certificates_hold_the_endpoint_and_every_master() {
    let cluster = cluster(34);
    let stored = with(&cluster, |settings| documents(&settings.stored().expect("stored")));
    let sans = &stored[0]["apiServer"]["certSANs"];
    for name in ["192.168.30.200", "m1", "192.168.30.11", "m3", "192.168.30.13", "127.0.0.1"] {
        assert!(sans.as_array().expect("a list").contains(&Value::from(name)), "{name}");
    }
    assert_eq!(stored[1]["clusterDNS"][0], "10.96.0.10");
    assert_eq!(stored[1]["cgroupDriver"], "systemd");
    assert_eq!(stored[2]["conntrack"]["maxPerCore"], 0);
}

#[test]
fn masters_without_workers_run_pods() {
    let mut cluster = cluster(34);
    let taints = |cluster: &Cluster| {
        let init = with(cluster, |settings| documents(&settings.init(&cluster.nodes[0]).expect("init")));
        init[0]["nodeRegistration"].get("taints").cloned()
    };
    assert_eq!(taints(&cluster), None);
    cluster.nodes.truncate(3);
    assert_eq!(taints(&cluster), Some(Value::Array(Vec::new())));
}

#[test]
fn external_etcd_needs_no_image() {
    let mut cluster = Cluster { etcd: EtcdMode::External, ..cluster(20) };
    cluster.nodes.push(node("e1", Role::Etcd, "192.168.30.31/24"));
    let bare = Images { etcd: None, ..images() };
    let settings = Settings {
        cluster: &cluster,
        version: KubernetesVersion { minor: 20, patch: 2 },
        images: &bare,
        cni_bin: "/opt/cni/bin",
        secrets: &Secrets::stand_in(),
    };
    let stored = documents(&settings.stored().expect("stored"));
    assert_eq!(stored[0]["etcd"]["external"]["endpoints"][0], "https://192.168.30.31:2379");
    let stacked = Cluster { etcd: EtcdMode::Stacked, ..cluster.clone() };
    assert!(matches!(
        Settings { cluster: &stacked, ..settings }.stored(),
        Err(KubeadmError::NoImage { name: "etcd", .. })
    ));
}

#[test]
fn no_dns() {
    for minor in [20, 34] {
        let mut cluster = cluster(minor);
        cluster.network.dns = Dns::None;
        let stored = with(&cluster, |settings| documents(&settings.stored().expect("stored")));
        assert_eq!(stored[0].get("dns").map(|dns| dns["disabled"].clone()), (minor >= 31).then_some(Value::Bool(true)));
    }
}

/// What kubeadm makes of `dns.imageRepository` is the image on the node, in the two patches too that add a level of their own.
#[test]
fn coredns_is_found() {
    let images = Images {
        coredns: Some(ImageName { repository: "registry.k8s.io/coredns".to_owned(), tag: "v1.8.0".to_owned() }),
        ..images()
    };
    let cluster = cluster(21);
    for (patch, appended) in [(0, "coredns/coredns"), (1, "coredns/coredns"), (2, "coredns"), (14, "coredns")] {
        let version = KubernetesVersion { minor: 21, patch };
        let secrets = Secrets::stand_in();
        let settings =
            Settings { cluster: &cluster, version, images: &images, cni_bin: "/opt/cni/bin", secrets: &secrets };
        let stored = documents(&settings.stored().expect("stored"));
        let repository = stored[0]["dns"]["imageRepository"].as_str().expect("a text");
        assert_eq!(format!("{repository}/{appended}"), "registry.k8s.io/coredns/coredns", "1.21.{patch}");
    }
}

#[test]
fn addresses_and_durations() {
    assert_eq!(host_port("fd00::1".parse().expect("an address"), 6443), "[fd00::1]:6443");
    assert_eq!(nth_address("10.96.0.0/12".parse().expect("a subnet"), 10).to_string(), "10.96.0.10");
    assert_eq!(nth_address("fd00::/108".parse().expect("a subnet"), 10).to_string(), "fd00::a");
    assert_eq!(go_duration(jiff::SignedDuration::from_secs(90_061)), "25h1m1s");
}

#[test]
fn many_nodes_do_not_ask_more_often() {
    for nodes in 1..=5000 {
        let seconds = super::status_seconds(nodes);
        assert!((2..=10).contains(&seconds) && (seconds == 10 || nodes <= 25 * seconds), "{nodes}: {seconds}");
    }
    assert_eq!([4, 51, 250].map(super::status_seconds), [2, 3, 10]);
}
