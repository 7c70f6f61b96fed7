//! Manifests, indices and configurations as bytes from a registry that may say anything.

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde::Deserialize;
use serde::de::IgnoredAny;
use url::Url;

use super::RegistryError;
use crate::arch::Arch;
use crate::digest::Digest;
use crate::lock::Blob;
use crate::net::address::shown;

/// No manifest, index or configuration may be larger (OCI distribution specification 1.1: registries should accept 4 MiB).
pub const LIMIT: u64 = 4 << 20;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// What a request for a manifest says that it understands.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// Layers that both containerd and docker can unpack; the last only with an engine that knows zstd.
const LAYERS: [&str; 5] = [
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
];

/// A parsed document and what it is.
#[derive(Debug)]
pub enum Document {
    /// Lists one manifest for each platform.
    Index(Box<ImageIndex>),
    /// Names a configuration and layers.
    Manifest(Box<ImageManifest>),
}

/// The keys that tell the kinds apart. A document with the marks of two kinds can mean different things to
/// different readers (CVE-2021-41190), so it is refused.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marks {
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
}

/// Parses what `url` answered with the `Content-Type` `declared`; returns its media type too.
///
/// # Errors
/// Everything that is not exactly one image manifest or index in a format of this decade.
pub fn parse(url: &Url, declared: Option<&str>, bytes: &[u8]) -> Result<(String, Document), RegistryError> {
    let malformed = |source| RegistryError::Malformed { url: shown(url), source };
    let declared = declared.map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let unexpected = |media_type: &str| RegistryError::MediaType { url: shown(url), media_type: media_type.to_owned() };
    // Servers of plain files know no better than the generic types; then the document speaks for itself.
    let declared = match declared.as_deref() {
        None | Some("" | "application/json" | "application/octet-stream" | "text/plain") => None,
        Some(known @ (OCI_INDEX | OCI_MANIFEST | DOCKER_LIST | DOCKER_MANIFEST)) => Some(known.to_owned()),
        Some(old) if old.starts_with("application/vnd.docker.distribution.manifest.v1+") => {
            return Err(RegistryError::Schema1 { url: shown(url) });
        }
        Some(other) => return Err(unexpected(other)),
    };
    let marks: Marks = serde_json::from_slice(bytes).map_err(malformed)?;
    if marks.schema_version == 1 || marks.fs_layers.is_some() {
        return Err(RegistryError::Schema1 { url: shown(url) });
    }
    let media_type = match (declared, marks.media_type) {
        (Some(declared), Some(inner)) if declared != inner => return Err(unexpected(&inner)),
        (Some(media_type), _) | (None, Some(media_type)) => media_type,
        (None, None) if marks.manifests.is_some() => OCI_INDEX.to_owned(),
        (None, None) => OCI_MANIFEST.to_owned(),
    };
    let index_marks = marks.manifests.is_some();
    let manifest_marks = marks.layers.is_some() || marks.config.is_some();
    match media_type.as_str() {
        OCI_INDEX | DOCKER_LIST if index_marks && !manifest_marks => {
            Ok((media_type, Document::Index(Box::new(serde_json::from_slice(bytes).map_err(malformed)?))))
        }
        OCI_MANIFEST | DOCKER_MANIFEST if manifest_marks && !index_marks => {
            Ok((media_type, Document::Manifest(Box::new(serde_json::from_slice(bytes).map_err(malformed)?))))
        }
        _ => Err(unexpected(&media_type)),
    }
}

/// The manifest for Linux on `arch` among those that an index lists; the first, should there be several.
///
/// # Errors
/// None there, or its descriptor is not one that can be pinned.
pub fn choose(url: &Url, index: &ImageIndex, arch: Arch) -> Result<Blob, RegistryError> {
    let chosen = index.manifests().iter().find(|descriptor| runs_on(descriptor, arch));
    let Some(chosen) = chosen else {
        let mut offered: Vec<String> = index.manifests().iter().filter_map(platform_name).collect();
        offered.sort();
        offered.dedup();
        return Err(RegistryError::NoPlatform { url: shown(url), arch, offered: offered.join(", ") });
    };
    let blob = pin(url, chosen)?;
    if !matches!(blob.media_type.as_str(), OCI_MANIFEST | DOCKER_MANIFEST) {
        return Err(RegistryError::MediaType { url: shown(url), media_type: blob.media_type });
    }
    if blob.size > LIMIT {
        return Err(RegistryError::TooLarge { url: shown(url), size: blob.size, limit: LIMIT });
    }
    Ok(blob)
}

/// Attestations and artifacts have the platform `unknown/unknown` and so never match.
fn runs_on(descriptor: &Descriptor, arch: Arch) -> bool {
    let Some(platform) = descriptor.platform() else { return false };
    // Every 64-bit Arm is at least v8; later ones may need instructions that the node lacks.
    let variant = match (arch, platform.variant().as_deref()) {
        (_, None | Some("")) | (Arch::Arm64, Some("v8")) | (Arch::Amd64, Some("v1")) => true,
        (Arch::Amd64 | Arch::Arm64, Some(_)) => false,
    };
    platform.os().to_string() == "linux" && platform.architecture().to_string() == arch.name() && variant
}

fn platform_name(descriptor: &Descriptor) -> Option<String> {
    let platform = descriptor.platform().as_ref()?;
    let variant = platform.variant().as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
    Some(format!("{}/{}{variant}", platform.os(), platform.architecture()))
}

/// A descriptor as the lock keeps it.
///
/// # Errors
/// A digest of another algorithm than sha256.
pub fn pin(url: &Url, descriptor: &Descriptor) -> Result<Blob, RegistryError> {
    let text = descriptor.digest().to_string();
    let sha256 = text
        .strip_prefix("sha256:")
        .and_then(|hex| hex.parse::<Digest>().ok())
        .ok_or(RegistryError::Algorithm { url: shown(url), digest: text })?;
    Ok(Blob { media_type: descriptor.media_type().to_string(), size: descriptor.size(), sha256 })
}

/// The configuration and the layers of a manifest, pinned.
///
/// # Errors
/// A layer that a runtime cannot unpack, such as a Helm chart's or one that must not be distributed.
pub fn parts(url: &Url, manifest: &ImageManifest) -> Result<(Blob, Vec<Blob>), RegistryError> {
    let config = pin(url, manifest.config())?;
    if config.size > LIMIT {
        return Err(RegistryError::TooLarge { url: shown(url), size: config.size, limit: LIMIT });
    }
    let mut layers = Vec::with_capacity(manifest.layers().len());
    for descriptor in manifest.layers() {
        let layer = pin(url, descriptor)?;
        if !LAYERS.contains(&layer.media_type.as_str()) {
            return Err(RegistryError::MediaType { url: shown(url), media_type: layer.media_type });
        }
        layers.push(layer);
    }
    Ok((config, layers))
}

/// The digests of the configuration and the layers that an image's manifest names; `None` if it is none.
pub fn digests(manifest: &[u8]) -> Option<Vec<Digest>> {
    let manifest: ImageManifest = serde_json::from_slice(manifest).ok()?;
    let parts = std::iter::once(manifest.config()).chain(manifest.layers());
    parts.map(|part| part.digest().to_string().parse().ok()).collect()
}

/// What khimg reads of an image's configuration.
#[derive(Debug, Deserialize)]
pub struct Config {
    /// Go's name of the architecture.
    pub architecture: String,
    /// Go's name of the operating system.
    pub os: String,
    /// The root file system.
    pub rootfs: RootFs,
}

/// The layers as they are when unpacked.
#[derive(Debug, Deserialize)]
pub struct RootFs {
    /// One digest for each layer, lowest first; null in images without any.
    #[serde(default)]
    pub diff_ids: Option<Vec<String>>,
}

impl Config {
    /// Parses a configuration.
    ///
    /// # Errors
    /// Bytes that are not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// How many layers the image has when unpacked.
    pub fn layers(&self) -> usize {
        self.rootfs.diff_ids.as_ref().map_or(0, Vec::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn url() -> Url {
        Url::parse("https://registry.example/v2/pause/manifests/3.2").expect("valid")
    }

    fn index(platforms: &[(&str, &str, Option<&str>)]) -> ImageIndex {
        let manifests: Vec<_> = platforms
            .iter()
            .enumerate()
            .map(|(number, (os, architecture, variant))| {
                let mut platform = serde_json::json!({"os": os, "architecture": architecture});
                if let Some(variant) = variant {
                    platform["variant"] = (*variant).into();
                }
                serde_json::json!({
                    "mediaType": OCI_MANIFEST, "size": number, "digest": format!("sha256:{HEX}"), "platform": platform,
                })
            })
            .collect();
        let text = serde_json::json!({"schemaVersion": 2, "manifests": manifests}).to_string();
        match parse(&url(), Some(OCI_INDEX), text.as_bytes()) {
            Ok((_, Document::Index(index))) => *index,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_platform_decides() {
        let list = index(&[
            ("unknown", "unknown", None),
            ("linux", "arm", Some("v7")),
            ("windows", "amd64", None),
            ("linux", "amd64", Some("v3")),
            ("linux", "amd64", None),
            ("linux", "arm64", Some("v8")),
        ]);
        assert_eq!(choose(&url(), &list, Arch::Amd64).map(|blob| blob.size).ok(), Some(4));
        assert_eq!(choose(&url(), &list, Arch::Arm64).map(|blob| blob.size).ok(), Some(5));
        let bare = index(&[("linux", "arm64", None)]);
        assert_eq!(choose(&url(), &bare, Arch::Arm64).map(|blob| blob.size).ok(), Some(0));
        let error = choose(&url(), &bare, Arch::Amd64).expect_err("no such platform");
        assert!(error.to_string().contains("linux/arm64"), "{error}");
        assert!(choose(&url(), &index(&[("unknown", "unknown", None)]), Arch::Amd64).is_err());
        assert!(choose(&url(), &index(&[]), Arch::Amd64).is_err());
    }

    #[test]
    fn kinds_are_told_apart() {
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"x/y","size":1,"digest":"sha256:{HEX}"}},"layers":[]}}"#
        );
        let both = manifest.replace(r#""layers":[]"#, r#""layers":[],"manifests":[]"#);
        let typed =
            manifest.replace(r#""schemaVersion":2"#, &format!(r#""schemaVersion":2,"mediaType":"{OCI_INDEX}""#));
        let schema1 = r#"{"schemaVersion":1,"name":"pause","fsLayers":[]}"#;
        let kind = |declared: Option<&str>, text: &str| match parse(&url(), declared, text.as_bytes()) {
            Ok((_, Document::Index(_))) => "index",
            Ok((_, Document::Manifest(_))) => "manifest",
            Err(RegistryError::Schema1 { .. }) => "schema1",
            Err(RegistryError::MediaType { .. }) => "media type",
            Err(RegistryError::Malformed { .. }) => "malformed",
            Err(other) => panic!("{other}"),
        };
        for (declared, text, expected) in [
            (Some(OCI_MANIFEST), manifest.as_str(), "manifest"),
            (Some("application/vnd.docker.distribution.manifest.v2+json; charset=utf-8"), &manifest, "manifest"),
            (None, &manifest, "manifest"),
            (Some("application/octet-stream"), &manifest, "manifest"),
            (Some(OCI_INDEX), &manifest, "media type"),
            (Some(OCI_MANIFEST), &typed, "media type"),
            (Some("text/html"), &manifest, "media type"),
            (Some(OCI_MANIFEST), &both, "media type"),
            (None, &both, "media type"),
            (Some("application/vnd.docker.distribution.manifest.v1+prettyjws"), schema1, "schema1"),
            (Some("application/json"), schema1, "schema1"),
            (Some(OCI_MANIFEST), "<html>", "malformed"),
            (Some(OCI_MANIFEST), "{}", "malformed"),
        ] {
            assert_eq!(kind(declared, text), expected, "{declared:?} {text}");
        }
    }

    #[test]
    fn only_sha256_can_be_pinned() {
        let descriptor: Descriptor = serde_json::from_value(serde_json::json!({
            "mediaType": "x/y", "size": 1, "digest": format!("sha512:{HEX}{HEX}"),
        }))
        .expect("a descriptor");
        assert!(matches!(pin(&url(), &descriptor), Err(RegistryError::Algorithm { .. })));
    }
}
