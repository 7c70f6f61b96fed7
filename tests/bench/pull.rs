//! The six images of a Kubernetes control plane from a real registry on this machine, against skopeo.
//!
//! khimg runs as `khimg fetch` with everything but the images in its store, so its time holds reading the project and looking
//! at the packages too. skopeo copies one image at a time, so it runs six times; also all six at once, to be fair.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use khimg::digest::Digest;
use khimg::lock::{self, Image};
use khimg::registry::{ArchiveError, ImageArchive};
use khimg::store::{Store, Verified};

use crate::figure::{Figure, median, time};
use crate::program::{khimg, run};
use crate::support::daemon::available;
use crate::support::lab::lab;
use crate::support::sandbox::Sandbox;

const ROUNDS: usize = 5;

pub fn measure() -> Vec<Figure> {
    if !available(&["skopeo"]) {
        return Vec::new();
    }
    let sandbox = Sandbox::new();
    sandbox.write("cluster.yaml", lab().cluster());
    run(&mut khimg(&sandbox, &["lock"]));
    run(&mut khimg(&sandbox, &["fetch"]));
    let images = lock::read(&sandbox.path("khimg.lock")).expect("a lock").images;
    let mut times = [const { Vec::new() }; 6];
    for _ in 0..ROUNDS {
        forget(&sandbox, &images);
        times[0].push(run(&mut khimg(&sandbox, &["fetch"])));
        times[1].push(time(|| skopeo(&sandbox, &images, "dir", false)));
        times[2].push(time(|| skopeo(&sandbox, &images, "dir", true)));
        times[3].push(time(|| archives(&sandbox, &images)));
        times[4].push(time(|| skopeo(&sandbox, &images, "oci-archive", false)));
        times[5].push(time(|| skopeo(&sandbox, &images, "oci-archive", true)));
    }
    let [fetch, dir, dirs, write, archive, archives] = times.map(median);
    let count = images.len();
    vec![
        Figure::times(format!("{count} images pulled: skopeo copy to dir:, one by one"), fetch, dir, 0.5),
        Figure::times("  the same: six skopeo at once", fetch, dirs, None),
        Figure::times(
            format!("{count} images to archives: skopeo copy to oci-archive:, one by one"),
            fetch + write,
            archive,
            0.5,
        ),
        Figure::times("  the same: six skopeo at once", fetch + write, archives, None),
    ]
}

/// Takes the images out of the store.
fn forget(sandbox: &Sandbox, images: &[Image]) {
    let store = Store::open(&sandbox.store()).expect("a store");
    for blob in images.iter().flat_map(|image| image.layers.iter().chain([&image.manifest, &image.config])) {
        // Images share layers.
        if let Some(found) = store.get(&blob.sha256).expect("a store") {
            fs::remove_file(found.path()).expect("a blob");
        }
    }
}

/// One archive for each image from the store, each byte proven once more.
fn archives(sandbox: &Sandbox, images: &[Image]) {
    let store = Store::open(&sandbox.store()).expect("a store");
    for (number, image) in images.iter().enumerate() {
        let mut blobs = Vec::new();
        for blob in [&image.manifest, &image.config].into_iter().chain(&image.layers) {
            blobs.push(store.get(&blob.sha256).expect("a store").expect("fetched"));
        }
        let find = |digest: &Digest| blobs.iter().find(|blob: &&Verified| blob.digest() == *digest).ok_or(Missing);
        let archive = ImageArchive::new::<Missing>(image, find).unwrap_or_else(|_| panic!("{}", image.name));
        let mut file = File::create(sandbox.path(format!("{number}.tar"))).expect("a file");
        archive.write(&mut file).expect("written");
    }
}

/// Why an archive cannot be begun; which cannot happen here.
struct Missing;

impl From<ArchiveError> for Missing {
    fn from(_: ArchiveError) -> Self {
        Self
    }
}

fn skopeo(sandbox: &Sandbox, images: &[Image], kind: &str, at_once: bool) {
    let registry = &lab().registry;
    let mut running = Vec::new();
    for (number, image) in images.iter().enumerate() {
        let to = sandbox.path(format!("{kind}-{number}"));
        remove(&to);
        let from = format!("docker://{registry}/{}@{}", repository(image), image.manifest.sha256);
        let mut command = Command::new("skopeo");
        command.args(["copy", "--quiet", "--src-tls-verify=false", &from, &format!("{kind}:{}", to.display())]);
        let mut child = command.spawn().expect("skopeo starts");
        if at_once {
            running.push(child);
        } else {
            assert!(child.wait().expect("a child").success(), "{command:?}");
        }
    }
    for mut child in running {
        assert!(child.wait().expect("a child").success(), "skopeo failed");
    }
}

/// Where the tests' registry has an image: below one name, as mirrors have it.
fn repository(image: &Image) -> String {
    let name = image.repository.rsplit('/').next().unwrap_or_default();
    format!("google_containers/{name}")
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).expect("removed");
    } else if path.exists() {
        fs::remove_file(path).expect("removed");
    }
}
