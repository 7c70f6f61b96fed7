//! From a role's files and the lock to the layers of its bundle, as data.
//!
//! ```text
//! khimg                 the program itself
//! packages/<component>  package files as they were published
//! files/<component>     plain programs
//! archive/<file>        what is taken out of a published archive
//! image/<name>          one image each
//! config                rendered files, links
//! ```
//!
//! What changes least comes first; what a user changes comes last. Within a kind the order is that of the names, whatever
//! order the lock has.

use std::collections::BTreeMap;

use super::compress::Density;
use super::contents::{FileEntry, ImageEntry, PackageEntry};
use super::error::PackError;
use super::program::Program;
use super::recipe::{Body, Part, ROOTFS, Recipe};
use super::unpack::Selection;
use crate::catalog::component::Install;
use crate::cluster::Role;
use crate::digest::Digest;
use crate::fetch::Fetched;
use crate::lock::{self, Lock, Proof, Why};
use crate::registry::{ArchiveError, ImageArchive};
use crate::render::RoleFiles;
use crate::render::tree::{Content, Mode, TargetPath};
use crate::store::Verified;

/// Where khimg lies on a node.
pub(super) const PROGRAM: &str = "/usr/bin/khimg";

/// Longest target of a symbolic link: PATH_MAX without its closing NUL (linux/limits.h).
const LONGEST_LINK: usize = 4095;

/// The layers of one bundle, and the parts of its table of contents that need no bytes.
pub(super) struct Plan<'a> {
    pub(super) recipes: Vec<Recipe<'a>>,
    pub(super) packages: Vec<PackageEntry>,
    pub(super) files: Vec<FileEntry>,
    pub(super) images: Vec<ImageEntry>,
    pub(super) unsigned: Vec<String>,
}

type Parts<'a> = BTreeMap<String, Part<'a>>;

/// Plans the bundle of one role.
pub(super) fn plan<'a>(
    files: &'a RoleFiles,
    lock: &'a Lock,
    fetched: &'a Fetched,
    program: &'a Program,
) -> Result<Plan<'a>, PackError> {
    let parts = Parts::from([(format!("{ROOTFS}{PROGRAM}"), Part::Program(program))]);
    let mut plan = Plan {
        recipes: vec![recipe("khimg", Density::Loose, parts)],
        packages: Vec::new(),
        files: Vec::new(),
        images: Vec::new(),
        unsigned: Vec::new(),
    };
    plan.add_packages(files, lock, fetched)?;
    plan.add_files(files, lock, fetched)?;
    plan.add_images(files, lock, fetched)?;
    plan.add_config(files)?;
    Ok(plan)
}

impl<'a> Plan<'a> {
    fn add_packages(&mut self, files: &RoleFiles, lock: &'a Lock, fetched: &'a Fetched) -> Result<(), PackError> {
        let mut layers: BTreeMap<&str, Parts<'a>> = BTreeMap::new();
        let mut packages: Vec<_> = lock.packages.iter().filter(|package| package.target == files.target).collect();
        packages.sort_by_key(|package| (&package.name, &package.version, &package.arch));
        for package in packages {
            let Some(component) = component(&package.why, files.role) else { continue };
            let lock::Package { name, version, arch, .. } = package;
            let what = format!("package {name} {version}");
            let file = package_file(package).map_err(|source| PackError::Place { what: what.clone(), source })?;
            self.note(&package.proof, &what);
            self.packages.push(PackageEntry {
                name: name.clone(),
                version: version.clone(),
                arch: arch.clone(),
                file: file.clone(),
                size: package.size,
                sha256: package.sha256,
                source: package.source.clone(),
                proof: package.proof.clone(),
            });
            let part = Part::Blob(Mode::Plain, blob(fetched, &what, &package.sha256)?);
            insert(layers.entry(component).or_default(), file, part, files, "packages")?;
        }
        let layers = layers.into_iter();
        self.recipes.extend(layers.map(|(name, parts)| recipe(&format!("packages/{name}"), Density::Dense, parts)));
        Ok(())
    }

    fn add_files(&mut self, files: &RoleFiles, lock: &'a Lock, fetched: &'a Fetched) -> Result<(), PackError> {
        let mut layers: BTreeMap<&str, Parts<'a>> = BTreeMap::new();
        let mut archives = Vec::new();
        let mut locked: Vec<_> = lock.files.iter().filter(|file| file.arch == files.target.arch).collect();
        locked.sort_by_key(|file| (&file.name, &file.version));
        for file in locked {
            let Some(component) = component(&file.why, files.role) else { continue };
            let what = format!("file {} {}", file.name, file.version);
            let blob = blob(fetched, &what, &file.sha256)?;
            let (Install::Program(path) | Install::Archive { to: path, .. }) = &file.install;
            let place: TargetPath = path.parse().map_err(|source| PackError::Place { what: what.clone(), source })?;
            self.note(&file.proof, &what);
            self.files.push(FileEntry {
                name: file.name.clone(),
                version: file.version.clone(),
                path: path.clone(),
                sha256: file.sha256,
                source: file.source.clone(),
                proof: file.proof.clone(),
            });
            match &file.install {
                Install::Program(_) => {
                    let part = Part::Blob(Mode::Program, blob);
                    insert(layers.entry(component).or_default(), format!("{ROOTFS}{place}"), part, files, "files")?;
                }
                Install::Archive { strip, only, .. } => {
                    let selection = Selection { to: place, strip: *strip, only };
                    let body = Body::Archive { what, blob, selection };
                    archives.push(Recipe { name: format!("archive/{}", file.name), density: Density::Loose, body });
                }
            }
        }
        let layers = layers.into_iter();
        self.recipes.extend(layers.map(|(name, parts)| recipe(&format!("files/{name}"), Density::Loose, parts)));
        self.recipes.extend(archives);
        Ok(())
    }

    fn add_images(&mut self, files: &RoleFiles, lock: &'a Lock, fetched: &'a Fetched) -> Result<(), PackError> {
        let mut images: Vec<_> = lock.images.iter().filter(|image| image.arch == files.target.arch).collect();
        images.sort_by_key(|image| &image.name);
        for image in images {
            if component(&image.why, files.role).is_none() {
                continue;
            }
            let what = format!("image {}", image.name);
            let plain = image.name.replace(['/', ':', '@'], "_");
            let place: Result<TargetPath, _> = format!("/images/{plain}.tar").parse();
            let place = place.map_err(|source| PackError::Place { what: what.clone(), source })?;
            let file = place.relative().to_owned();
            self.note(&image.proof, &what);
            self.images.push(ImageEntry {
                name: image.name.clone(),
                file: file.clone(),
                manifest: image.manifest.sha256,
                config: image.config.sha256,
                source: image.source.clone(),
                repository: image.repository.clone(),
                proof: image.proof.clone(),
            });
            let archive = ImageArchive::new(image, |digest| blob(fetched, &what, digest).map_err(Missing::Blob));
            let archive = archive.map_err(|missing| match missing {
                Missing::Blob(error) => error,
                Missing::Archive(source) => PackError::Image { image: image.name.clone(), source },
            })?;
            let parts = Parts::from([(file, Part::Image { image, archive })]);
            self.recipes.push(recipe(&format!("image/{plain}"), Density::Dense, parts));
        }
        Ok(())
    }

    fn add_config(&mut self, files: &'a RoleFiles) -> Result<(), PackError> {
        let mut parts = Parts::new();
        for (layer, tree) in &files.layers {
            for (path, entry) in &tree.0 {
                let part = match &entry.content {
                    Content::Bytes(_) if entry.mode == Mode::Private => {
                        return Err(PackError::Private {
                            role: files.role.to_string(),
                            path: path.to_string(),
                            origin: entry.origin.clone(),
                        });
                    }
                    Content::Bytes(bytes) => Part::Bytes(entry.mode, bytes),
                    Content::Link(target) if is_sound(target) => Part::Link(target),
                    Content::Link(target) => {
                        let (path, origin, target) = (path.to_string(), entry.origin.clone(), target.clone());
                        return Err(PackError::Link { path, origin, target });
                    }
                };
                insert(&mut parts, format!("{ROOTFS}{path}"), part, files, layer)?;
            }
        }
        if !parts.is_empty() {
            self.recipes.push(recipe("config", Density::Loose, parts));
        }
        Ok(())
    }

    fn note(&mut self, proof: &Proof, what: &str) {
        if *proof == Proof::Unsigned {
            self.unsigned.push(what.to_owned());
        }
    }
}

/// Why an image's archive has no beginning.
enum Missing {
    Blob(PackError),
    Archive(Box<ArchiveError>),
}

impl From<ArchiveError> for Missing {
    fn from(source: ArchiveError) -> Self {
        Self::Archive(Box::new(source))
    }
}

fn recipe<'a>(name: &str, density: Density, parts: Parts<'a>) -> Recipe<'a> {
    Recipe { name: name.to_owned(), density, body: Body::Parts(parts) }
}

fn insert<'a>(
    parts: &mut Parts<'a>,
    path: String,
    part: Part<'a>,
    files: &RoleFiles,
    layer: &str,
) -> Result<(), PackError> {
    if parts.contains_key(&path) {
        let bundle = format!("{}-{}", files.role, files.target);
        return Err(PackError::Clash { bundle, path, first: "the same layer".to_owned(), second: layer.to_owned() });
    }
    parts.insert(path, part);
    Ok(())
}

fn blob<'a>(fetched: &'a Fetched, what: &str, sha256: &Digest) -> Result<&'a Verified, PackError> {
    fetched.blob(sha256).map_err(|_| PackError::NotFetched { what: what.to_owned(), sha256: *sha256 })
}

/// The component that brought an artifact into `role`: the first by name, so that the order of a list does not matter.
fn component(why: &[Why], role: Role) -> Option<&str> {
    why.iter().filter(|why| why.role == role).map(|why| why.component.as_str()).min()
}

/// Path of a package in a bundle. As in Debian's pool, the version's epoch is left out (`dpkg-name(1)`): apt would take a
/// `%3a` in a file name for an escape.
fn package_file(package: &lock::Package) -> Result<String, crate::render::tree::BadPath> {
    let version = package.version.split_once(':').map_or(package.version.as_str(), |(_, rest)| rest);
    let ending = if package.path.ends_with(".rpm") { "rpm" } else { "deb" };
    let name = format!("{}_{version}_{}.{ending}", package.name, package.arch).replace('/', "_");
    let place: TargetPath = format!("/packages/{name}").parse()?;
    Ok(place.relative().to_owned())
}

fn is_sound(target: &str) -> bool {
    !target.is_empty() && target.len() <= LONGEST_LINK && !target.chars().any(char::is_control)
}
