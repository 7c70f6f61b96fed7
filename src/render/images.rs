//! Names of the images that a role has on a node.

use std::collections::BTreeMap;

use super::error::RenderError;
use crate::cluster::{Dns, Role};
use crate::inventory::Inventory;
use crate::kubeadm::{ImageName, Images};
use crate::target::Target;

/// Full names on a node by the last element of the name: `pause` → `registry.k8s.io/pause:3.2`.
pub(super) type Names = BTreeMap<String, String>;

/// The images that `role` carries on `target`.
pub(super) fn of_role(inventory: &Inventory, role: Role, target: &Target) -> Result<Names, RenderError> {
    let mut names = Names::new();
    for image in inventory.images(role, target.arch) {
        let short = short_name(image).to_owned();
        if let Some(first) = names.insert(short.clone(), image.to_owned()) {
            return Err(RenderError::TwoImages { name: short, first, second: image.to_owned() });
        }
    }
    Ok(names)
}

/// What the control plane's static pods run, beside etcd.
const CONTROL_PLANE: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// The same as kubeadm wants them. Whatever a node of `role` will run is there, so that no node ever looks for an image that
/// its bundle does not have.
pub(super) fn for_kubeadm(names: &Names, role: Role, dns: Dns, target: &Target) -> Result<Images, RenderError> {
    let missing = |image| RenderError::NoImage { image, target: target.clone() };
    let proxy = names.get("kube-proxy").ok_or_else(|| missing("kube-proxy"))?;
    let ImageName { repository, tag } = split(proxy).ok_or_else(|| missing("kube-proxy"))?;
    if role == Role::Master {
        // kubeadm writes these names by itself: all of one repository and one version.
        let found = |name: &str| names.get(name).is_some_and(|full| *full == format!("{repository}/{name}:{tag}"));
        if let Some(name) = CONTROL_PLANE.into_iter().find(|name| !found(name)) {
            return Err(missing(name));
        }
    }
    // Its pods may be put on any node.
    if dns == Dns::Coredns && !names.contains_key("coredns") {
        return Err(missing("coredns"));
    }
    Ok(Images {
        repository,
        etcd: names.get("etcd").and_then(|name| split(name)),
        coredns: names.get("coredns").and_then(|name| split(name)),
        pause: names.get("pause").cloned().ok_or_else(|| missing("pause"))?,
    })
}

/// `etcd` for `registry.k8s.io/etcd:3.5.9-0`.
fn short_name(name: &str) -> &str {
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    last.split_once(':').map_or(last, |(short, _)| short)
}

fn split(name: &str) -> Option<ImageName> {
    let (repository, last) = name.rsplit_once('/')?;
    let (_, tag) = last.split_once(':')?;
    Some(ImageName { repository: repository.to_owned(), tag: tag.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_apart() {
        let name = "localhost:5000/google_containers/coredns/coredns:v1.8.0";
        assert_eq!(short_name(name), "coredns");
        let parts = split(name).expect("a name with a tag");
        assert_eq!(
            (parts.repository.as_str(), parts.tag.as_str()),
            ("localhost:5000/google_containers/coredns", "v1.8.0")
        );
        assert_eq!(split("pause:3.2"), None);
    }
}
