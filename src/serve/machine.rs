//! The machines that are served: each is a node of the cluster file, and known by its MAC address, its UUID, its serial
//! number or its name.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::arch::Arch;
use crate::cluster::{Cluster, Mac, Role, Uuid};

/// One machine, as the servers know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The node's name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its architecture.
    pub arch: Arch,
    /// Its address with the prefix length of its subnet.
    pub address: IpNet,
    /// Its default gateway.
    pub gateway: Option<IpAddr>,
    /// Its name servers.
    pub nameservers: Vec<IpAddr>,
    /// Its Ethernet address.
    pub mac: Option<Mac>,
}

/// All machines, by everything that they are known by.
#[derive(Debug, Clone, Default)]
pub struct Machines {
    all: Vec<Machine>,
    by_name: BTreeMap<String, usize>,
    by_serial: BTreeMap<String, usize>,
    by_mac: BTreeMap<Mac, usize>,
    by_uuid: BTreeMap<Uuid, usize>,
    by_address: BTreeMap<IpAddr, usize>,
}

impl Machines {
    /// Those of a cluster file.
    pub fn of(cluster: &Cluster) -> Self {
        let mut machines = Self::default();
        for (at, node) in cluster.nodes.iter().enumerate() {
            machines.by_name.insert(node.name.clone(), at);
            machines.by_address.insert(node.ip(), at);
            machines.by_mac.extend(node.mac.map(|mac| (mac, at)));
            machines.by_uuid.extend(node.uuid.map(|uuid| (uuid, at)));
            machines.by_serial.extend(node.serial.clone().map(|serial| (serial, at)));
            machines.all.push(Machine {
                name: node.name.clone(),
                role: node.role,
                arch: node.target.as_ref().unwrap_or(&cluster.target).arch,
                address: node.address,
                gateway: node.gateway,
                nameservers: node.nameservers.clone(),
                mac: node.mac,
            });
        }
        machines
    }

    /// All of them, in the order of the cluster file.
    pub fn all(&self) -> &[Machine] {
        &self.all
    }

    /// The machine that a URL names: by name, MAC address (with colons or hyphens), UUID or serial number, in this order.
    pub fn named(&self, key: &str) -> Option<&Machine> {
        let by_name = || self.by_name.get(key);
        let by_mac = || self.by_mac.get(&key.parse().ok()?);
        let by_serial = || self.by_serial.get(key);
        let found = by_name().or_else(by_mac).or_else(|| self.at_uuid(key.parse().ok()?)).or_else(by_serial);
        self.all.get(*found?)
    }

    /// The machine with this Ethernet address or, failing that, this UUID.
    pub fn with(&self, mac: Mac, uuid: Option<Uuid>) -> Option<&Machine> {
        let found = self.by_mac.get(&mac).or_else(|| self.at_uuid(uuid?));
        self.all.get(*found?)
    }

    /// The machine that has this address once it runs its own system.
    pub fn at(&self, address: IpAddr) -> Option<&Machine> {
        self.all.get(*self.by_address.get(&address.to_canonical())?)
    }

    fn at_uuid(&self, uuid: Uuid) -> Option<&usize> {
        self.by_uuid.get(&uuid).or_else(|| self.by_uuid.get(&uuid.swapped()))
    }
}
