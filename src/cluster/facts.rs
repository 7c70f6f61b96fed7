//! What conditions can ask of a cluster.

use super::{Bootstrap, Cluster, Coredns, Dns, EtcdMode, KubeProxy, Role};
use crate::catalog::{Catalog, Facts};
use crate::kubernetes::Runtime;
use crate::target::Target;

/// All facts of `role` on `target`.
pub fn facts(cluster: &Cluster, catalog: &Catalog, role: Role, target: &Target) -> Facts {
    let mut facts = offerable(cluster, catalog, role, target);
    let mut sources = Facts::new();
    for (name, component) in &catalog.components {
        let choice = cluster.components.get(name).and_then(|choice| choice.source);
        let offered = component.offers_where(&facts).next().map(|offer| offer.source);
        if let Some(source) = choice.or(offered) {
            sources.insert(format!("source.{name}"), source.name().to_owned());
        }
    }
    facts.extend(sources);
    facts
}

/// The facts that offers may ask: all but `source.<component>`.
pub fn offerable(cluster: &Cluster, catalog: &Catalog, role: Role, target: &Target) -> Facts {
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
