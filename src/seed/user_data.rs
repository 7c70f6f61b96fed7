//! `user-data`: a cloud-config document, built from types.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};
use serde::Serialize;

use super::{BundleRef, DepotFile, STAGE0_CONF, SeedError, yaml};
use crate::cloud_init::{self, Kind, Part, schema};
use crate::cluster::{Cluster, Node};
use crate::render::NodeFiles;
use crate::render::tree::Mode;
use crate::secrets::Secret;

/// Where a bundle may lie on the machine itself: put there by whoever made its image, or on a mounted medium.
const MEDIA: &str = "/var/lib/khimg/depot /media/* /mnt/* /run/live/medium /cdrom";

/// Everything that stage 0 and khimg keep.
const STATE: &str = "/var/lib/khimg";

const STAGE0_UNIT: &str = "khimg-stage0.service";

/// What tells how far the node is.
const REPORT_UNIT: &str = "khimg-report.service";

#[derive(Serialize)]
struct UserData<'a> {
    hostname: &'a str,
    preserve_hostname: bool,
    // khimg writes /etc/hosts, and cloud-init must not write it again at each boot.
    manage_etc_hosts: bool,
    package_update: bool,
    package_upgrade: bool,
    apt: Apt,
    write_files: Vec<WriteFile>,
    runcmd: Vec<Vec<&'static str>>,
}

#[derive(Serialize)]
struct Apt {
    preserve_sources_list: bool,
}

#[derive(Serialize)]
struct WriteFile {
    path: String,
    owner: &'static str,
    permissions: &'static str,
    encoding: &'static str,
    content: String,
}

/// How files are written into user-data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Each compressed by itself: small, and readable by everybody.
    Packed,
    /// As they are: for user-data that is compressed as a whole, which is smaller still.
    Text,
}

pub(super) fn render(
    cluster: &Cluster,
    node: &Node,
    files: &NodeFiles,
    bundle: &BundleRef,
    content: Content,
) -> Result<Secret<String>, SeedError> {
    let mut write_files = Vec::new();
    for (path, entry) in files.public.iter().chain(files.secret.iter()) {
        // Nothing that renders a node's files makes a link.
        write_files.push(write_file(path.as_str(), entry.mode, entry.bytes().unwrap_or_default(), content)?);
    }
    let conf = stage0_conf(cluster, node, bundle)?;
    write_files.push(write_file(STAGE0_CONF, Mode::Plain, conf.as_bytes(), content)?);
    write_files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut units = vec![STAGE0_UNIT];
    units.extend(cluster.seeding.reports.as_ref().map(|_| REPORT_UNIT));
    let started = [vec!["systemctl", "enable"], vec!["systemctl", "restart", "--no-block"]];
    let started = started.into_iter().map(|words| words.into_iter().chain(units.iter().copied()).collect());
    let data = UserData {
        hostname: &node.name,
        preserve_hostname: false,
        manage_etc_hosts: false,
        package_update: false,
        package_upgrade: false,
        apt: Apt { preserve_sources_list: true },
        write_files,
        // In the background: cloud-init's last stage must end even if the bundle is not there yet.
        runcmd: [vec!["systemctl", "daemon-reload"]].into_iter().chain(started).collect(),
    };
    validate(node, &data)?;
    let text = Secret::new(format!("#cloud-config\n{}", yaml("user-data", &data)?));
    if cluster.seeding.user_data.is_empty() {
        return Ok(text);
    }
    let own = Part { name: "khimg.yaml".to_owned(), kind: Kind::CloudConfig, text };
    Ok(cloud_init::multipart(&own, &cluster.seeding.user_data))
}

/// What cloud-init's schema refuses would be skipped on the node.
fn validate(node: &Node, data: &UserData<'_>) -> Result<(), SeedError> {
    // Texts, truth values and lists: nothing that JSON could not hold.
    let value = serde_json::to_value(data).unwrap_or_default();
    match schema::check(&value).into_iter().next() {
        None => Ok(()),
        Some(flaw) => Err(SeedError::Schema { node: node.name.clone(), flaw: flaw.to_string() }),
    }
}

fn write_file(path: &str, mode: Mode, bytes: &[u8], content: Content) -> Result<WriteFile, SeedError> {
    let packed = |source| SeedError::Compress { path: path.to_owned(), source };
    let (encoding, content) = match (content, std::str::from_utf8(bytes)) {
        (Content::Text, Ok(text)) => ("text/plain", text.to_owned()),
        (Content::Text, Err(_)) => ("b64", STANDARD.encode(bytes)),
        (Content::Packed, _) => ("gz+b64", STANDARD.encode(gzip(bytes).map_err(packed)?)),
    };
    Ok(WriteFile {
        path: path.to_owned(),
        owner: "root:root",
        // Text, not a number: YAML 1.1 would read it as an octal one, YAML 1.2 as a decimal one.
        permissions: match mode {
            Mode::Plain => "0644",
            Mode::Program => "0755",
            Mode::Private => "0600",
        },
        encoding,
        content,
    })
}

/// Gzip without a time or a system in its header, so that the same bytes come out everywhere.
pub(super) fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::new(9));
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// What stage 0 reads: assignments of a shell.
fn stage0_conf(cluster: &Cluster, node: &Node, bundle: &BundleRef) -> Result<String, SeedError> {
    let mut depots = Vec::new();
    for depot in &cluster.depots {
        depots.push(plain("the depot", depot)?.trim_end_matches('/'));
    }
    let mut text = format!("NODE='{}'\nSTATE='{STATE}'\nMEDIA='{MEDIA}'\n", plain("the node", &node.name)?);
    text.push_str(&format!("DEPOTS='{}'\n# 0: for ever\nATTEMPTS='0'\n", depots.join(" ")));
    for (name, DepotFile { path, sha256, size }) in [("BUNDLE", &bundle.bundle), ("PROGRAM", &bundle.program)] {
        let path = plain("the path", path)?;
        text.push_str(&format!("{name}='{path}'\n{name}_SHA256='{}'\n{name}_SIZE='{size}'\n", sha256.hex()));
    }
    if cluster.has_registry_depot() {
        let pieces: Vec<String> =
            bundle.pieces.iter().map(|(sha256, size)| format!("{}:{size}", sha256.hex())).collect();
        text.push_str(&format!("BUNDLE_PIECES='{}'\n", pieces.join(" ")));
    }
    Ok(text)
}

/// `text`, if it means the same in single quotes and after the shell has split it.
fn plain<'a>(what: &'static str, text: &'a str) -> Result<&'a str, SeedError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "./:_~%+,=@-[]".contains(c);
    if !text.is_empty() && text.chars().all(fine) {
        Ok(text)
    } else {
        Err(SeedError::BadText { what, text: text.to_owned() })
    }
}
