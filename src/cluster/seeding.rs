//! How machines are given their seeds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cloud_init::Part;

/// The scheme of a depot that is a repository of a registry.
pub(crate) const OCI: &str = "oci";

/// The same without TLS.
pub(crate) const OCI_HTTP: &str = "oci+http";

/// Who hands a machine its user-data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// A disc, a directory or a web server: cloud-init's NoCloud.
    #[default]
    Nocloud,
    /// Amazon EC2.
    Ec2,
    /// Alibaba Cloud ECS.
    Alibaba,
    /// OpenStack.
    Openstack,
    /// Microsoft Azure.
    Azure,
    /// Apache CloudStack.
    Cloudstack,
    /// Google Compute Engine.
    Gcp,
}

impl Platform {
    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nocloud => "nocloud",
            Self::Ec2 => "ec2",
            Self::Alibaba => "alibaba",
            Self::Openstack => "openstack",
            Self::Azure => "azure",
            Self::Cloudstack => "cloudstack",
            Self::Gcp => "gcp",
        }
    }

    /// Most bytes of user-data, before any base64 of the transport; `None`: as many as one likes.
    pub fn limit(self) -> Option<usize> {
        match self {
            Self::Nocloud => None,
            // "Instance user data" of both: 16 KB in raw form.
            Self::Ec2 | Self::Alibaba => Some(16 << 10),
            // 65,535 bytes of base64 (nova, "User data").
            Self::Openstack => Some(65_535 / 4 * 3),
            // 64 KiB less one byte, decoded (Azure, "Custom data").
            Self::Azure => Some(65_535),
            // 32 KiB of base64 in a POST (CloudStack, "deployVirtualMachine").
            Self::Cloudstack => Some((32 << 10) / 4 * 3),
            // 256 KB for one value (Compute Engine, "Limitations of metadata").
            Self::Gcp => Some(256 << 10),
        }
    }

    /// Whether what it hands over may be binary. Google's metadata is text: there, gzip needs base64 around it, and the key
    /// `user-data-encoding: base64` beside it.
    pub fn takes_binary(self) -> bool {
        self != Self::Gcp
    }
}

/// Whether each node gets a disc image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Disc {
    /// None.
    #[default]
    None,
    /// With the seed.
    Seed,
    /// With the seed, the node's bundle and khimg.
    Bundle,
}

/// How machines are given their seeds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seeding {
    /// Who hands them over.
    pub platform: Platform,
    /// Whether each node gets a disc image.
    pub disc: Disc,
    /// URL below which `dist/secret` is served, without a closing slash: where nodes get user-data that their platform has no room for.
    pub url: Option<String>,
    /// Further parts of every node's user-data.
    pub user_data: Vec<Part>,
    /// Where nodes say how far they are; they tell nobody where `None`.
    pub reports: Option<Reports>,
}

/// Where nodes say how far they are, as the cluster file has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportsFile {
    /// URL of khimg serve as nodes reach it, such as https://192.168.30.2:8443.
    pub url: String,
    /// For https: a file with the certificate of the authority (PEM), relative to the cluster file. No other counts then.
    #[serde(default)]
    pub ca: Option<String>,
}

/// Where nodes say how far they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reports {
    /// URL of `khimg serve`, without a closing slash.
    pub url: String,
    /// PEM: the only authorities whose certificates count there; the machine's own where `None`.
    pub ca: Option<String>,
}
