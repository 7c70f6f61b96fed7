//! A fresh Debian 12 of exactly the declared base, made once and copied for every test that changes it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// The base system as an archive.
pub struct Base {
    /// A tar file.
    pub archive: PathBuf,
}

/// Made by mmdebstrap from the system mirror at first use and kept in the tests' cache for a day: the archive moves on.
pub fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let cache = cache();
        let archive = cache.join("base-debian-12.tar");
        if !fresh(&archive) {
            let half = tempfile::Builder::new().suffix(".tar").tempfile_in(&cache).expect("a temporary file");
            let made = Command::new("mmdebstrap")
                .args(["--quiet", "--variant=minbase", "--mode=root", "--format=tar", "bookworm"])
                .arg(half.path())
                .output()
                .expect("mmdebstrap");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            half.persist(&archive).expect("renamed");
        }
        Base { archive }
    })
}

/// Where the tests keep what takes long to make.
pub fn cache() -> PathBuf {
    let cache =
        std::env::var_os("KHIMG_LAB_CACHE").map_or_else(|| PathBuf::from("/var/cache/khimg-lab"), PathBuf::from);
    std::fs::create_dir_all(&cache).expect("a cache directory");
    cache
}

/// Whether it was made within a day.
pub fn fresh(archive: &Path) -> bool {
    let age = std::fs::metadata(archive).and_then(|meta| meta.modified()).ok().and_then(|made| made.elapsed().ok());
    age.is_some_and(|age| age.as_secs() < 24 * 60 * 60)
}

impl Base {
    /// A copy to change.
    pub fn copy(&self) -> TempDir {
        let root = tempfile::Builder::new().prefix("khimg-base-").tempdir().expect("a directory");
        let status = Command::new("tar").arg("-xpf").arg(&self.archive).arg("-C").arg(root.path()).status();
        assert!(status.expect("tar").success());
        root
    }
}
