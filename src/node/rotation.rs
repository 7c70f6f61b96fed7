//! A master's kubelet that renews its own certificate. kubeadm's kubeconfig for it holds a certificate; a kubelet goes on
//! showing that one, whatever it renews, until the kubeconfig names the file where it keeps what is valid
//! (k/kubeadm#1753). kubeadm sets this right afterwards and starts the kubelet anew (`kubelet-finalize`, k/k#84118); here it is
//! right before the kubelet starts first, so that nothing has to start twice.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::durable;
use super::error::NodeError;
use super::kubeconfig::LIMIT;
use crate::input;
use crate::secrets::Secret;

/// The file to which the kubelet's present one points until the kubelet has renewed it. It names others by their
/// time (client-go util/certificate/certificate_store.go).
const FIRST: &str = "kubelet-client-first.pem";

/// Takes the client's certificate and key out of `kubeconfig`, keeps them where `current` points, and names that instead. A
/// kubeconfig that names files already stays as it is. May be cut off anywhere and done again.
pub(super) fn let_renew(kubeconfig: &Path, current: &Path) -> Result<(), NodeError> {
    let wrong = |reason: &str| NodeError::Record { path: kubeconfig.to_owned(), reason: reason.to_owned() };
    let text = input::read(kubeconfig, LIMIT).map(Secret::new).map_err(NodeError::io("read", kubeconfig))?;
    let options = serde_saphyr::options! { with_snippet: false };
    // Never the parser's own message: it may repeat the key.
    let mut file: Value =
        serde_saphyr::from_slice_with_options(text.expose(), options).map_err(|_| wrong("it is not YAML"))?;
    let user = file.pointer_mut("/users/0/user").and_then(Value::as_object_mut);
    let user = user.ok_or_else(|| wrong("it names no user"))?;
    let mut take = |name: &str| {
        let data = user.remove(name)?;
        data.as_str().and_then(|data| STANDARD.decode(data).ok()).map(Secret::new)
    };
    let (certificate, key) = match (take("client-certificate-data"), take("client-key-data")) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) if user.contains_key("client-certificate") => return Ok(()),
        _ => return Err(wrong("its user has no certificate and key")),
    };
    let first = current.with_file_name(FIRST);
    if let Some(directory) = current.parent() {
        durable::directory(directory)?;
    }
    durable::write(&first, 0o600, |file| {
        file.write_all(certificate.expose())?;
        file.write_all(key.expose())
    })?;
    point(current, &first)?;
    for name in ["client-certificate", "client-key"] {
        user.insert(name.to_owned(), current.to_string_lossy().into());
    }
    let changed = Secret::new(serde_saphyr::to_string(&file).map_err(|_| wrong("it cannot be written"))?);
    durable::write(kubeconfig, 0o600, |file| file.write_all(changed.expose().as_bytes()))
}

/// The kubelet wants a link there, and an absolute one.
fn point(link: &Path, target: &Path) -> Result<(), NodeError> {
    let new: PathBuf = durable::beside(link);
    durable::remove(&new)?;
    symlink(target, &new).map_err(NodeError::io("make a link", &new))?;
    durable::rename(&new, link)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn kubeconfig(user: &str) -> String {
        format!(
            "apiVersion: v1\nclusters:\n- cluster:\n    server: https://10.0.0.100:8443\n  name: lab\ncontexts: []\n\
             kind: Config\nusers:\n- name: system:node:m1\n  user: {user}\n"
        )
    }

    #[test]
    fn the_kubeconfig_names_the_file_that_the_kubelet_renews() {
        let dir = tempfile::tempdir().expect("a directory");
        let (config, current) = (dir.path().join("kubelet.conf"), dir.path().join("pki/kubelet-client-current.pem"));
        let text = kubeconfig("{client-certificate-data: Q0VSVAo=, client-key-data: S0VZCg==}");
        // The second time as after a power cut: kubeadm has made the kubeconfig anew.
        for _ in 0..2 {
            fs::write(&config, &text).expect("written");
            let_renew(&config, &current).expect("changed");
            let_renew(&config, &current).expect("as it was");
            assert_eq!(fs::read_to_string(&current).expect("readable"), "CERT\nKEY\n");
            assert_eq!(fs::read_link(&current).expect("a link"), dir.path().join("pki/kubelet-client-first.pem"));
            assert_eq!(fs::metadata(&current).expect("there").permissions().mode() & 0o777, 0o600);
            let changed: Value = serde_saphyr::from_str(&fs::read_to_string(&config).expect("readable")).expect("YAML");
            let path = current.to_string_lossy();
            assert_eq!(
                changed["users"][0]["user"],
                serde_json::json!({"client-certificate": path, "client-key": path})
            );
            assert_eq!(changed["clusters"][0]["cluster"]["server"], "https://10.0.0.100:8443");
        }
    }

    #[test]
    fn what_is_no_kubeconfig_is_refused_without_its_key() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("kubelet.conf");
        for text in [
            kubeconfig("{client-key-data: S0VZCg==}"),
            kubeconfig("{client-certificate-data: '?', client-key-data: S0VZCg==}"),
            "users: [".to_owned(),
            String::new(),
        ] {
            fs::write(&config, &text).expect("written");
            let error = let_renew(&config, &dir.path().join("pki/current.pem")).expect_err("refused").to_string();
            assert!(!error.contains("S0VZ"), "{error}");
            assert_eq!(fs::read_to_string(&config).expect("readable"), text);
        }
    }
}
