//! What conditions can ask.

use super::Part;
use super::require::offers;
use crate::catalog::{Catalog, Facts};
use crate::cluster::{Bootstrap, Cluster, Coredns, Dns, EtcdMode, KubeProxy, Role, Runtime, Target};

/// All facts of `role` on `target`.
pub fn facts(cluster: &Cluster, catalog: &Catalog, role: Role, target: &Target) -> Facts {
    let mut facts = plain(cluster, catalog, role, target);
    let mut sources = Facts::new();
    for (name, component) in &catalog.components {
        let choice = cluster.components.get(name).and_then(|choice| choice.source);
        let offered = offers(component, &facts).next().map(|offer| offer.source);
        if let Some(source) = choice.or(offered) {
            sources.insert(format!("source.{name}"), source.name().to_owned());
        }
    }
    facts.extend(sources);
    facts
}

/// The facts that offers may ask: all but `source.<component>`.
pub(super) fn plain(cluster: &Cluster, catalog: &Catalog, role: Role, target: &Target) -> Facts {
    let runtime = match cluster.runtime {
        Runtime::Containerd => "containerd",
        Runtime::Docker => "docker",
    };
    let etcd = match cluster.etcd {
        EtcdMode::Stacked => "stacked",
        EtcdMode::External => "external",
    };
    let bootstrap = match cluster.bootstrap {
        Bootstrap::Symmetric => "symmetric",
        Bootstrap::InitJoin => "init-join",
    };
    let dns = match cluster.network.dns {
        Dns::Coredns => "coredns",
        Dns::None => "none",
    };
    let kube_proxy = match cluster.network.kube_proxy {
        KubeProxy::Iptables => "iptables",
        KubeProxy::Ipvs => "ipvs",
    };
    let dns_settings = match &cluster.network.coredns {
        Coredns { max_concurrent: Some(_), .. } => "bounded",
        wanted if *wanted == Coredns::default() => "kubeadm",
        _ => "own",
    };
    let known = [
        ("role", role.name()),
        ("os", &target.os),
        ("arch", target.arch.name()),
        ("kubernetes", &format!("1.{}", cluster.kubernetes.minor)),
        ("runtime", runtime),
        ("endpoint", cluster.endpoint.mode.name()),
        ("etcd", etcd),
        ("bootstrap", bootstrap),
        ("cni", cluster.network.cni.name()),
        ("dns", dns),
        ("dnsSettings", dns_settings),
        ("kubeProxy", kube_proxy),
    ];
    let mut facts: Facts = known.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    if let Some(api) = cluster.compat.kubeadm_api {
        facts.insert("kubeadmApi".to_owned(), api.version().to_owned());
    }
    if let Some(system) = catalog.systems.get(&target.os) {
        facts.insert("family".to_owned(), system.family.name().to_owned());
    }
    facts
}

/// The names of those of `parts` that belong to the role, in order.
pub fn holding<'a>(parts: &'a [Part], facts: &Facts) -> impl Iterator<Item = &'a str> {
    parts.iter().filter(move |part| part.when.holds(facts)).map(|part| part.name.as_str())
}
