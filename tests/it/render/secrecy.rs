//! Where secrets are, and where they must never be.

use khimg::cluster::{Cni, EndpointMode, EtcdMode, Role};
use khimg::render::tree::Tree;
use khimg::secrets::{KeyAlgorithm, Secrets};

use super::fixture::{cluster, node, rendered};

fn holds(tree: &Tree, needle: &str) -> Vec<String> {
    let found = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
    tree.iter().filter(|(_, entry)| entry.bytes().is_some_and(found)).map(|(path, _)| path.to_string()).collect()
}

#[test]
fn secrets_are_where_they_belong() {
    let secrets = Secrets::generate(KeyAlgorithm::EcdsaP256).expect("generates");
    let keys = [&secrets.ca.key, &secrets.etcd_ca.key, &secrets.front_proxy_ca.key, &secrets.service_account.private];
    let (id, token) = secrets.token.expose().split_once('.').expect("a token");
    for (mode, cni) in [(EndpointMode::Stacked, Cni::Flannel), (EndpointMode::Dedicated, Cni::Bridge)] {
        let mut cluster = cluster(mode, cni);
        if mode == EndpointMode::Dedicated {
            cluster.etcd = EtcdMode::External;
            cluster.nodes.push(node("etcd-1", Role::Etcd, 41));
        }
        let rendered = rendered(&cluster, &secrets);
        for role in &rendered.roles {
            for (layer, tree) in &role.layers {
                for needle in keys.iter().map(|key| key.expose().as_str()).chain([id, token, "PRIVATE KEY"]) {
                    assert_eq!(holds(tree, needle), Vec::<String>::new(), "{} {layer}", role.role);
                }
            }
        }
        for node in &rendered.nodes {
            for needle in keys.iter().map(|key| key.expose().as_str()).chain([id, token, "PRIVATE KEY"]) {
                assert_eq!(holds(&node.public, needle), Vec::<String>::new(), "{}", node.name);
            }
            let private = holds(&node.secret, "PRIVATE KEY");
            let with_token = holds(&node.secret, token);
            match node.role {
                Role::Master => {
                    assert_eq!(private.len(), 4, "{}: {private:?}", node.name);
                    assert_eq!(with_token, ["/etc/khimg/kubeadm-init.yaml", "/etc/khimg/kubeadm-join.yaml"]);
                }
                Role::Worker => {
                    assert_eq!(private, Vec::<String>::new(), "no CA key on a worker, ever");
                    assert_eq!(with_token, ["/etc/khimg/kubeadm-join.yaml"]);
                    let pki =
                        node.public.iter().chain(node.secret.iter()).any(|(path, _)| path.as_str().contains("/pki/"));
                    assert!(!pki, "kubeadm join refuses a CA that is there already");
                }
                Role::Etcd => assert_eq!(private, ["/etc/etcd/pki/ca.key"], "etcd's own CA and no other"),
                Role::Lb => {
                    assert!(node.secret.is_empty(), "{}: {:?}", node.name, node.secret);
                }
            }
            for (path, entry) in node.secret.iter() {
                let public = path.as_str().ends_with(".crt") || path.as_str().ends_with(".pub");
                assert_eq!(entry.mode.bits(), if public { 0o644 } else { 0o600 }, "{path}");
            }
            assert!(!format!("{node:?}").contains(token));
        }
    }
}

#[test]
fn role_files_do_not_depend_on_secrets() {
    let cluster = cluster(EndpointMode::Stacked, Cni::Flannel);
    let one = rendered(&cluster, &Secrets::generate(KeyAlgorithm::EcdsaP256).expect("generates"));
    let other = rendered(&cluster, &Secrets::stand_in());
    assert_eq!(one.roles, other.roles);
}

#[test]
fn nobody_skips_the_verification_of_the_ca() {
    let rendered = rendered(&cluster(EndpointMode::Stacked, Cni::Flannel), &Secrets::stand_in());
    for node in &rendered.nodes {
        let all = rendered.all_files(&node.name).expect("a node");
        assert_eq!(holds(&all, "unsafeSkipCAVerification"), Vec::<String>::new());
        assert_eq!(holds(&all, "verify none"), Vec::<String>::new());
    }
}
