//! `lab.json`: what a lab is made of. Written before the first thing of it is made, and removed after the last.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::error::LabError;
use super::machine::Machine;
use super::place::{Exclusive, Place};

/// Version of the format of [`Record`].
pub(super) const VERSION: u32 = 1;

/// What a lab is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// Version of the format.
    pub version: u32,
    /// The cluster's name.
    pub cluster: String,
    /// The address of its API.
    pub endpoint: IpAddr,
    /// Addresses that the lab itself has in the nodes' subnets: their gateways, or a free one where there is none.
    pub addresses: Vec<IpNet>,
    /// Size of each node's disk in bytes. It takes only as much of the real one as is written.
    pub disk: u64,
    /// The nodes, in the order of the cluster file.
    pub machines: Vec<Machine>,
    /// The operating system under each node: a directory that nobody changes.
    pub bases: BTreeMap<String, PathBuf>,
}

/// A lab that exists.
#[derive(Debug, Clone)]
pub struct Lab {
    /// Where it is.
    pub place: Place,
    /// What it is made of.
    pub record: Record,
}

impl Lab {
    /// Opens the lab called `name` in the directory `labs`.
    ///
    /// # Errors
    /// There is none, or what is there is none.
    pub fn open(labs: &Path, name: &str) -> Result<Self, LabError> {
        let place = Place::new(labs, name)?;
        let path = place.record();
        if !path.exists() {
            return Err(LabError::NoLab { name: name.to_owned(), path: place.labs().to_owned() });
        }
        let text = fs::read(&path).map_err(LabError::io("read", &path))?;
        let foreign = |reason: String| LabError::Foreign { path: place.directory().to_owned(), reason };
        let record: Record = serde_json::from_slice(&text).map_err(|error| foreign(error.to_string()))?;
        if record.version != VERSION {
            return Err(foreign(format!("its record is of version {}", record.version)));
        }
        Ok(Self { place, record })
    }

    /// Takes the lab for this process alone, to change it.
    pub(super) fn lock(&self) -> Result<Exclusive, LabError> {
        self.place.lock()
    }

    /// Writes the record, whole or not at all.
    pub(super) fn save(&self) -> Result<(), LabError> {
        let path = self.place.record();
        let failed = |source| LabError::Io { action: "write", path: path.clone(), source };
        let mut file = NamedTempFile::new_in(self.place.directory()).map_err(failed)?;
        let text = serde_json::to_vec_pretty(&self.record).map_err(|error| failed(error.into()))?;
        file.write_all(&text).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// The node called `name` and its number.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn machine(&self, name: &str) -> Result<(usize, &Machine), LabError> {
        let mut machines = self.record.machines.iter().enumerate();
        machines.find(|(_, machine)| machine.name == name).ok_or_else(|| LabError::NoNode {
            name: name.to_owned(),
            known: self.record.machines.iter().map(|machine| machine.name.clone()).collect(),
        })
    }

    /// The operating system under a node.
    pub(super) fn base(&self, node: &str) -> Result<&Path, LabError> {
        let foreign = || LabError::Foreign {
            path: self.place.directory().to_owned(),
            reason: format!("its record names no system for {node}"),
        };
        self.record.bases.get(node).map(PathBuf::as_path).ok_or_else(foreign)
    }

    /// The root directory of a node, as this machine sees it. There only while the node's disk is mounted.
    pub fn root(&self, node: &str) -> PathBuf {
        self.place.node(node).join("root")
    }

    /// What a node has written to its console since the lab began.
    pub fn console(&self, node: &str) -> PathBuf {
        self.place.node(node).join("console.log")
    }
}
