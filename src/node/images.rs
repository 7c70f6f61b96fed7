//! Container images, from the bundle's archives into the runtime's own store.

use super::command;
use super::error::NodeError;
use super::status::Journal;
use super::unpack::Unpacked;
use crate::pack::contents::{Contents, ImageEntry};

/// The runtime that a bundle brings, by its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Containerd,
    Docker,
}

impl Engine {
    /// The one that `contents` enables. Docker brings a containerd too, but Kubernetes does not look into that.
    pub(super) fn of(contents: &Contents) -> Option<Self> {
        let enables = |unit: &str| contents.units.enable.iter().any(|name| name == unit);
        [Self::Docker, Self::Containerd].into_iter().find(|engine| enables(engine.unit()))
    }

    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Containerd => "containerd.service",
            Self::Docker => "docker.service",
        }
    }

    /// Directories below which its own configuration lies.
    pub(super) fn configuration(self) -> &'static [&'static str] {
        match self {
            Self::Containerd => &["/etc/containerd/", "/etc/systemd/system/containerd.service.d/"],
            Self::Docker => &["/etc/docker/", "/etc/systemd/system/docker.service.d/"],
        }
    }

    /// Every image that it has, one in each line.
    fn list(self) -> Result<String, NodeError> {
        match self {
            // Reference, type, digest of the manifest, …
            Self::Containerd => command::output("ctr", &["--namespace", "k8s.io", "images", "list"]),
            Self::Docker => {
                command::output("docker", &["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"])
            }
        }
    }

    /// Whether a line of its list is this image.
    fn lists(self, line: &str, image: &ImageEntry) -> bool {
        let mut words = line.split_whitespace();
        let name = words.next();
        match self {
            Self::Containerd => {
                name == Some(image.name.as_str()) && words.any(|word| word == image.manifest.to_string())
            }
            // An id is the digest of the configuration; with containerd's store below Docker, that of the manifest.
            Self::Docker => {
                name == Some(familiar(&image.name))
                    && words.any(|word| [image.config, image.manifest].iter().any(|digest| digest.to_string() == word))
            }
        }
    }

    fn load(self, archive: &str) -> Result<String, NodeError> {
        match self {
            Self::Containerd => command::output("ctr", &["--namespace", "k8s.io", "images", "import", archive]),
            Self::Docker => command::output("docker", &["load", "--quiet", "--input", archive]),
        }
    }
}

/// A name as Docker tells it: its own registry is left out.
fn familiar(name: &str) -> &str {
    let short = name.strip_prefix("docker.io/").unwrap_or(name);
    short.strip_prefix("library/").unwrap_or(short)
}

/// Imports what the running `engine` does not have. Gives how many that were.
pub(super) fn import(engine: Engine, bundle: &Unpacked, journal: &Journal<'_>) -> Result<usize, NodeError> {
    let listed = engine.list()?;
    let mut imported = 0;
    for image in &bundle.contents.images {
        if listed.lines().any(|line| engine.lists(line, image)) {
            continue;
        }
        journal.note(format!("importing {}", image.name));
        engine.load(&bundle.path.join(&image.file).display().to_string())?;
        imported += 1;
    }
    Ok(imported)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn image(name: &str) -> ImageEntry {
        let (manifest, config) = (Digest::of(b"manifest"), Digest::of(b"config"));
        let entry = serde_json::json!({
            "name": name, "file": "images/x.tar", "manifest": manifest, "config": config,
            "source": "x", "repository": "x", "proof": "tag",
        });
        serde_json::from_value(entry).expect("an entry")
    }

    #[test]
    fn an_image_is_known_by_name_and_digest() {
        let (manifest, config, other) = (Digest::of(b"manifest"), Digest::of(b"config"), Digest::of(b"other"));
        let pause = image("registry.k8s.io/pause:3.2");
        let line = |digest: Digest| format!("registry.k8s.io/pause:3.2 {digest}");
        for (engine, digest, expected) in [
            (Engine::Docker, config, true),
            (Engine::Docker, manifest, true),
            (Engine::Docker, other, false),
            (Engine::Containerd, manifest, true),
            (Engine::Containerd, config, false),
        ] {
            assert_eq!(engine.lists(&line(digest), &pause), expected, "{engine:?} {digest}");
        }
        let hub = format!("flannel/flannel:v1 {config}");
        assert!(Engine::Docker.lists(&hub, &image("docker.io/flannel/flannel:v1")));
        assert!(!Engine::Containerd.lists(&hub, &image("docker.io/flannel/flannel:v1")));
        assert!(Engine::Docker.lists(&format!("busybox:1 {config}"), &image("docker.io/library/busybox:1")));
    }
}
