//! A project directory of its own, and the program run in it with nothing of this machine's environment.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::TempDir;

/// A temporary project; removed when it is dropped.
pub struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("khimg-test-").tempdir().expect("a temporary directory");
        for name in ["project", "home", "tmp"] {
            std::fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        Self { dir }
    }

    /// Where the program runs.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    /// Where it keeps its blobs.
    pub fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// A path in the project.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root().join(name)
    }

    /// Writes a file of the project, directories included.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("in the project")).expect("directories");
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// Reads a file of the project.
    pub fn read(&self, name: impl AsRef<Path>) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// The program in the project directory with a clean environment: no proxy, no locale, its own home and store.
    pub fn khimg<I, S>(&self, args: I) -> Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<std::ffi::OsStr>,
    {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("khimg"));
        command
            .current_dir(self.root())
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.dir.path().join("home"))
            .env("TMPDIR", self.dir.path().join("tmp"))
            .env("KHIMG_STORE", self.store())
            .env("NO_COLOR", "1")
            .args(args);
        command
    }
}
