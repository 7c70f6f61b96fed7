//! What a lock names, once per digest, and where each may be had.

use std::collections::BTreeMap;

use url::Url;

use crate::arch::Arch;
use crate::catalog::{Catalog, Vars};
use crate::cluster::{AddonOrigin, Role};
use crate::digest::Digest;
use crate::fetch::FetchError;
use crate::lock::{Image, Lock, Package, Proof, Why};
use crate::mirrors::Mirrors;
use crate::net::{Download, Source, address};
use crate::registry::Place;

/// The largest file whose size no publisher tells, in bytes: 2 GiB. Kubernetes' own programs have about a tenth of it.
const LARGEST_FILE: u64 = 2 << 30;

/// Everything to fetch.
pub(super) struct Plan<'a> {
    /// Packages and files in the lock's order, each digest once.
    pub downloads: Vec<Download>,
    /// Packages that must carry a signature of their own, in the lock's order.
    pub signed: Vec<&'a Package>,
    /// Images in the lock's order, with the places that may have them.
    pub images: Vec<(&'a Image, Vec<Place>)>,
}

impl<'a> Plan<'a> {
    pub fn new(
        lock: &'a Lock,
        catalog: &Catalog,
        mirrors: &Mirrors,
        roles: Option<&[Role]>,
    ) -> Result<Self, FetchError> {
        let wanted = |why: &[Why]| roles.is_none_or(|roles| why.iter().any(|why| roles.contains(&why.role)));
        let mut downloads = Downloads::default();
        let mut signed = Vec::new();
        for package in lock.packages.iter().filter(|package| wanted(&package.why)) {
            let mut vars = vars(lock, package.target.arch);
            if let Some(system) = catalog.systems.get(&package.target.os) {
                vars = system.vars(vars);
            }
            if matches!(package.proof, Proof::Package(_)) {
                signed.push(package);
            }
            let label = format!("{} {} {}", package.name, package.version, package.arch);
            let origins = origins(catalog, mirrors, &package.source, &vars, &package.path)?;
            downloads.add(label, package.sha256, Some(package.size), origins);
        }
        // One from a file comes with the cluster file.
        for addon in &lock.addons {
            let AddonOrigin::Url(address) = &addon.origin else { continue };
            let url = Url::parse(address).map_err(|_| FetchError::Address { of: addon.name.clone() })?;
            let mirror = url.host_str().unwrap_or_default().to_owned();
            let label = format!("addon {}", addon.name);
            downloads.add(label, addon.sha256, Some(addon.size), vec![Source { mirror, url, authorization: None }]);
        }
        for file in lock.files.iter().filter(|file| wanted(&file.why)) {
            let label = format!("{} {} {}", file.name, file.version, file.arch);
            let origins = origins(catalog, mirrors, &file.source, &vars(lock, file.arch), &file.path)?;
            downloads.add(label, file.sha256, file.size, origins);
        }
        let mut images = Vec::new();
        for image in lock.images.iter().filter(|image| wanted(&image.why)) {
            let origins = mirrors.origins(catalog, &image.source, &vars(lock, image.arch))?;
            let places = Place::all(catalog, &image.source, &image.repository, &origins).map_err(FetchError::Place)?;
            images.push((image, places));
        }
        Ok(Self { downloads: downloads.all, signed, images })
    }
}

fn vars(lock: &Lock, arch: Arch) -> Vars {
    let vars = Vars::default().with("arch", arch).with("machine", arch.machine());
    match lock.kubernetes {
        Some(version) => vars.with("minor", format_args!("1.{}", version.minor)).with("kubernetes", version),
        None => vars,
    }
}

fn origins(
    catalog: &Catalog,
    mirrors: &Mirrors,
    source: &str,
    vars: &Vars,
    path: &str,
) -> Result<Vec<Source>, FetchError> {
    let mut origins = Vec::new();
    for origin in mirrors.origins(catalog, source, vars)? {
        let url = address::join(&origin.base, path)?;
        origins.push(Source { mirror: origin.mirror, url, authorization: None });
    }
    if origins.is_empty() {
        return Err(FetchError::NoMirror { of: source.to_owned() });
    }
    Ok(origins)
}

#[derive(Default)]
struct Downloads {
    all: Vec<Download>,
    by_digest: BTreeMap<Digest, usize>,
}

impl Downloads {
    /// The same bytes under two names are fetched once, from wherever either may be had.
    fn add(&mut self, label: String, digest: Digest, size: Option<u64>, origins: Vec<Source>) {
        let index = *self.by_digest.entry(digest).or_insert(self.all.len());
        match self.all.get_mut(index) {
            Some(known) => {
                for origin in origins {
                    if !known.origins.iter().any(|other| other.url == origin.url) {
                        known.origins.push(origin);
                    }
                }
            }
            None => self.all.push(Download { label, digest, size, limit: size.unwrap_or(LARGEST_FILE), origins }),
        }
    }
}
