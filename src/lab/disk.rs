//! A node's disk: a file system of its own in a sparse file, so that it can be full, wiped and thrown away like a real one.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::error::LabError;
use super::machine::SEED;
use super::record::Lab;
use super::{mounts, place, program};
use crate::shipped;

/// Directories that programs on a node put overlays of their own into, or flush all the time: these lie on the disk itself, not
/// in the overlay over the base.
const PLAIN: [&str; 4] = ["/var/lib/containerd", "/var/lib/docker", "/var/lib/etcd", "/var/lib/kubelet"];

/// Where cloud-init's NoCloud data source finds its seed without a disk or a network.
const SEED_DIRECTORY: &str = "var/lib/cloud/seed/nocloud";

/// What takes the room on a full disk.
const FILLER: &str = "full";

/// The overlay layer with what a machine that is a container needs beside its bundle.
const LAYER: &str = "lab/";

/// Mounts the node's disk and its root on it; makes both if need be.
pub(super) fn attach(lab: &Lab, node: &str) -> Result<(), LabError> {
    let (own, root) = (lab.place.node(node), lab.root(node));
    if mounts::all()?.iter().any(|mount| mount.path == root) {
        return Ok(());
    }
    let base = lab.base(node)?;
    let disk = own.join("disk");
    for directory in [&own, &disk, &root] {
        place::private_directory(directory)?;
    }
    // systemd-nspawn and the node's programs look at it from inside.
    fs::set_permissions(&root, Permissions::from_mode(0o755)).map_err(LabError::io("open up", &root))?;
    let image = own.join("disk.img");
    let fresh = !image.exists();
    if fresh {
        format(&image, lab.record.disk)?;
    }
    // Nothing is flushed to the real disk: power that a node loses, this machine keeps, and with it every page.
    let options = "loop,noatime,nobarrier,noinit_itable";
    program::run(
        "mount",
        &["-t".as_ref(), "ext4".as_ref(), "-o".as_ref(), options.as_ref(), image.as_os_str(), disk.as_os_str()],
    )?;
    for name in ["upper", "work"] {
        make_directory(&disk.join(name))?;
    }
    for path in PLAIN {
        make_directory(&plain(&disk, path))?;
    }
    let overlay = format!(
        "lowerdir={},upperdir={},workdir={}",
        escaped(base),
        escaped(&disk.join("upper")),
        escaped(&disk.join("work"))
    );
    program::run(
        "mount",
        &["-t".as_ref(), "overlay".as_ref(), "-o".as_ref(), overlay.as_ref(), "overlay".as_ref(), root.as_os_str()],
    )?;
    if fresh { furnish(lab, node, &root) } else { Ok(()) }
}

/// Throws the disk away.
pub(super) fn wipe(lab: &Lab, node: &str) -> Result<(), LabError> {
    let own = lab.place.node(node);
    mounts::remove_below(&own)?;
    place::remove(&own.join("disk.img"))
}

/// The directories that are bound into the node's root: where on the disk, and where on the node.
pub(super) fn plain_directories(lab: &Lab, node: &str) -> impl Iterator<Item = (PathBuf, &'static str)> {
    let disk = lab.place.node(node).join("disk");
    PLAIN.into_iter().map(move |path| (plain(&disk, path), path))
}

fn plain(disk: &Path, path: &str) -> PathBuf {
    disk.join(path.trim_start_matches('/').replace('/', "-"))
}

/// Takes all the room that the disk has left. Costs next to nothing of the real one: blocks that are only reserved in the
/// node's file system are never written.
pub(super) fn fill(lab: &Lab, node: &str) -> Result<(), LabError> {
    let path = lab.place.node(node).join("disk").join(FILLER);
    let file = File::options().create(true).append(true).open(&path).map_err(LabError::io("open", &path))?;
    let mut piece: u64 = 1 << 32;
    while piece >= 4096 {
        let end = file.metadata().map_err(LabError::io("look at", &path))?.len();
        match fallocate(&file, FallocateFlags::empty(), end, piece) {
            Ok(()) => {}
            Err(Errno::NOSPC) => piece /= 2,
            Err(error) => return Err(LabError::io("fill", &path)(error.into())),
        }
    }
    Ok(())
}

/// Gives the room back.
pub(super) fn free(lab: &Lab, node: &str) -> Result<(), LabError> {
    place::remove(&lab.place.node(node).join("disk").join(FILLER))
}

fn format(image: &Path, size: u64) -> Result<(), LabError> {
    let made = File::create(image).and_then(|file| file.set_len(size));
    made.map_err(LabError::io("make", image))?;
    // No journal: this machine does not crash with its nodes. Few inodes and none written out: the file stays small.
    let arguments = ["-q", "-F", "-m", "0", "-i", "32768", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard"];
    let mut arguments: Vec<&std::ffi::OsStr> = arguments.iter().map(AsRef::as_ref).collect();
    arguments.push(image.as_os_str());
    program::run("mkfs.ext4", &arguments).map(drop)
}

/// Puts into a new root what a machine has before its first boot: the seed, and what makes up for its being a container.
fn furnish(lab: &Lab, node: &str, root: &Path) -> Result<(), LabError> {
    let seed = root.join(SEED_DIRECTORY);
    fs::create_dir_all(&seed).map_err(LabError::io("make directory", &seed))?;
    for name in SEED {
        let (from, to) = (lab.place.seeds().join(node).join(name), seed.join(name));
        fs::copy(&from, &to).map_err(LabError::io("copy to", &to))?;
    }
    let layer = shipped::overlays().into_iter();
    for (path, content) in layer.filter_map(|(path, content)| Some((path.strip_prefix(LAYER)?, content))) {
        if path.contains('/') {
            let to = root.join(path);
            let mode = if content.starts_with(b"#!") { 0o755 } else { 0o644 };
            let written = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&to, content));
            let open = written.and_then(|()| fs::set_permissions(&to, Permissions::from_mode(mode)));
            open.map_err(LabError::io("write", &to))?;
        }
    }
    Ok(())
}

fn make_directory(path: &Path) -> Result<(), LabError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(LabError::io("make directory", path)(error)),
        _ => fs::set_permissions(path, Permissions::from_mode(0o755)).map_err(LabError::io("open up", path)),
    }
}

/// A path in the options of an overlay mount, where `:` and `,` mean something.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace('\\', r"\\").replace(':', r"\:").replace(',', r"\,")
}
