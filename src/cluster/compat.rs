//! Settings that khimg would choose otherwise, for clusters that must look like one of the well-known write-ups or like what is
//! there already. Whatever is not written here stays as khimg has it. Templates see it as it is, with names in snake case.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kubernetes::KubeadmApi;

/// Settings that khimg would choose otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"), deny_unknown_fields)]
pub struct Compat {
    /// keepalived: what its instance is called, how it speaks, and who is preferred.
    #[serde(default)]
    pub keepalived: KeepalivedCompat,
    /// haproxy: names, limits, times and checks.
    #[serde(default)]
    pub haproxy: HaproxyCompat,
    /// The version of kubeadm's configuration, instead of the newest that the Kubernetes version reads.
    #[serde(default)]
    pub kubeadm_api: Option<KubeadmApi>,
    /// What the names of Kubernetes' images begin with on nodes, instead of registry.k8s.io.
    #[serde(default)]
    pub image_repository: Option<String>,
    /// SELinux' mode, where the operating system has it; permissive by default.
    #[serde(default)]
    pub selinux: Option<Selinux>,
}

/// keepalived's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"), deny_unknown_fields)]
pub struct KeepalivedCompat {
    /// The name of the vrrp_instance.
    #[serde(default)]
    pub instance: Option<String>,
    /// VRRP's version: 3 by default, 2 for passwords.
    #[serde(default)]
    #[schemars(range(min = 2, max = 3))]
    pub vrrp_version: Option<u8>,
    /// Adverts go to this multicast group instead of to each peer; 224.0.0.18 is VRRP's own.
    #[serde(default)]
    pub multicast: Option<String>,
    /// Time between adverts, such as 1s or 100ms; whole seconds with VRRP version 2.
    #[serde(default)]
    pub advert: Option<String>,
    /// Priorities of the nodes that can carry the address, in the order of the file, 1 to 254.
    #[serde(default)]
    #[schemars(inner(range(min = 1, max = 254)))]
    pub priorities: Vec<u8>,
    /// The first node is MASTER and takes the address back when it returns. Otherwise all are BACKUP, and nobody does.
    #[serde(default)]
    pub preempt: bool,
    /// A password of at most 8 characters, sent in plain text with every advert. No secret: VRRP has none.
    #[serde(default)]
    pub password: Option<String>,
    /// The prefix length with which the address is set; by default that of a single address.
    #[serde(default)]
    #[schemars(range(min = 1, max = 128))]
    pub prefix: Option<u8>,
    /// What decides whether a node may carry the address.
    #[serde(default)]
    pub check: Option<KeepalivedCheck>,
    /// Mail that keepalived sends when the address moves.
    #[serde(default)]
    pub notification: Option<Notification>,
}

/// What decides whether a node may carry the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum KeepalivedCheck {
    /// Nothing: the address stays on a machine whose haproxy or API server is dead.
    Word(NoCheck),
    /// A script, with these settings instead of khimg's.
    Script(ScriptCheck),
}

/// The word for no check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NoCheck {
    /// No check at all.
    None,
}

/// How keepalived runs its check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"), deny_unknown_fields)]
pub struct ScriptCheck {
    /// Seconds between two runs; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub interval: Option<u16>,
    /// Failures until it counts; 2 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub fall: Option<u8>,
    /// Successes until it counts; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub rise: Option<u8>,
    /// What a failure (below 0) or success (above 0) adds to the priority; without it, a failure gives the address away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -253, max = 253))]
    pub weight: Option<i16>,
}

/// Mail about a move of the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"), deny_unknown_fields)]
pub struct Notification {
    /// To whom.
    #[schemars(length(min = 1))]
    pub to: Vec<String>,
    /// From whom.
    pub from: String,
    /// The mail server's address.
    pub server: String,
    /// Seconds until keepalived gives up on the server.
    #[serde(default)]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout: Option<u16>,
}

/// haproxy's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"), deny_unknown_fields)]
pub struct HaproxyCompat {
    /// Where logs go, such as `127.0.0.1 local2`; the journal by default.
    #[serde(default)]
    pub log: Option<String>,
    /// Where the process id is written.
    #[serde(default)]
    pub pidfile: Option<String>,
    /// The word `daemon`, which means nothing below systemd.
    #[serde(default)]
    pub daemon: bool,
    /// The frontend's name.
    #[serde(default)]
    pub frontend: Option<String>,
    /// The backend's name.
    #[serde(default)]
    pub backend: Option<String>,
    /// How connections are spread.
    #[serde(default)]
    pub balance: Option<Balance>,
    /// Limits of connections.
    #[serde(default)]
    pub maxconn: Maxconn,
    /// How often a failed connection is tried again.
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub retries: Option<u8>,
    /// All `option` lines of the defaults, instead of khimg's.
    #[serde(default)]
    pub options: Option<Vec<String>>,
    /// All `timeout` lines of the defaults, instead of khimg's: connect, client, server, queue, check, tunnel, http-request,
    /// http-keep-alive, client-fin.
    #[serde(default)]
    pub timeouts: Option<BTreeMap<String, String>>,
    /// How API servers are checked.
    #[serde(default)]
    pub check: Option<ServerCheck>,
}

/// Limits of connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all(deserialize = "camelCase"), deny_unknown_fields)]
pub struct Maxconn {
    /// Of the whole process; 8192 by default.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000000))]
    pub global: Option<u32>,
    /// Of the frontend; none by default.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000000))]
    pub defaults: Option<u32>,
    /// Of each server; none by default.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000000))]
    pub server: Option<u32>,
}

/// How connections are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Balance {
    /// To the server with the fewest.
    Leastconn,
    /// In turn.
    Roundrobin,
}

/// How haproxy checks API servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServerCheck {
    /// By asking their health path with TLS.
    Api,
    /// By opening a connection, every 2 seconds.
    Tcp,
}

/// SELinux' mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Selinux {
    /// Tells, and prevents nothing.
    Permissive,
    /// Off.
    Disabled,
}

impl Selinux {
    /// The name in its configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Permissive => "permissive",
            Self::Disabled => "disabled",
        }
    }
}

/// A time as haproxy writes it: a whole number with `ms`, `s`, `m`, `h` or `d`, up to 24 days, which is all that fits haproxy's
/// counter of milliseconds.
pub fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit).filter(|time| *time <= i32::MAX as u64)
}
