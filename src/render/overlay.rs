//! The overlay files: built in, and a user's own above them, file by file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::layer::{Declaration, FILE_NAME, LayerFile};
use super::tree::TargetPath;
use crate::config::{Document, Problems};
use crate::exit::{Exit, Explain};
use crate::{input, shipped};

/// A larger one is no configuration file.
const LIMIT: u64 = 1 << 20;

const TEMPLATE: &str = ".j2";

/// All layers by name.
#[derive(Debug, Clone)]
pub struct Overlays {
    layers: BTreeMap<String, Layer>,
}

/// One layer, its files and declarations matched.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What it is for.
    pub description: String,
    /// Its files.
    pub files: BTreeMap<TargetPath, LayerEntry>,
}

/// One file of a layer, not yet rendered.
#[derive(Debug, Clone)]
pub struct LayerEntry {
    /// What `layer.yaml` says about it.
    pub declaration: Declaration,
    /// Whether it is a template.
    pub template: bool,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where it comes from: `overlays/base/etc/hosts.j2`, or a path on this machine.
    pub origin: String,
}

/// A file as found, before it is matched with a declaration.
struct Found {
    bytes: Vec<u8>,
    origin: String,
}

/// Why the overlays cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// A file or directory of the user's cannot be read.
    #[error("cannot read the overlay {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Something that is not a plain file with a usable name.
    #[error("the overlay {} {fault}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A layer without a declaration.
    #[error("the overlay layer {layer:?} has files but no {FILE_NAME}")]
    NoDeclaration {
        /// The layer.
        layer: String,
    },
    /// The declaration cannot be read.
    #[error(transparent)]
    Malformed(#[from] Problems),
    /// A declaration contradicts itself.
    #[error("{origin}: {path}: {fault}")]
    Contradiction {
        /// The declaration.
        origin: String,
        /// The file that it is about.
        path: String,
        /// What is wrong.
        fault: String,
    },
    /// A file that nobody declared.
    #[error("{origin} is not declared in the {FILE_NAME} of the layer {layer:?}")]
    Undeclared {
        /// The file.
        origin: String,
        /// Its layer.
        layer: String,
        /// Its path on a node.
        path: String,
    },
    /// A declaration without a file.
    #[error("{origin} declares {path}, but the layer {layer:?} has no such file")]
    Absent {
        /// The declaration.
        origin: String,
        /// The path on a node.
        path: String,
        /// The layer.
        layer: String,
    },
}

impl Explain for OverlayError {
    fn exit(&self) -> Exit {
        match self {
            Self::Read { .. } => Exit::LocalIo,
            Self::Malformed(problems) => problems.exit(),
            _ => Exit::BadInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Undeclared { layer, path, .. } => {
                Some(format!("add `{path}: {{}}` under `files:` in {layer}/{FILE_NAME}, or remove the file"))
            }
            Self::Absent { path, layer, .. } => {
                Some(format!("add {layer}{path} or {layer}{path}{TEMPLATE}, or remove its declaration"))
            }
            Self::NoDeclaration { layer } => {
                Some(format!("write {layer}/{FILE_NAME}; `khimg overlay show base` prints one"))
            }
            _ => None,
        }
    }
}

impl Overlays {
    /// The built-in overlays, with the user's directory of the same shape searched first, file by file.
    ///
    /// # Errors
    /// The user's directory cannot be read, or files and declarations do not match.
    pub fn load(user: Option<&Path>) -> Result<Self, OverlayError> {
        let built_in = shipped::overlays().into_iter();
        let mut found: BTreeMap<String, Found> = built_in
            .map(|(key, bytes)| (key.to_owned(), Found { bytes: bytes.to_vec(), origin: format!("overlays/{key}") }))
            .collect();
        if let Some(user) = user {
            for (key, file) in read_directory(user)? {
                // The user may have made a template of a plain file, or the other way round.
                let twin = key.strip_suffix(TEMPLATE).map_or_else(|| format!("{key}{TEMPLATE}"), str::to_owned);
                found.remove(&twin);
                found.insert(key, file);
            }
        }
        Self::assemble(found)
    }

    /// The layer of this name.
    pub fn layer(&self, name: &str) -> Option<&Layer> {
        self.layers.get(name)
    }

    /// All layers by name.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &Layer)> {
        self.layers.iter().map(|(name, layer)| (name.as_str(), layer))
    }

    fn assemble(found: BTreeMap<String, Found>) -> Result<Self, OverlayError> {
        let mut by_layer: BTreeMap<String, BTreeMap<String, Found>> = BTreeMap::new();
        for (key, file) in found {
            let Some((layer, path)) = key.split_once('/') else {
                let fault = "lies beside the layers instead of in one";
                return Err(OverlayError::Unusable { path: file.origin.into(), fault });
            };
            by_layer.entry(layer.to_owned()).or_default().insert(path.to_owned(), file);
        }
        let mut layers = BTreeMap::new();
        for (name, files) in by_layer {
            let layer = Layer::assemble(&name, files)?;
            layers.insert(name, layer);
        }
        Ok(Self { layers })
    }
}

impl Layer {
    fn assemble(name: &str, mut files: BTreeMap<String, Found>) -> Result<Self, OverlayError> {
        let declared = files.remove(FILE_NAME).ok_or_else(|| OverlayError::NoDeclaration { layer: name.to_owned() })?;
        let origin = declared.origin;
        let text = String::from_utf8(declared.bytes)
            .map_err(|_| OverlayError::Unusable { path: origin.clone().into(), fault: "is not UTF-8" })?;
        let mut declaration: LayerFile = Document::parse(&origin, &text)?.decode()?;

        let mut entries = BTreeMap::new();
        for (path, file) in files {
            let template = path.ends_with(TEMPLATE);
            let target = format!("/{}", path.strip_suffix(TEMPLATE).unwrap_or(&path));
            let contradiction =
                |fault: String| OverlayError::Contradiction { origin: origin.clone(), path: target.clone(), fault };
            let target_path = TargetPath::from_str(&target).map_err(|error| contradiction(error.to_string()))?;
            let Some(declaration) = declaration.files.remove(&target) else {
                let twice = entries.contains_key(&target_path);
                return Err(if twice {
                    contradiction("it is there both as a template and as a plain file".to_owned())
                } else {
                    OverlayError::Undeclared { origin: file.origin, layer: name.to_owned(), path: target }
                });
            };
            if let Some(fault) = declaration.fault() {
                return Err(contradiction(fault.to_owned()));
            }
            let Found { bytes, origin } = file;
            entries.insert(target_path, LayerEntry { declaration, template, bytes, origin });
        }
        if let Some(path) = declaration.files.into_keys().next() {
            return Err(OverlayError::Absent { origin, path, layer: name.to_owned() });
        }
        Ok(Self { description: declaration.description, files: entries })
    }
}

fn read_directory(root: &Path) -> Result<BTreeMap<String, Found>, OverlayError> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
        let entry = entry.map_err(|error| OverlayError::Read {
            path: error.path().unwrap_or(root).to_owned(),
            source: error.into(),
        })?;
        if entry.file_type().is_dir() {
            continue;
        }
        let path = entry.path();
        let unusable = |fault| OverlayError::Unusable { path: path.to_owned(), fault };
        if !entry.file_type().is_file() {
            return Err(unusable("is neither a file nor a directory"));
        }
        let key = path
            .strip_prefix(root)
            .ok()
            .and_then(Path::to_str)
            .ok_or_else(|| unusable("has a name that is not UTF-8"))?;
        let bytes = input::read(path, LIMIT).map_err(|source| OverlayError::Read { path: path.to_owned(), source })?;
        found.insert(key.to_owned(), Found { bytes, origin: path.display().to_string() });
    }
    Ok(found)
}
