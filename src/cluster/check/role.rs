//! How many machines of which role there must be.

use super::Check;
use crate::cluster::file::{ClusterFile, NodeFile};
use crate::cluster::{Cni, EndpointMode, EtcdMode, Role};

pub(super) fn check(check: &mut Check<'_>, file: &ClusterFile) {
    let masters = of(file, Role::Master).count();
    if masters == 0 {
        check.bad("/nodes", "no node has the role master", "add three nodes with `role: master`, or one".to_owned());
    }
    check_etcd(check, file, masters);
    check_lb(check, file);
    check_bridge(check, file);
}

fn of(file: &ClusterFile, role: Role) -> impl Iterator<Item = (usize, &NodeFile)> {
    file.nodes.iter().enumerate().filter(move |(_, node)| node.role == role)
}

fn check_etcd(check: &mut Check<'_>, file: &ClusterFile, masters: usize) {
    let members = of(file, Role::Etcd).count();
    match file.etcd.mode {
        EtcdMode::Stacked => {
            if let Some((index, node)) = of(file, Role::Etcd).next() {
                let message = format!("{} has the role etcd, but etcd runs on the masters", node.name);
                let help = "write `etcd: {mode: external}`, or remove the nodes of role etcd".to_owned();
                check.clash(&format!("/nodes/{index}/role"), "/etcd/mode", "etcd's mode", message, help);
            }
            odd(check, file, Role::Master, masters, "masters with stacked etcd");
        }
        EtcdMode::External if members == 0 => {
            let help = "add three nodes with `role: etcd`, or write `etcd: {mode: stacked}`".to_owned();
            check.bad("/etcd/mode", "etcd is external, but no node has the role etcd", help);
        }
        EtcdMode::External => odd(check, file, Role::Etcd, members, "members of etcd"),
    }
}

/// An even number of members survives no more losses than one member less, and one more machine can break it (etcd FAQ,
/// "Why an odd number of cluster members?").
fn odd(check: &mut Check<'_>, file: &ClusterFile, role: Role, count: usize, what: &str) {
    if count == 0 || count % 2 == 1 {
        return;
    }
    let survives = (count - 1) / 2;
    let message = match survives {
        0 => format!("{count} {what} survive no loss: the one that is left has no majority"),
        1 => format!("{count} {what} survive one loss, as {} do", count - 1),
        _ => format!("{count} {what} survive {survives} losses, as {} do", count - 1),
    };
    let last = of(file, role).last().map_or_else(|| "/nodes".to_owned(), |(index, _)| format!("/nodes/{index}/role"));
    let help = format!("use {} or {} nodes of role {role}", count - 1, count + 1);
    let mut problem = check.document.problem(&last, message, Some(help)).unsupported();
    if check.document.has("/etcd/mode") {
        problem = problem.related(check.document.span("/etcd/mode"), "etcd's mode");
    }
    check.problems.push(problem);
}

fn check_lb(check: &mut Check<'_>, file: &ClusterFile) {
    let mode = file.endpoint.mode;
    let mut balancers = of(file, Role::Lb);
    let first = balancers.next();
    let second = balancers.next();
    match (mode, first, second) {
        (EndpointMode::Dedicated, None, _) => {
            let help = "add two nodes with `role: lb`, or write `mode: stacked`".to_owned();
            check.bad("/endpoint/mode", "the mode is dedicated, but no node has the role lb", help);
        }
        (EndpointMode::SingleLb, None, _) => {
            let help = "add one node with `role: lb`, or write `mode: stacked`".to_owned();
            check.bad("/endpoint/mode", "the mode is single-lb, but no node has the role lb", help);
        }
        (EndpointMode::SingleLb, _, Some((index, _))) => {
            let message = "the mode is single-lb, but a second node has the role lb";
            let help = "write `mode: dedicated` with a `vip`, or remove the node".to_owned();
            check.clash(&format!("/nodes/{index}/role"), "/endpoint/mode", "the endpoint's mode", message, help);
        }
        (EndpointMode::Stacked | EndpointMode::VipOnly | EndpointMode::External, Some((index, node)), _) => {
            let message = format!("{} has the role lb, but the endpoint's mode {} has none", node.name, mode.name());
            let help = "write `mode: dedicated` or `mode: single-lb`, or remove the nodes of role lb".to_owned();
            check.clash(&format!("/nodes/{index}/role"), "/endpoint/mode", "the endpoint's mode", message, help);
        }
        _ => {}
    }
}

/// The bridge plugin's static routes name the other nodes as gateways, which only works within one segment.
fn check_bridge(check: &mut Check<'_>, file: &ClusterFile) {
    if file.network.cni != Cni::Bridge {
        return;
    }
    let running = file.nodes.iter().enumerate().filter(|(_, node)| matches!(node.role, Role::Master | Role::Worker));
    let nets: Vec<_> =
        running.filter_map(|(index, node)| Some((index, super::address::node(&node.address).ok()?))).collect();
    let Some((_, base)) = nets.first() else { return };
    if let Some((_, far)) = nets.iter().find(|(_, net)| !base.contains(&net.addr())) {
        let message = format!(
            "the network plugin bridge needs all nodes in one subnet, but {} is not in {}",
            far.addr(),
            base.trunc()
        );
        check.unsupported("/network/cni", message, "use `cni: flannel`, or move the node".to_owned());
    }
}
