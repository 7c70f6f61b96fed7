//! The nodes of a delivery: what their seeds say about the machine that each of them needs.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::error::LabError;
use crate::cluster::Role;
use crate::deliver::manifest::SECRET;
use crate::exit::Explain;
use crate::inspect;
use crate::render::node_file::{self, NodeFile};
use crate::target::Target;

/// The three files of a seed.
pub(super) const SEED: [&str; 3] = ["user-data", "meta-data", "network-config"];

/// A node's own description is of a few kB; more than this in bytes is none.
const MOST_NODE_FILE: u64 = 1 << 20;

/// One machine: what a rack would have to offer for this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Machine {
    /// The node's name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The system that must be on it.
    pub target: Target,
    /// The name of its network interface.
    pub interface: String,
    /// That interface's Ethernet address, if the seed looks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// The node's address with the prefix length of its subnet.
    pub address: IpNet,
    /// The way out of the subnet, if the node is told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

/// What a delivery holds.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    /// The cluster's name.
    pub cluster: String,
    /// The address of its API.
    pub endpoint: IpAddr,
    /// Its nodes, in the order of the cluster file.
    pub machines: Vec<Machine>,
}

#[derive(Deserialize)]
struct NetworkConfig {
    ethernets: BTreeMap<String, Ethernet>,
}

#[derive(Deserialize)]
struct Ethernet {
    #[serde(rename = "match")]
    matched: Option<Match>,
    gateway4: Option<IpAddr>,
    gateway6: Option<IpAddr>,
}

#[derive(Deserialize)]
struct Match {
    macaddress: String,
}

#[derive(Deserialize)]
struct UserData {
    write_files: Vec<WriteFile>,
}

#[derive(Deserialize)]
struct WriteFile {
    path: String,
    content: String,
}

/// Reads and proves the delivery in `dist`.
///
/// # Errors
/// A directory that is no delivery, was changed since, or has no seeds.
pub(super) fn read(dist: &Path) -> Result<Delivery, LabError> {
    let report = inspect::dist(dist).map_err(|error| LabError::dist(dist, told(&error)))?;
    if let Some(problem) = report.problems.first() {
        return Err(LabError::dist(dist, told(problem)));
    }
    let Some(secret) = report.secret else { return Err(LabError::dist(dist, "it has no seeds")) };
    let seeds = dist.join(SECRET);
    let mut found = Vec::new();
    for record in secret.files.values() {
        if let (Some(node), Some(role), Some(target)) = (&record.node, record.role, &record.target)
            && found.iter().all(|(machine, _): &(Machine, NodeFile)| machine.name != *node)
        {
            found.push(machine(&seeds.join(node), node, role, target)?);
        }
    }
    let Some((_, first)) = found.first().cloned() else { return Err(LabError::dist(dist, "it has no seeds")) };
    let place = |machine: &Machine| first.nodes.iter().position(|member| member.name == machine.name);
    // Workers are not in the list and come last, by name.
    found.sort_by_key(|(machine, _)| place(machine).unwrap_or(usize::MAX));
    let machines = found.into_iter().map(|(machine, _)| machine).collect();
    Ok(Delivery { cluster: first.cluster, endpoint: first.endpoint.address, machines })
}

fn told(error: &impl Explain) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn machine(seed: &Path, name: &str, role: Role, target: &Target) -> Result<(Machine, NodeFile), LabError> {
    let path = seed.join("network-config");
    let network: NetworkConfig = yaml(&path)?;
    let mut ethernets = network.ethernets.into_iter();
    let (Some((interface, ethernet)), None) = (ethernets.next(), ethernets.next()) else {
        return Err(LabError::dist(&path, "it does not name exactly one interface"));
    };
    let node = node_file(&seed.join("user-data"))?;
    let machine = Machine {
        name: name.to_owned(),
        role,
        target: target.clone(),
        interface,
        mac: ethernet.matched.map(|matched| matched.macaddress),
        address: node.address,
        gateway: ethernet.gateway4.or(ethernet.gateway6),
    };
    Ok((machine, node))
}

/// The description of the node and its cluster that the seed carries.
fn node_file(path: &Path) -> Result<NodeFile, LabError> {
    let data: UserData = yaml(path)?;
    let missing = || LabError::dist(path, format!("it does not write {}", node_file::PATH));
    let file = data.write_files.iter().find(|file| file.path == node_file::PATH).ok_or_else(missing)?;
    let bad = |reason: String| LabError::dist(path, format!("its {} cannot be read: {reason}", node_file::PATH));
    let packed = STANDARD.decode(&file.content).map_err(|error| bad(error.to_string()))?;
    let mut text = String::new();
    let mut unpacked = flate2::read::GzDecoder::new(&packed[..]).take(MOST_NODE_FILE);
    unpacked.read_to_string(&mut text).map_err(|error| bad(error.to_string()))?;
    serde_saphyr::from_str(&text).map_err(|error| bad(error.to_string()))
}

fn yaml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, LabError> {
    let text = fs::read_to_string(path).map_err(LabError::io("read", path))?;
    // The message alone: the serializer's own text quotes the lines around, which hold secrets.
    serde_saphyr::from_str(&text).map_err(|_| LabError::dist(path, "it is not what khimg writes"))
}
