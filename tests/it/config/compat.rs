//! Settings that khimg would choose otherwise: mistakes in them, told as all others are.

use std::path::Path;

use khimg::cluster;
use khimg::exit::{Exit, Explain};

use super::cluster::{MORE, Row, bad, edited};

#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    bad("keepalived without an address to move", &[(MORE, "compat: {keepalived: {preempt: true}}\n"), ("mode: stacked, vip", "mode: external, address"), ("port: 8443", "port: 6443")], 11, &["the endpoint's mode external has no keepalived"]),
    bad("haproxy where there is none", &[(MORE, "compat: {haproxy: {daemon: true}}\n"), ("mode: stacked", "mode: vip-only"), ("port: 8443", "port: 6443")], 11, &["the endpoint's mode vip-only has no haproxy"]),
    bad("priorities for others", &[(MORE, "compat: {keepalived: {priorities: [100, 90]}}\n")], 11, &["3 nodes can carry the address", "such as [100, 90, 80]"]),
    bad("priorities that rise", &[(MORE, "compat: {keepalived: {priorities: [80, 90, 100]}}\n")], 11, &["a priority of its own", "falling numbers"]),
    bad("a priority too high", &[(MORE, "compat: {keepalived: {priorities: [255, 90, 80]}}\n")], 11, &["255 is too large", "most is 254"]),
    bad("password in version 3", &[(MORE, "compat: {keepalived: {password: abc}}\n")], 11, &["VRRP version 3 has no passwords", "vrrpVersion: 2"]),
    bad("password too long", &[(MORE, "compat: {keepalived: {vrrpVersion: 2, password: csdc456csdc}}\n")], 11, &["has 11 characters", "first 8 characters"]),
    bad("adverts too fast for version 2", &[(MORE, "compat: {keepalived: {vrrpVersion: 2, advert: 100ms}}\n")], 11, &["VRRP version 2 has no adverts every 100ms", "whole seconds"]),
    bad("adverts too slow for version 3", &[(MORE, "compat: {keepalived: {advert: 41s}}\n")], 11, &["VRRP version 3 has no adverts every 41s"]),
    bad("no multicast group", &[(MORE, "compat: {keepalived: {multicast: 192.168.30.1}}\n")], 11, &["is not a multicast address"]),
    bad("weight that moves nothing", &[(MORE, "compat: {keepalived: {check: {weight: -20}}}\n")], 11, &["a weight moves no address", "preempt: true"]),
    bad("instance of two words", &[(MORE, "compat: {keepalived: {instance: VI 1}}\n")], 11, &["\"VI 1\" is not a name"]),
    bad("check misspelt", &[(MORE, "compat: {keepalived: {check: nothing}}\n")], 11, &["none", "\"nothing\""]),
    bad("mail server", &[(MORE, "compat: {keepalived: {notification: {to: [root@lan], from: k@lan, server: mail}}}\n")], 11, &["\"mail\" is not an IP address"]),
    bad("haproxy's timeout", &[(MORE, "compat: {haproxy: {timeouts: {connect: 10s, client: 1m, server: 1m, tea: 5m}}}\n")], 11, &["no timeout \"tea\"", "client-fin"]),
    bad("haproxy without a timeout", &[(MORE, "compat: {haproxy: {timeouts: {connect: 10s, client: 1m}}}\n")], 11, &["the timeout \"server\" is missing"]),
    bad("haproxy's time", &[(MORE, "compat: {haproxy: {timeouts: {connect: soon, client: 1m, server: 1m}}}\n")], 11, &["\"soon\" is not a time"]),
    bad("haproxy's option", &[(MORE, "compat: {haproxy: {options: ['tcplog; evil']}}\n")], 11, &["cannot stand in haproxy's configuration"]),
    bad("image repository with a tag", &[(MORE, "compat: {imageRepository: 'registry.lan/k8s:1'}\n")], 11, &["cannot be the beginning of images' names"]),
    bad("kubeadm's version", &[(MORE, "compat: {kubeadmApi: v1beta9}\n")], 11, &["expected one of v1beta1, v1beta2, v1beta3 or v1beta4"]),
    bad("a name of the endpoint that a node has", &[("virtualRouterId: 50}", "virtualRouterId: 50, names: [worker-1]}")], 6, &["\"worker-1\" is the name of a node"]),
    bad("a bad name of the endpoint", &[("virtualRouterId: 50}", "virtualRouterId: 50, names: [Api_1]}")], 6, &["is not a DNS domain"]),
];

/// Which kubeadm reads which configuration, at the ends of each range.
#[test]
fn kubeadm_reads_certain_versions() {
    let catalog = khimg::catalog::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    for (api, kubernetes, good) in [
        ("v1beta2", "1.23.6", true),
        ("v1beta2", "1.26.0", true),
        ("v1beta2", "1.27.0", false),
        ("v1beta1", "1.21.0", true),
        ("v1beta1", "1.22.0", false),
        ("v1beta3", "1.21.0", false),
        ("v1beta3", "1.36.0", true),
        ("v1beta4", "1.30.0", false),
        ("v1beta4", "1.31.0", true),
    ] {
        let compat = format!("compat: {{kubeadmApi: {api}}}\n");
        let text = edited(&[("1.34.2", kubernetes), (MORE, &compat)]);
        let parsed = cluster::parse("cluster.yaml", &text, Path::new(""), &catalog);
        let exit = parsed.as_ref().err().map(Explain::exit);
        assert_eq!(exit, (!good).then_some(Exit::Unsupported), "{api} {kubernetes}");
    }
}
