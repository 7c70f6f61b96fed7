//! Where a lab keeps everything, and the names that everything of it bears.
//!
//! All that a lab makes outside its directory (network namespaces, cgroups) has the lab's id in its name, and the id follows
//! from the directory. So `down` finds everything again, whatever became of the khimg that made it.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::error::LabError;
use crate::digest::Digest;

/// The longest name of a lab.
const LONGEST_NAME: usize = 32;

/// The file that marks a lab's directory.
const RECORD: &str = "lab.json";

/// One lab's place.
#[derive(Debug, Clone)]
pub struct Place {
    labs: PathBuf,
    name: String,
    directory: PathBuf,
    id: String,
}

/// Nobody else changes the lab while this lives.
#[derive(Debug)]
pub(super) struct Exclusive {
    _file: File,
}

impl Place {
    /// The lab called `name` in `labs`, the directory of all labs, which is made if need be. The lab itself need not exist.
    ///
    /// # Errors
    /// A name that is no name, or a directory that cannot be made.
    pub fn new(labs: &Path, name: &str) -> Result<Self, LabError> {
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > LONGEST_NAME || name.starts_with('-') || !name.chars().all(fine) {
            return Err(LabError::BadName { name: name.to_owned() });
        }
        private_directory(labs)?;
        let labs = fs::canonicalize(labs).map_err(LabError::io("find", labs))?;
        let directory = labs.join(name);
        let id = Digest::of(directory.as_os_str().as_encoded_bytes()).hex().chars().take(8).collect();
        Ok(Self { labs, name: name.to_owned(), directory, id })
    }

    /// The lab's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The lab's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory of all labs.
    pub(super) fn labs(&self) -> &Path {
        &self.labs
    }

    /// Eight hexadecimal digits, different for every directory.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The lab's own network namespace, with the bridges.
    pub fn namespace(&self) -> String {
        format!("khimg-{}", self.id)
    }

    /// The network namespace of one node. Node names are labels of DNS.
    pub(super) fn node_namespace(&self, node: &str) -> String {
        format!("khimg-{}-{node}", self.id)
    }

    /// The lab's cgroup below the root of each hierarchy.
    pub(super) fn cgroup(&self) -> String {
        format!("khimg-{}", self.id)
    }

    /// What systemd-nspawn calls a node: unique on this machine, which node names are not.
    pub(super) fn machine(&self, index: usize) -> String {
        format!("khimg-{}-{index}", self.id)
    }

    /// The record of the lab.
    pub(super) fn record(&self) -> PathBuf {
        self.directory.join(RECORD)
    }

    /// The delivery's public half, as it was when the lab began.
    pub(super) fn depot(&self) -> PathBuf {
        self.directory.join("depot")
    }

    /// The delivery's seeds, as they were when the lab began.
    pub(super) fn seeds(&self) -> PathBuf {
        self.directory.join("seeds")
    }

    /// What belongs to one node.
    pub(super) fn node(&self, node: &str) -> PathBuf {
        self.directory.join("nodes").join(node)
    }

    /// Takes the lab for this process alone. The lock lies beside the lab, because the lab's directory comes and goes.
    pub(super) fn lock(&self) -> Result<Exclusive, LabError> {
        let path = self.labs.join(format!(".{}.lock", self.name));
        let file = File::create(&path).map_err(LabError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Exclusive { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LabError::Busy { name: self.name.clone() }),
            Err(TryLockError::Error(error)) => Err(LabError::io("lock", &path)(error)),
        }
    }
}

/// Makes a directory that only its owner can enter, and those above it; leaves one alone that exists.
pub(super) fn private_directory(path: &Path) -> Result<(), LabError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(LabError::io("make directory", path))
}

/// Removes a file or a directory with all that is in it, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), LabError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LabError::io("remove", path)(error)),
        _ => Ok(()),
    }
}
