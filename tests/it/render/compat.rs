//! Settings as the well-known write-ups have them: each reaches its file, and the real programs take it.

use khimg::cluster::compat::{
    Balance, HaproxyCompat, KeepalivedCheck, KeepalivedCompat, Maxconn, NoCheck, Notification, ScriptCheck, ServerCheck,
};
use khimg::cluster::{Cluster, Cni, Compat, EndpointMode, Role};
use khimg::kubernetes::KubeadmApi;

use super::fixture::{cluster, dry_run, node};
use super::on_node::{accepted, on_node, text};

/// Three load balancers that share an address by multicast, with a mail about each move.
fn trio() -> Cluster {
    let mut cluster = cluster(EndpointMode::Dedicated, Cni::Bridge);
    cluster.nodes.extend([node("lb-2", Role::Lb, 32), node("lb-3", Role::Lb, 33)]);
    cluster.endpoint.port = 6443;
    cluster.endpoint.names = vec!["master.k8s.io".to_owned(), "k8s-vip".to_owned()];
    cluster.compat = Compat {
        keepalived: KeepalivedCompat {
            instance: Some("VI_1".to_owned()),
            vrrp_version: Some(2),
            multicast: Some("224.0.100.100".to_owned()),
            advert: Some("1s".to_owned()),
            priorities: vec![100, 90, 80],
            preempt: true,
            password: Some("csdc456c".to_owned()),
            prefix: Some(24),
            check: Some(KeepalivedCheck::Word(NoCheck::None)),
            notification: Some(Notification {
                to: vec!["sysadmin@firewall.loc".to_owned()],
                from: "Alexandre.Cassen@firewall.loc".to_owned(),
                server: "127.0.0.1".to_owned(),
                timeout: Some(30),
            }),
        },
        haproxy: HaproxyCompat {
            log: Some("127.0.0.1 local2".to_owned()),
            pidfile: Some("/var/run/haproxy.pid".to_owned()),
            daemon: true,
            frontend: Some("kubernetes".to_owned()),
            backend: Some("kubernetes-master".to_owned()),
            balance: Some(Balance::Roundrobin),
            maxconn: Maxconn { global: Some(4000), defaults: Some(3000), server: Some(2000) },
            retries: Some(3),
            options: Some(["tcplog", "dontlognull", "redispatch"].map(str::to_owned).to_vec()),
            timeouts: Some(
                [("connect", "10s"), ("client", "1m"), ("server", "1m"), ("queue", "1m"), ("check", "10s")]
                    .map(|(name, time)| (name.to_owned(), time.to_owned()))
                    .into(),
            ),
            check: Some(ServerCheck::Tcp),
        },
        ..Compat::default()
    };
    cluster
}

fn file(cluster: &Cluster, node: &str, path: &str) -> String {
    let files = dry_run(cluster).all_files(node).expect("a node");
    String::from_utf8(files.get(path).and_then(|file| file.bytes()).expect("a file").to_vec()).expect("text")
}

/// Lines without comments and indentation.
fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[test]
fn keepalived_as_the_write_ups_have_it() {
    let trio = trio();
    let first = lines(&file(&trio, "lb-1", "/etc/keepalived/keepalived.conf"));
    for line in [
        "sysadmin@firewall.loc",
        "notification_email_from Alexandre.Cassen@firewall.loc",
        "smtp_server 127.0.0.1",
        "smtp_connect_timeout 30",
        "router_id lb-1",
        "vrrp_version 2",
        "vrrp_mcast_group4 224.0.100.100",
        "vrrp_instance VI_1 {",
        "state MASTER",
        "interface ens160",
        "priority 100",
        "advert_int 1",
        "auth_type PASS",
        "auth_pass csdc456c",
        "192.168.30.200/24 dev ens160",
    ] {
        assert!(first.iter().any(|found| found == line), "{line} is missing in\n{}", first.join("\n"));
    }
    for word in ["unicast", "nopreempt", "track_script", "vrrp_script", "weight"] {
        assert!(!first.iter().any(|line| line.contains(word)), "{word} in\n{}", first.join("\n"));
    }
    for (node, priority) in [("lb-2", 90), ("lb-3", 80)] {
        let other = lines(&file(&trio, node, "/etc/keepalived/keepalived.conf"));
        assert!(other.contains(&format!("priority {priority}")) && other.contains(&"state BACKUP".to_owned()));
    }
}

#[test]
fn haproxy_as_the_write_ups_have_it() {
    let found = lines(&file(&trio(), "lb-3", "/etc/haproxy/haproxy.cfg"));
    for line in [
        "log 127.0.0.1 local2",
        "pidfile /var/run/haproxy.pid",
        "daemon",
        "maxconn 4000",
        "maxconn 3000",
        "retries 3",
        "option redispatch",
        "timeout connect 10s",
        "timeout client 1m",
        "timeout queue 1m",
        "frontend kubernetes",
        "bind *:6443",
        "default_backend kubernetes-master",
        "backend kubernetes-master",
        "balance roundrobin",
        "server master-1 192.168.30.11:6443 check maxconn 2000",
        "server master-3 192.168.30.13:6443 check maxconn 2000",
    ] {
        assert!(found.iter().any(|found| found == line), "{line} is missing in\n{}", found.join("\n"));
    }
    for word in ["timeout tunnel", "check-ssl", "observe", "clitcpka", "leastconn"] {
        assert!(!found.iter().any(|line| line.contains(word)), "{word} in\n{}", found.join("\n"));
    }
}

#[test]
fn a_weighted_check() {
    let mut cluster = cluster(EndpointMode::Stacked, Cni::Bridge);
    cluster.compat.keepalived = KeepalivedCompat {
        preempt: true,
        check: Some(KeepalivedCheck::Script(ScriptCheck {
            interval: Some(3),
            fall: Some(10),
            rise: Some(2),
            weight: Some(-60),
        })),
        ..KeepalivedCompat::default()
    };
    let found = lines(&file(&cluster, "master-2", "/etc/keepalived/keepalived.conf"));
    for line in ["interval 3", "fall 10", "rise 2", "weight -60", "state BACKUP", "vrrp_version 3", "advert_int 0.1"] {
        assert!(found.iter().any(|found| found == line), "{line} is missing in\n{}", found.join("\n"));
    }
    assert!(!found.contains(&"nopreempt".to_owned()));
}

#[test]
fn names_versions_and_modes() {
    let mut trio = trio();
    trio.compat.kubeadm_api = Some(KubeadmApi::V1beta1);
    assert!(file(&trio, "master-1", "/etc/hosts").contains("192.168.30.200 master.k8s.io k8s-vip\n"));
    let stored = file(&trio, "master-1", "/etc/khimg/kubeadm-stored.yaml");
    assert!(stored.contains("apiVersion: kubeadm.k8s.io/v1beta1"), "{stored}");
    assert!(stored.contains("- master.k8s.io\n") && stored.contains("- k8s-vip\n"), "{stored}");
}

#[test]
fn the_real_programs_accept() {
    let trio = trio();
    // keepalived 2.2.7 ends its parent after a test that went well.
    let script = "haproxy -c -V -f /etc/haproxy/haproxy.cfg; \
                  trap '' TERM; keepalived --config-test --use-file /etc/keepalived/keepalived.conf";
    let Some(output) = on_node("compat", &["haproxy", "keepalived"], &trio, "lb-1", script) else { return };
    accepted(&output);
    let said = text(&output);
    assert!(!said.contains("WARNING") && !said.contains("Truncating"), "{said}");
}
