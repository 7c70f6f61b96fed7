//! What is packed: programs and libraries of this machine, and packages of the system's own mirror.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use khimg::catalog::component::Install;
use khimg::cluster::Role;
use khimg::render::tree::Mode;
use walkdir::WalkDir;

use crate::support::workshop::Workshop;

/// How many bytes of files are taken: 100 MB.
const LOOSE: u64 = 100_000_000;

/// The packages, as far as the mirror has them; about 65 MB.
const PACKAGES: [&str; 4] = ["containerd", "docker.io", "haproxy", "runc"];

/// A workshop, and a directory with the same files for other tools.
pub struct Input {
    pub workshop: Workshop,
    pub directory: PathBuf,
    pub bytes: u64,
}

impl Input {
    /// Files of `/usr/lib` in the order of their paths, from 64 KiB on, without links; with `packages`, those as well.
    pub fn new(packages: bool) -> Self {
        let mut workshop = Workshop::new();
        let directory = workshop.path("tree");
        let mut bytes = 0;
        fs::create_dir_all(directory.join("packages")).expect("a directory");
        let files = WalkDir::new("/usr/lib").sort_by_file_name().into_iter().filter_map(Result::ok);
        let large = files.filter(|entry| entry.metadata().is_ok_and(|found| found.is_file() && found.len() >= 1 << 16));
        for (number, entry) in large.enumerate() {
            let content = fs::read(entry.path()).expect("readable");
            bytes += content.len() as u64;
            let place = Install::Program(entry.path().to_str().expect("UTF-8").to_owned());
            workshop.file(&format!("file-{number}"), "system", &[Role::Master], place, &content);
            let copy = directory.join("rootfs").join(entry.path().strip_prefix("/").expect("absolute"));
            fs::create_dir_all(copy.parent().expect("below")).expect("a directory");
            fs::write(copy, content).expect("a file");
            if bytes >= LOOSE {
                break;
            }
        }
        if packages {
            bytes += add_packages(&mut workshop, &directory.join("packages"));
        }
        workshop.role(Role::Master, &[("/etc/hosts", Mode::Plain, "127.0.0.1 localhost\n")]);
        Self { workshop, directory, bytes }
    }
}

fn add_packages(workshop: &mut Workshop, directory: &Path) -> u64 {
    // apt's own user may not write here; root downloads just as well.
    let options = ["-qq", "-o", "APT::Sandbox::User=root", "download"];
    let done = Command::new("apt-get").args(options).args(PACKAGES).current_dir(directory).status();
    if !done.is_ok_and(|status| status.success()) {
        println!("(the system's mirror does not give {PACKAGES:?}: measured without them)");
    }
    let mut bytes = 0;
    for entry in WalkDir::new(directory).min_depth(1).sort_by_file_name().into_iter().filter_map(Result::ok) {
        let content = fs::read(entry.path()).expect("readable");
        bytes += content.len() as u64;
        let name = entry.file_name().to_string_lossy();
        let name = name.split('_').next().unwrap_or_default();
        workshop.package(name, "1", name, &[Role::Master], &content);
    }
    bytes
}
