//! CycloneDX 1.6 (ECMA-424), JSON. No time of making and no random number: the same bill gives the same bytes.

use serde_json::{Value, json};

use super::{Bill, Key, Kind, Part};
use crate::digest::Digest;
use crate::lock::Proof;

/// The document of one bill.
pub fn document(bill: &Bill) -> Value {
    let components: Vec<Value> = bill.parts.iter().map(|(key, part)| component(key, part)).collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial(&bill.sha256),
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "khimg", "version": env!("CARGO_PKG_VERSION")}]},
            "component": {
                "type": "file",
                "bom-ref": "subject",
                "name": bill.subject,
                "hashes": [{"alg": "SHA-256", "content": bill.sha256.hex()}],
            },
        },
        "components": components,
    })
}

fn component(key: &Key, part: &Part) -> Value {
    let kind = match key.kind {
        Kind::Package => "library",
        Kind::File => "file",
        Kind::Image => "container",
    };
    json!({
        "type": kind,
        "bom-ref": format!("{}/{}/{}", key.kind.name(), key.target, key.name),
        "name": key.name,
        "version": part.version,
        "purl": purl(key, part),
        "hashes": [{"alg": "SHA-256", "content": part.sha256.hex()}],
        "properties": [
            {"name": "khimg:proof", "value": proof(&part.proof)},
            {"name": "khimg:source", "value": part.source},
        ],
    })
}

fn proof(proof: &Proof) -> String {
    match proof {
        Proof::Signature(fingerprint) => format!("signature {fingerprint}"),
        Proof::Package(fingerprints) => format!("package signature {}", fingerprints.join(" ")),
        Proof::Catalogue => "catalogue".to_owned(),
        Proof::Publisher(path) => format!("publisher {path}"),
        Proof::Tag => "tag".to_owned(),
        Proof::Unsigned => "unsigned".to_owned(),
    }
}

/// Package URL (ECMA-427): types deb and rpm by the system's name, oci for images, generic for plain files.
fn purl(key: &Key, part: &Part) -> String {
    let (version, name) = (escaped(&part.version), escaped(&key.name));
    match key.kind {
        Kind::Package => {
            let system = key.target.split('-').next().unwrap_or_default();
            let kind = if matches!(system, "debian" | "ubuntu") { "deb" } else { "rpm" };
            let arch = key.target.rsplit('-').next().unwrap_or_default();
            format!("pkg:{kind}/{system}/{name}@{version}?arch={arch}")
        }
        Kind::File => format!("pkg:generic/{name}@{version}?checksum=sha256:{}", part.sha256.hex()),
        Kind::Image => {
            let short = key.name.rsplit('/').next().unwrap_or(&key.name).to_lowercase();
            let (digest, arch) = (escaped(&part.sha256.to_string()), &key.target);
            format!("pkg:oci/{}@{digest}?arch={arch}&repository_url={name}&tag={version}", escaped(&short))
        }
    }
}

/// Percent-encoded but for what a package URL leaves as it is.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A UUID of the subject's digest (RFC 9562 §5.8, version 8).
fn serial(digest: &Digest) -> String {
    let hex = digest.hex();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    format!("urn:uuid:{}-{}-8{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}
