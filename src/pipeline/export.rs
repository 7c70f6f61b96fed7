//! From a project to what crosses an air gap.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use walkdir::WalkDir;

use super::{Error, Project};
use crate::cluster::file::ClusterFile;
use crate::config::Document;
use crate::deliver::Manifest;
use crate::deliver::manifest::{MANIFEST, PUBLIC, SECRET, SUMS};
use crate::transfer::{self, Cargo, ExportOptions, Exported, TransferError};
use crate::{cluster, input, inspect, lock};

/// Own directories beside the cluster file that change what is built.
const DIRECTORIES: [&str; 3] = ["catalog", "profiles", "overlays"];

/// A file of a project of more bytes than this is none.
const MOST: u64 = 64 << 20;

/// What to export.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    /// Where to write.
    pub out: PathBuf,
    /// The delivered directory, which goes along if it is there.
    pub dist: PathBuf,
    /// Secrets and seeds too.
    pub secrets: bool,
    /// Most bytes of one part.
    pub split: Option<u64>,
    /// An earlier export: what that one needed is left out.
    pub since: Option<PathBuf>,
}

/// Writes everything that another machine needs to build the project without a network.
///
/// # Errors
/// No lock, artifacts that were not fetched, a delivery that was changed; those of writing.
pub fn export(project: &Project, request: &ExportRequest) -> Result<Exported, Error> {
    let since = request.since.as_deref().map(transfer::read_index).transpose()?.map(|(index, _)| index);
    let mut cargo = Cargo::default();
    match &project.cluster_path {
        Some(path) => own_files(project, path, &mut cargo)?,
        None => cargo.file("cluster.yaml", false, cluster::EXAMPLE.as_bytes().to_vec()),
    }
    let lock_path = project.lock_path();
    let lock = lock::read(&lock_path)?;
    cargo.file("khimg.lock", false, read(&lock_path)?);
    // No node needs an image's index, so nobody fetches it.
    let indices: BTreeSet<_> = lock.images.iter().filter_map(|image| Some(image.index.as_ref()?.sha256)).collect();
    let mut missing = 0;
    for digest in lock.digests().collect::<BTreeSet<_>>() {
        match project.store.get(&digest)? {
            Some(blob) => cargo.artifact(blob),
            None if indices.contains(&digest) => {}
            None => missing += 1,
        }
    }
    if missing > 0 {
        return Err(TransferError::Incomplete { missing }.into());
    }
    if request.secrets {
        cargo.file(crate::secrets::FILE_NAME, true, read(&project.secrets_path())?);
    }
    if request.dist.join(PUBLIC).join(MANIFEST).exists() {
        delivered(&request.dist, PUBLIC, &mut cargo)?;
        if request.secrets {
            delivered(&request.dist, SECRET, &mut cargo)?;
        }
    } else {
        project.note(format!("{} is not there and does not go along", request.dist.display()));
    }
    let options = ExportOptions { split: request.split, since: since.as_ref() };
    Ok(transfer::export(&cargo, &request.out, &options, &*project.reporter)?)
}

fn read(path: &Path) -> Result<Vec<u8>, TransferError> {
    input::read(path, MOST).map_err(|source| TransferError::Io { action: "read", path: path.to_path_buf(), source })
}

/// The cluster file, what it names, and the directories beside it.
fn own_files(project: &Project, cluster: &Path, cargo: &mut Cargo) -> Result<(), Error> {
    let name = cluster.file_name().and_then(|name| name.to_str()).unwrap_or("cluster.yaml");
    cargo.file(name, false, read(cluster)?);
    let file: ClusterFile = Document::read(cluster)?.decode()?;
    for companion in file.companions() {
        let below = Path::new(companion).components().all(|part| matches!(part, Component::Normal(_)));
        if below {
            cargo.file(companion, false, read(&project.directory.join(companion))?);
        } else {
            project.note(format!("{companion} lies outside the project: take it to the other side yourself"));
        }
    }
    for name in DIRECTORIES {
        let directory = project.directory.join(name);
        if !directory.is_dir() {
            continue;
        }
        for entry in WalkDir::new(&directory).sort_by_file_name() {
            let entry = entry.map_err(|e| TransferError::Io {
                action: "read",
                path: directory.clone(),
                source: e.into_io_error().unwrap_or_else(|| std::io::ErrorKind::Other.into()),
            })?;
            let below = entry.path().strip_prefix(&project.directory).ok().and_then(Path::to_str);
            let hidden = below.is_none_or(|below| below.split('/').any(|element| element.starts_with('.')));
            if let Some(below) = below.filter(|_| entry.file_type().is_file() && !hidden) {
                cargo.file(below, false, read(entry.path())?);
            }
        }
    }
    Ok(())
}

/// The files that one half of a delivery lists, and the lists themselves.
fn delivered(dist: &Path, half: &str, cargo: &mut Cargo) -> Result<(), Error> {
    let (directory, secret) = (dist.join(half), half == SECRET);
    let manifest: Manifest = inspect::read_manifest(&directory)?;
    for (path, record) in &manifest.files {
        cargo.delivered(&format!("{half}/{path}"), secret, &directory.join(path), record);
    }
    for name in [MANIFEST, SUMS] {
        cargo.file(&format!("dist/{half}/{name}"), secret, read(&directory.join(name))?);
    }
    Ok(())
}
