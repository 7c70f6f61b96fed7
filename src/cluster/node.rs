//! One machine of a cluster.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Target, Uuid};

/// What a machine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Control plane, with etcd unless that is external.
    Master,
    /// Runs pods.
    Worker,
    /// haproxy and keepalived in front of the masters.
    Lb,
    /// A member of an external etcd.
    Etcd,
}

impl Role {
    /// All of them, in the order in which they are built and listed.
    pub const ALL: [Self; 4] = [Self::Master, Self::Worker, Self::Lb, Self::Etcd];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Worker => "worker",
            Self::Lb => "lb",
            Self::Etcd => "etcd",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An Ethernet address, printed in lower case with colons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

/// A text that is not an Ethernet address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a MAC address such as \"52:54:00:00:00:11\"")]
pub struct ParseMacError(String);

impl FromStr for Mac {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseMacError(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(bad)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| bad())?;
        }
        if parts.next().is_some() { Err(bad()) } else { Ok(Self(bytes)) }
    }
}

impl From<[u8; 6]> for Mac {
    fn from(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }
}

impl Mac {
    /// The six bytes.
    pub fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Whether it can belong to one machine: not a group address (IEEE 802-2014 §8.2.1: lowest bit of the first octet) and not all zero.
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Host name, a DNS label, unique in the cluster.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its address with the prefix length of its subnet.
    pub address: IpNet,
    /// Its default gateway, if it has one.
    pub gateway: Option<IpAddr>,
    /// Name servers; may be empty.
    pub nameservers: Vec<IpAddr>,
    /// The Ethernet address by which network boot and cloud-init recognise it.
    pub mac: Option<Mac>,
    /// The serial number by which network boot recognises it.
    pub serial: Option<String>,
    /// The UUID by which network boot recognises it.
    pub uuid: Option<Uuid>,
    /// The interface that carries `address`; the endpoint's interface unless it says otherwise.
    pub interface: String,
    /// Its own base system, where that differs from the cluster's.
    pub target: Option<Target>,
}

impl Node {
    /// The address without the prefix length.
    pub fn ip(&self) -> IpAddr {
        self.address.addr()
    }
}
