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
}

/// Imports what the running `engine` does not have. Gives how many that were.
pub(super) fn import(engine: Engine, bundle: &Unpacked, journal: &Journal<'_>) -> Result<usize, NodeError> {
    let mut imported = 0;
    let listed = match engine {
        Engine::Containerd => command::output("ctr", &["--namespace", "k8s.io", "images", "list"])?,
        Engine::Docker => String::new(),
    };
    for image in &bundle.contents.images {
        let has = match engine {
            Engine::Containerd => listed.lines().any(|line| lists(line, image)),
            // Docker does not tell the digest of a loaded manifest; it skips layers that it has.
            Engine::Docker => false,
        };
        if has {
            continue;
        }
        let archive = bundle.path.join(&image.file).display().to_string();
        journal.note(format!("importing {}", image.name));
        match engine {
            Engine::Containerd => command::output("ctr", &["--namespace", "k8s.io", "images", "import", &archive])?,
            Engine::Docker => command::output("docker", &["load", "--quiet", "--input", &archive])?,
        };
        imported += 1;
    }
    Ok(imported)
}

/// Whether a line of `ctr images list` (reference, type, digest, …) is this image.
fn lists(line: &str, image: &ImageEntry) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some(image.name.as_str()) && words.any(|word| word == image.manifest.to_string())
}
