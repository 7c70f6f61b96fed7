//! Small images with real layers, in the formats that registries hold.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use khimg::digest::Digest;
use serde_json::{Value, json};

pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// An image for one platform.
#[derive(Clone)]
pub struct TestImage {
    pub layers: Vec<Vec<u8>>,
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
    pub manifest_type: String,
}

impl TestImage {
    /// An image whose layers hold one file each, in docker's (`manifest_type`) or OCI's format.
    pub fn new(manifest_type: &str, arch: &str, contents: &[&[u8]]) -> Self {
        let docker = manifest_type == DOCKER_MANIFEST;
        let tars: Vec<Vec<u8>> = contents.iter().map(|content| layer(content)).collect();
        let diff_ids: Vec<String> = tars.iter().map(|tar| Digest::of(tar).to_string()).collect();
        let config = json!({
            "architecture": arch,
            "os": "linux",
            "created": "2000-01-01T00:00:00Z",
            "config": {"Entrypoint": ["/pause"], "Env": ["PATH=/"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": contents.iter().map(|_| json!({"created": "2000-01-01T00:00:00Z"})).collect::<Vec<_>>(),
        });
        let config = config.to_string().into_bytes();
        let layers: Vec<Vec<u8>> = tars.iter().map(|tar| gzip(tar)).collect();
        let (config_type, layer_type) = if docker {
            ("application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip")
        } else {
            ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip")
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": descriptor(config_type, &config),
            "layers": layers.iter().map(|layer| descriptor(layer_type, layer)).collect::<Vec<_>>(),
        });
        // Registries serve what was pushed, byte for byte; the odd white space proves that nobody writes it anew.
        let manifest = serde_json::to_vec_pretty(&manifest).expect("JSON");
        Self { layers, config, manifest, manifest_type: manifest_type.to_owned() }
    }

    /// The digest of its manifest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    /// The digest of its configuration, which docker and the kubelet call the image's id.
    pub fn id(&self) -> Digest {
        Digest::of(&self.config)
    }

    /// Its entry in an index.
    pub fn entry(&self, platform: &Value) -> Value {
        let mut entry = descriptor(&self.manifest_type, &self.manifest);
        entry["platform"] = platform.clone();
        entry
    }
}

/// An index of the given entries.
pub fn index(media_type: &str, entries: &[Value]) -> Vec<u8> {
    json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).to_string().into_bytes()
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "size": bytes.len(), "digest": Digest::of(bytes)})
}

fn layer(content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, format!("file-{}", Digest::of(content).short()), content).expect("in memory");
    tar.into_inner().expect("in memory")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}
