//! Kubernetes versions, as asked for and as pinned.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An exact Kubernetes version, such as `1.34.2`; printed without a `v`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KubernetesVersion {
    /// `34` in `1.34.2`. The major version has always been 1.
    pub minor: u16,
    /// `2` in `1.34.2`.
    pub patch: u16,
}

/// What the cluster file asks for: `1.34.2` exactly, or any patch of `1.34`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRequest {
    /// `34` in `1.34`.
    pub minor: u16,
    /// The patch, if the user pinned it.
    pub patch: Option<u16>,
}

/// A text that is not a Kubernetes version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a Kubernetes version such as \"1.34.2\" or \"1.34\"")]
pub struct ParseVersionError(String);

impl VersionRequest {
    /// Whether `version` is what was asked for.
    pub fn accepts(self, version: KubernetesVersion) -> bool {
        self.minor == version.minor && self.patch.is_none_or(|patch| patch == version.patch)
    }
}

impl FromStr for VersionRequest {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseVersionError(text.to_owned());
        let number = |part: &str| -> Option<u16> {
            let canonical = part == "0" || !part.starts_with('0');
            (canonical && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok()).flatten()
        };
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let major = parts.next().and_then(number).ok_or_else(bad)?;
        let minor = parts.next().and_then(number).ok_or_else(bad)?;
        let patch = parts.next().map(|part| number(part).ok_or_else(bad)).transpose()?;
        if major != 1 || parts.next().is_some() {
            return Err(bad());
        }
        Ok(Self { minor, patch })
    }
}

impl FromStr for KubernetesVersion {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let request: VersionRequest = text.parse()?;
        let patch = request.patch.ok_or_else(|| ParseVersionError(text.to_owned()))?;
        Ok(Self { minor: request.minor, patch })
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}.{}", self.minor, self.patch)
    }
}

impl fmt::Display for VersionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.patch {
            Some(patch) => write!(f, "1.{}.{patch}", self.minor),
            None => write!(f, "1.{}", self.minor),
        }
    }
}

impl Serialize for KubernetesVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KubernetesVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_versions() {
        let request: VersionRequest = "1.34".parse().expect("valid");
        assert!(request.accepts("v1.34.2".parse().expect("valid")));
        assert!(!request.accepts("1.33.2".parse().expect("valid")));
        for bad in ["", "1", "2.1", "1.34.2.1", "1.34.x", "1.+4", "1.034", "1.34-rc1", "1.99999"] {
            assert!(bad.parse::<VersionRequest>().is_err(), "{bad}");
        }
        assert!("1.34".parse::<KubernetesVersion>().is_err());
        let version = |text: &str| text.parse::<KubernetesVersion>().expect("valid");
        assert!(version("1.9.0") < version("1.10.0"));
    }
}
