//! The fields of kubeadm's configuration, of each of its versions: kubernetes/kubernetes, cmd/kubeadm/app/apis/kubeadm/v1beta*/types.go,
//! and kubernetes/website, reference/config-api/kubeadm-config.v1beta3 and v1beta4. A field that a version does not have is an error for
//! kubeadm (v1beta4) or is lost.

use serde_json::Value;

/// Kind, path of the field with `[]` for each element of a list and `*` for any key, first and last version that has it.
const KUBEADM: &[(&str, &str, u8, u8)] = &[
    ("*", "nodeRegistration.name", 1, 4),
    ("*", "nodeRegistration.criSocket", 1, 4),
    ("*", "nodeRegistration.taints[].key", 1, 4),
    ("*", "nodeRegistration.taints[].effect", 1, 4),
    ("*", "nodeRegistration.kubeletExtraArgs.*", 1, 3),
    ("*", "nodeRegistration.kubeletExtraArgs[].name", 4, 4),
    ("*", "nodeRegistration.kubeletExtraArgs[].value", 4, 4),
    ("*", "nodeRegistration.ignorePreflightErrors[]", 2, 4),
    ("*", "nodeRegistration.imagePullPolicy", 3, 4),
    ("*", "nodeRegistration.imagePullSerial", 4, 4),
    ("*", "skipPhases[]", 3, 4),
    ("*", "patches.directory", 3, 4),
    ("*", "dryRun", 4, 4),
    ("*", "timeouts.controlPlaneComponentHealthCheck", 4, 4),
    ("*", "timeouts.kubeletHealthCheck", 4, 4),
    ("*", "timeouts.kubernetesAPICall", 4, 4),
    ("*", "timeouts.etcdAPICall", 4, 4),
    ("*", "timeouts.tlsBootstrap", 4, 4),
    ("*", "timeouts.discovery", 4, 4),
    ("*", "timeouts.upgradeManifests", 4, 4),
    ("InitConfiguration", "bootstrapTokens[].token", 1, 4),
    ("InitConfiguration", "bootstrapTokens[].description", 1, 4),
    ("InitConfiguration", "bootstrapTokens[].ttl", 1, 4),
    ("InitConfiguration", "bootstrapTokens[].expires", 1, 4),
    ("InitConfiguration", "bootstrapTokens[].usages[]", 1, 4),
    ("InitConfiguration", "bootstrapTokens[].groups[]", 1, 4),
    ("InitConfiguration", "localAPIEndpoint.advertiseAddress", 1, 4),
    ("InitConfiguration", "localAPIEndpoint.bindPort", 1, 4),
    ("InitConfiguration", "certificateKey", 2, 4),
    ("JoinConfiguration", "caCertPath", 1, 4),
    ("JoinConfiguration", "discovery.bootstrapToken.token", 1, 4),
    ("JoinConfiguration", "discovery.bootstrapToken.apiServerEndpoint", 1, 4),
    ("JoinConfiguration", "discovery.bootstrapToken.caCertHashes[]", 1, 4),
    ("JoinConfiguration", "discovery.file.kubeConfigPath", 1, 4),
    ("JoinConfiguration", "discovery.tlsBootstrapToken", 1, 4),
    ("JoinConfiguration", "discovery.timeout", 1, 3),
    ("JoinConfiguration", "controlPlane.localAPIEndpoint.advertiseAddress", 1, 4),
    ("JoinConfiguration", "controlPlane.localAPIEndpoint.bindPort", 1, 4),
    ("JoinConfiguration", "controlPlane.certificateKey", 2, 4),
    ("ClusterConfiguration", "kubernetesVersion", 1, 4),
    ("ClusterConfiguration", "clusterName", 1, 4),
    ("ClusterConfiguration", "controlPlaneEndpoint", 1, 4),
    ("ClusterConfiguration", "certificatesDir", 1, 4),
    ("ClusterConfiguration", "imageRepository", 1, 4),
    ("ClusterConfiguration", "useHyperKubeImage", 1, 2),
    ("ClusterConfiguration", "featureGates.*", 1, 4),
    ("ClusterConfiguration", "encryptionAlgorithm", 4, 4),
    ("ClusterConfiguration", "certificateValidityPeriod", 4, 4),
    ("ClusterConfiguration", "caCertificateValidityPeriod", 4, 4),
    ("ClusterConfiguration", "networking.serviceSubnet", 1, 4),
    ("ClusterConfiguration", "networking.podSubnet", 1, 4),
    ("ClusterConfiguration", "networking.dnsDomain", 1, 4),
    ("ClusterConfiguration", "apiServer.certSANs[]", 1, 4),
    ("ClusterConfiguration", "apiServer.timeoutForControlPlane", 1, 3),
    ("ClusterConfiguration", "apiServer.extraArgs.*", 1, 3),
    ("ClusterConfiguration", "apiServer.extraArgs[].name", 4, 4),
    ("ClusterConfiguration", "apiServer.extraArgs[].value", 4, 4),
    ("ClusterConfiguration", "controllerManager.extraArgs.*", 1, 3),
    ("ClusterConfiguration", "controllerManager.extraArgs[].name", 4, 4),
    ("ClusterConfiguration", "controllerManager.extraArgs[].value", 4, 4),
    ("ClusterConfiguration", "scheduler.extraArgs.*", 1, 3),
    ("ClusterConfiguration", "scheduler.extraArgs[].name", 4, 4),
    ("ClusterConfiguration", "scheduler.extraArgs[].value", 4, 4),
    ("ClusterConfiguration", "etcd.local.imageRepository", 1, 4),
    ("ClusterConfiguration", "etcd.local.imageTag", 1, 4),
    ("ClusterConfiguration", "etcd.local.dataDir", 1, 4),
    ("ClusterConfiguration", "etcd.local.serverCertSANs[]", 1, 4),
    ("ClusterConfiguration", "etcd.local.peerCertSANs[]", 1, 4),
    ("ClusterConfiguration", "etcd.local.extraArgs.*", 1, 3),
    ("ClusterConfiguration", "etcd.local.extraArgs[].name", 4, 4),
    ("ClusterConfiguration", "etcd.local.extraArgs[].value", 4, 4),
    ("ClusterConfiguration", "etcd.external.endpoints[]", 1, 4),
    ("ClusterConfiguration", "etcd.external.caFile", 1, 4),
    ("ClusterConfiguration", "etcd.external.certFile", 1, 4),
    ("ClusterConfiguration", "etcd.external.keyFile", 1, 4),
    ("ClusterConfiguration", "dns.type", 1, 2),
    ("ClusterConfiguration", "dns.imageRepository", 1, 4),
    ("ClusterConfiguration", "dns.imageTag", 1, 4),
    ("ClusterConfiguration", "dns.disabled", 4, 4),
    ("ClusterConfiguration", "proxy.disabled", 4, 4),
];

/// The kubelet's and kube-proxy's, as far as khimg writes them: all versions from 1.14 on have these.
const COMPONENTS: &[(&str, &str)] = &[
    ("KubeletConfiguration", "cgroupDriver"),
    ("KubeletConfiguration", "clusterDNS[]"),
    ("KubeletConfiguration", "clusterDomain"),
    ("KubeletConfiguration", "imageGCHighThresholdPercent"),
    ("KubeletConfiguration", "nodeStatusUpdateFrequency"),
    ("KubeletConfiguration", "nodeStatusReportFrequency"),
    ("KubeProxyConfiguration", "mode"),
    ("KubeProxyConfiguration", "clusterCIDR"),
    ("KubeProxyConfiguration", "conntrack.maxPerCore"),
];

/// The paths of a document that its version does not have, or has not where they stand.
pub fn unknown(document: &Value) -> Vec<String> {
    let api = document["apiVersion"].as_str().expect("a text");
    let kind = document["kind"].as_str().expect("a text");
    let version = match api {
        "kubeadm.k8s.io/v1beta1" => Some(1),
        "kubeadm.k8s.io/v1beta2" => Some(2),
        "kubeadm.k8s.io/v1beta3" => Some(3),
        "kubeadm.k8s.io/v1beta4" => Some(4),
        "kubelet.config.k8s.io/v1beta1" | "kubeproxy.config.k8s.io/v1alpha1" => None,
        _ => return vec![api.to_owned()],
    };
    let known = |path: &str| match version {
        Some(version) => KUBEADM.iter().any(|(of, field, first, last)| {
            let everywhere = *of == "*" && kind != "ClusterConfiguration";
            (everywhere || *of == kind) && (*first..=*last).contains(&version) && matches(field, path)
        }),
        None => COMPONENTS.iter().any(|(of, field)| *of == kind && matches(field, path)),
    };
    let mut paths = Vec::new();
    leaves(document, String::new(), &mut paths);
    paths.retain(|path| !["apiVersion", "kind"].contains(&path.as_str()) && !known(path));
    paths
}

fn matches(field: &str, path: &str) -> bool {
    match field.strip_suffix(".*") {
        Some(map) => path.strip_prefix(map).is_some_and(|rest| rest.starts_with('.') && !rest.contains(['[', ']'])),
        // An empty list is a value of its own.
        None => field == path || field.strip_prefix(path).is_some_and(|rest| rest.starts_with("[]")),
    }
}

fn leaves(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                leaves(value, if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, paths);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for value in list {
                leaves(value, format!("{path}[]"), paths);
            }
        }
        _ => paths.push(path),
    }
}

#[test]
fn the_lists_tell_versions_apart() {
    let document = |api: &str, body: Value| {
        let mut document =
            serde_json::json!({"apiVersion": format!("kubeadm.k8s.io/{api}"), "kind": "ClusterConfiguration"});
        document.as_object_mut().expect("a map").extend(body.as_object().expect("a map").clone());
        unknown(&document)
    };
    let map = serde_json::json!({"apiServer": {"extraArgs": {"a": "b"}}, "dns": {"type": "CoreDNS"}});
    let list =
        serde_json::json!({"apiServer": {"extraArgs": [{"name": "a", "value": "b"}]}, "dns": {"disabled": true}});
    assert!(document("v1beta2", map.clone()).is_empty() && document("v1beta4", list.clone()).is_empty());
    assert_eq!(document("v1beta3", map), ["dns.type"]);
    assert_eq!(
        document("v1beta3", list),
        ["apiServer.extraArgs[].name", "apiServer.extraArgs[].value", "dns.disabled"]
    );
    assert_eq!(document("v1alpha3", serde_json::json!({})), ["kubeadm.k8s.io/v1alpha3"]);
}
