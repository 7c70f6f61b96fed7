//! What changed between Kubernetes versions, as named predicates. No other place compares versions.
//!
//! Sources are named by repository and file or issue; `k/k` is kubernetes/kubernetes, `k/website` its documentation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{KubernetesVersion, Runtime};

/// Versions of kubeadm's configuration, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KubeadmApi {
    /// `kubeadm.k8s.io/v1beta1`.
    V1beta1,
    /// `kubeadm.k8s.io/v1beta2`.
    V1beta2,
    /// `kubeadm.k8s.io/v1beta3`.
    V1beta3,
    /// `kubeadm.k8s.io/v1beta4`.
    V1beta4,
}

impl KubeadmApi {
    /// As it stands in `apiVersion`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1beta1 => "kubeadm.k8s.io/v1beta1",
            Self::V1beta2 => "kubeadm.k8s.io/v1beta2",
            Self::V1beta3 => "kubeadm.k8s.io/v1beta3",
            Self::V1beta4 => "kubeadm.k8s.io/v1beta4",
        }
    }

    /// The version without its group.
    pub fn version(self) -> &'static str {
        match self {
            Self::V1beta1 => "v1beta1",
            Self::V1beta2 => "v1beta2",
            Self::V1beta3 => "v1beta3",
            Self::V1beta4 => "v1beta4",
        }
    }

    /// Whether `extraArgs` is a list of name and value instead of a map (k/website, kubeadm-config.v1beta4).
    pub fn arguments_are_a_list(self) -> bool {
        self >= Self::V1beta4
    }

    /// Whether `dns.type` exists (gone with v1beta3: k/website, kubeadm-config.v1beta3).
    pub fn has_dns_type(self) -> bool {
        self <= Self::V1beta2
    }

    /// Whether `dns.disabled` exists (k/website, kubeadm-config.v1beta4).
    pub fn can_disable_dns(self) -> bool {
        self >= Self::V1beta4
    }

    /// Whether `nodeRegistration.imagePullPolicy` exists (k/website, kubeadm-config.v1beta3).
    pub fn has_image_pull_policy(self) -> bool {
        self >= Self::V1beta3
    }

    /// Whether waiting times stand under `timeouts` instead of beside what waits (k/website, kubeadm-config.v1beta4).
    pub fn has_timeouts(self) -> bool {
        self >= Self::V1beta4
    }

    /// Whether `encryptionAlgorithm` exists (k/website, kubeadm-config.v1beta4).
    pub fn has_encryption_algorithm(self) -> bool {
        self >= Self::V1beta4
    }
}

/// How containers' resources are accounted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupDriver {
    /// By systemd's slices and scopes.
    Systemd,
    /// By writing to the cgroup file system.
    Cgroupfs,
}

impl CgroupDriver {
    /// The name in the kubelet's configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Cgroupfs => "cgroupfs",
        }
    }
}

/// The feature gate by which kubeadm makes certificates on the curve P-256 instead of RSA's, where its configuration has no setting
/// for that ([`KubeadmApi::has_encryption_algorithm`]): from 1.19 (k/k#86953) until 1.36 (k/k#136016).
pub fn ecdsa_gate(version: KubernetesVersion, api: KubeadmApi) -> Option<&'static str> {
    ((19..36).contains(&version.minor) && !api.has_encryption_algorithm()).then_some("PublicKeysECDSA")
}

/// The kubeadm configuration that this version prefers: v1beta1 from 1.13, v1beta2 from 1.15, v1beta3 from 1.22,
/// v1beta4 from 1.31 (k/kubeadm#1296, k/kubeadm#2286, k/k#101129, k/k#125029).
pub fn kubeadm_api(version: KubernetesVersion) -> KubeadmApi {
    match version.minor {
        ..=14 => KubeadmApi::V1beta1,
        15..=21 => KubeadmApi::V1beta2,
        22..=30 => KubeadmApi::V1beta3,
        31.. => KubeadmApi::V1beta4,
    }
}

/// The API server's path that says whether it wants traffic: `/readyz`, which turns red as soon as the server begins to
/// stop (k/k#88911), and `/healthz` before 1.16, which has no other.
pub fn health_path(version: KubernetesVersion) -> &'static str {
    if version.minor >= 16 { "/readyz" } else { "/healthz" }
}

/// The cgroup driver: kubeadm's own default, which is systemd from 1.22 (k/website, configure-cgroup-driver).
pub fn cgroup_driver(version: KubernetesVersion) -> CgroupDriver {
    if version.minor >= 22 { CgroupDriver::Systemd } else { CgroupDriver::Cgroupfs }
}

/// Whether the kubelet talks to Docker Engine by itself (dockershim, removed in 1.24; k/website, container-runtimes).
pub fn has_dockershim(version: KubernetesVersion) -> bool {
    version.minor < 24
}

/// The socket of the container runtime, with a scheme from 1.24 on (k/website, container-runtimes).
pub fn cri_socket(runtime: Runtime, version: KubernetesVersion) -> &'static str {
    match (runtime, version.minor >= 24) {
        (Runtime::Containerd, false) => "/run/containerd/containerd.sock",
        (Runtime::Containerd, true) => "unix:///run/containerd/containerd.sock",
        (Runtime::Docker, false) => "/var/run/dockershim.sock",
        (Runtime::Docker, true) => "unix:///run/cri-dockerd.sock",
    }
}

/// The service behind that socket.
pub fn runtime_unit(runtime: Runtime, version: KubernetesVersion) -> &'static str {
    match runtime {
        Runtime::Containerd => "containerd.service",
        Runtime::Docker if has_dockershim(version) => "docker.service",
        Runtime::Docker => "cri-docker.service",
    }
}

/// Whether the sandbox image is an argument of the kubelet that means something: only dockershim starts sandboxes.
/// From 1.35 the kubelet does not start with it (k/k, release notes of 1.35). The same goes for where network plugins lie.
pub fn kubelet_starts_sandboxes(runtime: Runtime, version: KubernetesVersion) -> bool {
    runtime == Runtime::Docker && has_dockershim(version)
}

/// Keys of the taints that kubeadm gives to control planes (k/kubeadm#2200).
pub fn control_plane_taints(version: KubernetesVersion) -> &'static [&'static str] {
    match version.minor {
        ..=23 => &["node-role.kubernetes.io/master"],
        24 => &["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"],
        25.. => &["node-role.kubernetes.io/control-plane"],
    }
}

/// Keys of the labels that kubeadm gives to control planes (k/kubeadm#2200, k/k#95382).
pub fn control_plane_labels(version: KubernetesVersion) -> &'static [&'static str] {
    match version.minor {
        ..=19 => &["node-role.kubernetes.io/master"],
        20..=23 => &["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"],
        24.. => &["node-role.kubernetes.io/control-plane"],
    }
}

/// kubeadm's flag for a joining control plane (k/k#79327).
pub fn join_control_plane_flag(version: KubernetesVersion) -> &'static str {
    if version.minor >= 15 { "--control-plane" } else { "--experimental-control-plane" }
}

/// Whether `admin.conf` has no rights of its own and `super-admin.conf` exists beside it (k/website, release 1.29).
pub fn has_super_admin(version: KubernetesVersion) -> bool {
    version.minor >= 29
}

/// Whether kubeadm looks for CoreDNS one level below the repository that it is told (1.21.0 and 1.21.1 alone: k/kubeadm#2501).
pub fn coredns_is_nested(version: KubernetesVersion) -> bool {
    version.minor == 21 && version.patch < 2
}

/// Whether kubeadm keeps a list of all API servers beside its configuration (`ClusterStatus`, gone in 1.22: k/k#101915).
pub fn has_cluster_status(version: KubernetesVersion) -> bool {
    version.minor < 22
}

/// Whether a node is not ready before its kubelet has told the API what drivers for storage it has: with the feature gate
/// `CSIMigration`, beta from 1.17 (k/k pkg/volume/csi/csi_plugin.go; k/website, feature-gates-removed).
pub fn kubelet_waits_for_storage(version: KubernetesVersion) -> bool {
    version.minor >= 17
}

/// Whether kubeadm's etcd pod asks for room on the node's disk (from 1.20, k/k#94479, until 1.22, k/k#102673).
pub fn etcd_asks_for_disk(version: KubernetesVersion) -> bool {
    matches!(version.minor, 20 | 21)
}

/// Whether CoreDNS' own `forward` limits what is open, and `health` waits before it stops: in kubeadm's Corefile from 1.19 on
/// (k/k cmd/kubeadm/app/phases/addons/dns/manifests.go).
pub fn coredns_is_bounded(version: KubernetesVersion) -> bool {
    version.minor >= 19
}

/// Whether CoreDNS has the `ready` plugin, and kubeadm's Deployment asks it (the same file, from 1.16 on).
pub fn coredns_tells_ready(version: KubernetesVersion) -> bool {
    version.minor >= 16
}

/// kubeadm's words for renewing certificates (k/k#94938, 1.20).
pub fn certs_renew(version: KubernetesVersion) -> &'static [&'static str] {
    if version.minor >= 20 { &["certs", "renew", "all"] } else { &["alpha", "certs", "renew", "all"] }
}

/// Whether these renew the certificates in kubeconfigs, too (k/kubeadm#1361, 1.15).
pub fn renews_kubeconfigs(version: KubernetesVersion) -> bool {
    version.minor >= 15
}

/// Whether namespaces are restricted by pod-security labels, which flannel's needs (PodSecurity, on from 1.23).
pub fn has_pod_security(version: KubernetesVersion) -> bool {
    version.minor >= 23
}

/// Whether pods outside `kube-system` may have the highest priority classes (k/k#76310, 1.17).
pub fn has_priority_classes_anywhere(version: KubernetesVersion) -> bool {
    version.minor >= 17
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minor: u16) -> KubernetesVersion {
        KubernetesVersion { minor, patch: 0 }
    }

    #[test]
    fn the_steps_are_where_the_sources_say() {
        let apis: Vec<_> = (14..=37).map(|minor| kubeadm_api(at(minor))).collect();
        assert!(apis.is_sorted());
        for (minor, api) in [
            (14, KubeadmApi::V1beta1),
            (15, KubeadmApi::V1beta2),
            (21, KubeadmApi::V1beta2),
            (22, KubeadmApi::V1beta3),
            (30, KubeadmApi::V1beta3),
            (31, KubeadmApi::V1beta4),
            (37, KubeadmApi::V1beta4),
        ] {
            assert_eq!(kubeadm_api(at(minor)), api, "1.{minor}");
        }
        assert_eq!((health_path(at(15)), health_path(at(16))), ("/healthz", "/readyz"));
        assert_eq!((cgroup_driver(at(21)).name(), cgroup_driver(at(22)).name()), ("cgroupfs", "systemd"));
        assert!(has_dockershim(at(23)) && !has_dockershim(at(24)));
        assert_eq!((certs_renew(at(19))[0], certs_renew(at(20))[0]), ("alpha", "certs"));
        assert!(!renews_kubeconfigs(at(14)) && renews_kubeconfigs(at(15)));
        assert_eq!(control_plane_taints(at(24)).len(), 2);
        assert_eq!(control_plane_labels(at(20)).len(), 2);
    }

    #[test]
    fn sockets() {
        assert_eq!(cri_socket(Runtime::Docker, at(20)), "/var/run/dockershim.sock");
        assert_eq!(cri_socket(Runtime::Docker, at(24)), "unix:///run/cri-dockerd.sock");
        assert_eq!(cri_socket(Runtime::Containerd, at(20)), "/run/containerd/containerd.sock");
        assert_eq!(cri_socket(Runtime::Containerd, at(34)), "unix:///run/containerd/containerd.sock");
    }
}
