//! The files that come with the program: `profiles/` and `overlays/`, embedded whole.

use std::collections::BTreeMap;

use include_dir::{Dir, DirEntry, include_dir};

/// Embedded files by their paths.
pub type Files = BTreeMap<&'static str, &'static [u8]>;

static PROFILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/profiles");

static OVERLAYS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/overlays");

/// The catalogue's data files with its keys, by their path below `profiles/catalog/`.
pub fn catalog() -> Files {
    let below = files(&PROFILES).into_iter();
    below.filter_map(|(path, content)| Some((path.strip_prefix("catalog/")?, content))).collect()
}

/// The profiles by their file names: `master.yaml`, ….
pub fn profiles() -> Files {
    files(&PROFILES).into_iter().filter(|(path, _)| !path.contains('/')).collect()
}

/// Ready cluster files by their names: `dedicated-lb`, …. Not among them: the one of [`crate::cluster::EXAMPLE`].
pub fn examples() -> Files {
    let below = files(&PROFILES).into_iter();
    let named = below.filter_map(|(path, content)| {
        Some((path.strip_prefix("examples/")?.strip_suffix(".yaml").filter(|name| *name != "cluster")?, content))
    });
    named.collect()
}

/// cloud-init's schema of cloud-config.
pub fn cloud_config_schema() -> Option<&'static [u8]> {
    PROFILES.get_file("cloud-init/schema-cloud-config-v1.json").map(include_dir::File::contents)
}

/// The files of all overlay layers by their path below `overlays/`.
pub fn overlays() -> Files {
    files(&OVERLAYS)
}

fn files(root: &'static Dir<'static>) -> Files {
    let mut files = Files::new();
    let mut open = vec![root];
    while let Some(dir) = open.pop() {
        for entry in dir.entries() {
            match entry {
                DirEntry::Dir(below) => open.push(below),
                DirEntry::File(file) => files.extend(file.path().to_str().map(|path| (path, file.contents()))),
            }
        }
    }
    files
}
