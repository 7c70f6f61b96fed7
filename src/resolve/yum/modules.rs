//! `modules.yaml`: packages of Enterprise Linux 8 that come in several streams, of which one is the default (libmodulemd's
//! modulemd-v2 and modulemd-defaults-v1).
//!
//! khimg enables no module, so that the default streams count, as with dnf on a fresh machine: packages of other streams are not
//! there, and where a default stream has a package of some name, no other package of that name is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Read};

use serde::Deserialize;

use crate::resolve::index::Package;

/// Most bytes of a `modules.yaml`. That of CentOS Stream 8 has 8 MB.
const MAX_TEXT: u64 = 64 << 20;

/// What modules say of packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modules {
    /// `name-epoch:version-release.arch` of packages of streams that are no defaults.
    inactive: BTreeSet<String>,
    /// Name → the packages of default streams.
    active: BTreeMap<String, BTreeSet<String>>,
}

/// A `modules.yaml` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadModules {
    /// It cannot be read or is no text.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// A document that does not follow the format.
    #[error("document {number}: {why}")]
    Document {
        /// Number of the document, from 1.
        number: usize,
        /// Why not.
        why: String,
    },
}

#[derive(Deserialize)]
struct Document {
    document: String,
    data: Data,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Data {
    /// Of `modulemd`.
    name: Option<String>,
    /// Of `modulemd-defaults`.
    module: Option<String>,
    stream: Option<String>,
    artifacts: Artifacts,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Artifacts {
    rpms: Vec<String>,
}

impl Modules {
    /// Reads a `modules.yaml`.
    ///
    /// # Errors
    /// What does not follow the format; limits; those of the reader.
    pub fn parse(yaml: impl BufRead) -> Result<Self, BadModules> {
        let mut text = String::new();
        yaml.take(MAX_TEXT + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MAX_TEXT {
            return Err(io::Error::other(format!("it has more than {MAX_TEXT} bytes")).into());
        }
        let mut streams: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        let mut defaults: BTreeMap<String, String> = BTreeMap::new();
        // One by one: the whole would be beyond what the parser allows a text of unknown origin.
        let documents = text.split("\n---").map(|document| document.trim_start_matches("---"));
        for (number, document) in documents.filter(|document| !document.trim().is_empty()).enumerate() {
            let found: Document = serde_saphyr::from_str(document)
                .map_err(|error| BadModules::Document { number: number + 1, why: error.to_string() })?;
            let Data { name, module, stream, artifacts } = found.data;
            match (found.document.as_str(), name, module, stream) {
                ("modulemd", Some(name), _, Some(stream)) => {
                    streams.entry((name, stream)).or_default().extend(artifacts.rpms);
                }
                ("modulemd-defaults", _, Some(module), Some(stream)) => drop(defaults.insert(module, stream)),
                _ => {}
            }
        }
        let mut modules = Self::default();
        for ((module, stream), rpms) in streams {
            for rpm in rpms {
                if defaults.get(&module) == Some(&stream) {
                    if let Some(name) = name(&rpm) {
                        modules.active.entry(name.to_owned()).or_default().insert(rpm);
                    }
                } else {
                    modules.inactive.insert(rpm);
                }
            }
        }
        Ok(modules)
    }

    /// Adds what the modules of another repository say.
    pub fn extend(&mut self, other: &Self) {
        self.inactive.extend(other.inactive.iter().cloned());
        for (name, rpms) in &other.active {
            self.active.entry(name.clone()).or_default().extend(rpms.iter().cloned());
        }
    }

    /// Whether a machine on which no module is enabled does not see this package.
    pub fn hides(&self, package: &Package<'_>) -> bool {
        if self.inactive.is_empty() && self.active.is_empty() {
            return false;
        }
        let epoch = if package.version.contains(':') { "" } else { "0:" };
        let own = format!("{}-{epoch}{}.{}", package.name, package.version, package.arch);
        match self.active.get(package.name) {
            Some(rpms) => !rpms.contains(&own),
            None => self.inactive.contains(&own),
        }
    }
}

/// The name of `name-epoch:version-release.arch`.
fn name(nevra: &str) -> Option<&str> {
    let (rest, _release) = nevra.rsplit_once('-')?;
    rest.rsplit_once('-').map(|(name, _version)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "---\ndocument: modulemd\nversion: 2\ndata:\n  name: tools\n  stream: \"1\"\n  summary: >-\n    some\n  artifacts:\n    rpms:\n    - \
        runc-1:1.0-1.noarch\n    - a-b-0:1.0-1.x86_64\n...\n---\ndocument: modulemd\nversion: 2\ndata:\n  name: tools\n  stream: \"2\"\n  artifacts:\n    \
        rpms:\n    - runc-1:2.0-1.noarch\n...\n---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: tools\n  stream: \"1\"\n  profiles:\n    \
        \"1\": [common]\n...\n";

    #[test]
    fn reads_streams_and_defaults() {
        let modules = Modules::parse(TEXT.as_bytes()).expect("sound");
        assert_eq!(modules.inactive.iter().collect::<Vec<_>>(), ["runc-1:2.0-1.noarch"]);
        assert_eq!(modules.active.keys().collect::<Vec<_>>(), ["a-b", "runc"]);
        assert!(Modules::parse(&b"---\ndocument: [\n"[..]).is_err());
        assert_eq!(Modules::parse(&b""[..]).expect("empty"), Modules::default());
    }
}
