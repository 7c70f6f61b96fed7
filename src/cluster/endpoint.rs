//! How the API server is reached.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The API server's own port on every master.
pub const API_SERVER_PORT: u16 = 6443;

/// Who answers at the endpoint's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointMode {
    /// haproxy and keepalived on every master.
    Stacked,
    /// keepalived alone on every master: failover, no balancing.
    VipOnly,
    /// haproxy and keepalived on nodes of role `lb`.
    Dedicated,
    /// One node of role `lb` with haproxy alone.
    SingleLb,
    /// An address that somebody else looks after.
    External,
}

impl EndpointMode {
    /// The name in the cluster file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stacked => "stacked",
            Self::VipOnly => "vip-only",
            Self::Dedicated => "dedicated",
            Self::SingleLb => "single-lb",
            Self::External => "external",
        }
    }

    /// Whether keepalived moves a virtual address.
    pub fn has_vip(self) -> bool {
        matches!(self, Self::Stacked | Self::VipOnly | Self::Dedicated)
    }
}

/// Where clients and nodes find the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Who answers there.
    pub mode: EndpointMode,
    /// The address: virtual, of the single lb node, or external.
    pub address: IpAddr,
    /// The port, 1 to 65535.
    pub port: u16,
    /// The interface that carries the virtual address.
    pub interface: String,
    /// VRRP virtual router id, 1 to 255, unique on its network segment.
    pub virtual_router_id: u8,
    /// Further names of the address.
    pub names: Vec<String>,
}
