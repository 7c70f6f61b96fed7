//! The exact Kubernetes version: the one asked for, or the highest patch that everything concerned can serve.

use std::collections::BTreeSet;

use super::repositories::{Repositories, system};
use super::{ResolveError, Upgrade};
use crate::catalog::Catalog;
use crate::kubernetes::{KubernetesVersion, VersionRequest};
use crate::lock::Lock;
use crate::profile::{FileRequirement, PackageRequirement, Requirements, RoleRequirements};

/// What stays open in requirements until the patch is known.
const OPEN: &str = "{kubernetes}";
/// What images alone cannot tell: the file whose table of digests lists every release.
const WITNESS: &str = "kubeadm";

/// The exact version; `None` where no role carries Kubernetes.
///
/// Without a patch in the request: the lock's, if it is still served and need not change; otherwise the highest patch that
/// every package and file of that version has.
///
/// # Errors
/// No patch of the minor is served by all, or nothing tells which patches there are.
pub fn version(
    requirements: &Requirements,
    catalog: &Catalog,
    repositories: &Repositories,
    previous: Option<&Lock>,
    upgrade: &Upgrade,
) -> Result<Option<KubernetesVersion>, ResolveError> {
    let request = requirements.kubernetes;
    let mut components: BTreeSet<&str> = BTreeSet::new();
    let mut served: Option<BTreeSet<u16>> = None;
    let mut narrow = |what: String, patches: BTreeSet<u16>| {
        let left = match served.take() {
            Some(before) => before.intersection(&patches).copied().collect(),
            None => patches,
        };
        let empty = left.is_empty();
        served = Some(left);
        if empty { Err(ResolveError::NoPatch { request, what }) } else { Ok(()) }
    };
    for role in &requirements.roles {
        for package in role.packages.iter().filter(|package| is_open(package.version.as_deref())) {
            components.insert(&package.component);
            if request.patch.is_none() {
                let patches = of_package(role, package, catalog, repositories, request)?;
                narrow(format!("package {} on {}", package.name, role.target), patches)?;
            }
        }
        for file in role.files.iter().filter(|file| is_open(Some(&file.version))) {
            components.insert(&file.component);
            if request.patch.is_none() {
                narrow(format!("file {} for {}", file.name, role.target.arch), of_file(role, file, catalog, request))?;
            }
        }
        for image in role.images.iter().filter(|image| image.tag.contains('{')) {
            components.insert(&image.component);
        }
    }
    if components.is_empty() {
        return Ok(None);
    }
    if let Some(patch) = request.patch {
        return Ok(Some(KubernetesVersion { minor: request.minor, patch }));
    }
    let served = match served {
        Some(served) => served,
        None => witnessed(requirements, catalog),
    };
    let locked = previous.and_then(|lock| lock.kubernetes).filter(|locked| {
        request.accepts(*locked)
            && served.contains(&locked.patch)
            && !components.iter().any(|component| upgrade.frees(component))
    });
    let highest = served.last().map(|patch| KubernetesVersion { minor: request.minor, patch: *patch });
    match locked.or(highest) {
        Some(version) => Ok(Some(version)),
        None => Err(ResolveError::NoPatch { request, what: "any component".to_owned() }),
    }
}

fn is_open(version: Option<&str>) -> bool {
    version.is_some_and(|version| version.contains(OPEN))
}

/// The patches that the sources of a package offer.
fn of_package(
    role: &RoleRequirements,
    package: &PackageRequirement,
    catalog: &Catalog,
    repositories: &Repositories,
    request: VersionRequest,
) -> Result<BTreeSet<u16>, ResolveError> {
    let own = system(catalog, &role.target)?.sources(role.target.arch);
    let shelves = own.iter().chain(&package.sources).flat_map(|source| repositories.shelves(&role.target, source));
    let offered = shelves.flat_map(|shelf| shelf.index.find(&package.name));
    Ok(offered.filter_map(|offer| patch(offer.version, request)).collect())
}

/// The patches that the catalogue knows the digest of. With a checksum file there may be more, but nothing lists them.
fn of_file(
    role: &RoleRequirements,
    file: &FileRequirement,
    catalog: &Catalog,
    request: VersionRequest,
) -> BTreeSet<u16> {
    let known = catalog.digests.get(&file.name).and_then(|archs| archs.get(&role.target.arch));
    known.into_iter().flat_map(|versions| versions.keys()).filter_map(|version| patch(version, request)).collect()
}

/// The patches of which the catalogue knows kubeadm, for all architectures in use.
fn witnessed(requirements: &Requirements, catalog: &Catalog) -> BTreeSet<u16> {
    let Some(archs) = catalog.digests.get(WITNESS) else { return BTreeSet::new() };
    let of = |arch| {
        let versions = archs.get(arch).into_iter().flat_map(|versions| versions.keys());
        versions.filter_map(|version| patch(version, requirements.kubernetes)).collect::<BTreeSet<u16>>()
    };
    let mut all = requirements.roles.iter().map(|role| of(&role.target.arch));
    let first = all.next().unwrap_or_default();
    all.fold(first, |left, next| left.intersection(&next).copied().collect())
}

/// The patch of a version such as `1.34.2-1.1` or `1.34.2`; `None` for other minors and for releases before the first patch.
fn patch(version: &str, request: VersionRequest) -> Option<u16> {
    let rest = version.strip_prefix(&format!("1.{}.", request.minor))?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, revision) = rest.split_at(end);
    // `1.34.0~rc.1-1.1` and `1.34.0-rc.1` are no releases; `-00` and `-1.1` are revisions.
    let release = revision.is_empty()
        || revision.strip_prefix('-').is_some_and(|tail| tail.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
    release.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_of_versions() {
        let request: VersionRequest = "1.34".parse().expect("valid");
        for (version, expected) in [
            ("1.34.2-1.1", Some(2)),
            ("1.34.10", Some(10)),
            ("1.34.0-00", Some(0)),
            ("1.34.0-rc.1", None),
            ("1.34.0~rc.1-1.1", None),
            ("1.3.4-00", None),
            ("1.345.1", None),
            ("1.34.", None),
            ("1.34.99999", None),
        ] {
            assert_eq!(patch(version, request), expected, "{version}");
        }
    }
}
