//! Every image of a bundle imports into a real containerd and loads into a real dockerd, under the name that the lock pins.

use std::path::Path;

use super::packages::unpacked;
use super::roles::built;
use crate::support::containerd::Containerd;
use crate::support::dockerd::Dockerd;

/// Names of the images that the lock gives a master.
fn expected() -> Vec<String> {
    let lock = khimg::lock::read(&built().path("khimg.lock")).expect("a lock");
    let of_master = |image: &&khimg::lock::Image| image.why.iter().any(|why| why.role == khimg::cluster::Role::Master);
    lock.images.iter().filter(of_master).map(|image| image.name.clone()).collect()
}

fn archives(bundle: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(bundle.join("images")).expect("images");
    let mut paths: Vec<String> = entries.map(|entry| entry.expect("an entry").path().display().to_string()).collect();
    paths.sort();
    paths
}

#[test]
fn into_containerd_and_docker() {
    let expected = expected();
    assert_eq!(expected.len(), 6, "{expected:?}");
    let bundle = unpacked("master");
    let archives = archives(bundle.path());
    assert_eq!(archives.len(), expected.len(), "{archives:?}");
    let (Some(containerd), Some(dockerd)) = (Containerd::start(), Dockerd::start()) else { return };
    for archive in &archives {
        containerd.ctr(&["--namespace", "k8s.io", "images", "import", archive]);
        dockerd.docker(&["load", "--input", archive]);
    }
    let imported = containerd.ctr(&["--namespace", "k8s.io", "images", "list", "--quiet"]);
    // As `khimg node` asks: what is told is what the bundle says, so that nothing is loaded twice.
    let loaded = dockerd.docker(&["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]);
    let lock = khimg::lock::read(&built().path("khimg.lock")).expect("a lock");
    for name in &expected {
        assert!(imported.lines().any(|line| line == name), "{name} is not in containerd:\n{imported}");
        let image = lock.images.iter().find(|image| image.name == *name).expect("locked");
        let line = format!("{name} {}", image.config.sha256);
        assert!(loaded.lines().any(|found| found == line), "{line} is not in docker:\n{loaded}");
    }
}
