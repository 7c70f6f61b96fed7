//! The files that come with the program: `profiles/` and `overlays/`, embedded whole.

use include_dir::{Dir, DirEntry, include_dir};

/// Profiles, and below them the catalogue, the examples and the schemas.
pub static PROFILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/profiles");

/// Overlay layers by name.
pub static OVERLAYS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/overlays");

/// All files below `dir` with their paths from the embedded root, in byte order of the paths.
pub fn files(dir: &'static Dir<'static>) -> Vec<(&'static str, &'static [u8])> {
    let mut files = Vec::new();
    let mut open = vec![dir];
    while let Some(dir) = open.pop() {
        for entry in dir.entries() {
            match entry {
                DirEntry::Dir(below) => open.push(below),
                DirEntry::File(file) => files.extend(file.path().to_str().map(|path| (path, file.contents()))),
            }
        }
    }
    files.sort_unstable();
    files
}
