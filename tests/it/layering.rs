//! The picture in `src/lib.rs`, kept true: who may know whom, and what no file of `src` may hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every module of the library, the lowest first, with all that it uses. A line that is missing here is a decision to take.
const MODULES: &[(&str, &[&str])] = &[
    // Nouns that know nothing, or only each other.
    ("arch", &[]),
    ("clock", &[]),
    ("digest", &[]),
    ("exit", &[]),
    ("input", &[]),
    ("report", &[]),
    ("shipped", &[]),
    ("target", &["arch"]),
    // Tools that know nothing of any cluster.
    ("config", &["exit", "input"]),
    ("iso", &["clock", "exit"]),
    ("disk", &["arch", "digest", "exit", "input", "shipped"]),
    ("openpgp", &["exit"]),
    ("secrets", &["clock", "digest", "exit", "input"]),
    ("store", &["digest", "exit", "report"]),
    ("net", &["clock", "digest", "exit", "input", "report", "store"]),
    ("cloud_init", &["config", "digest", "secrets", "shipped"]),
    // What the user wants.
    ("kubernetes", &[]),
    ("catalog", &["arch", "config", "digest", "input", "kubernetes", "shipped", "target"]),
    ("cluster", &["arch", "catalog", "cloud_init", "config", "digest", "input", "kubernetes", "secrets", "target"]),
    ("kubeadm", &["arch", "cluster", "kubernetes", "secrets", "target"]),
    ("profile", &["catalog", "cluster", "config", "digest", "exit", "kubernetes", "shipped", "target"]),
    ("mirrors", &["catalog", "cluster", "openpgp"]),
    // The stages, each with the results of those before it.
    ("lock", &["arch", "catalog", "cluster", "digest", "exit", "input", "kubernetes", "profile", "target"]),
    ("registry", &["arch", "catalog", "clock", "digest", "exit", "lock", "mirrors", "net", "store"]),
    (
        "resolve",
        &[
            "arch",
            "catalog",
            "clock",
            "cluster",
            "digest",
            "exit",
            "input",
            "kubernetes",
            "lock",
            "mirrors",
            "net",
            "openpgp",
            "profile",
            "registry",
            "report",
            "store",
            "target",
        ],
    ),
    (
        "fetch",
        &[
            "arch", "catalog", "clock", "cluster", "digest", "exit", "lock", "mirrors", "net", "openpgp", "registry",
            "report", "store",
        ],
    ),
    ("inventory", &["arch", "catalog", "cluster", "kubernetes", "lock", "profile", "target"]),
    (
        "render",
        &[
            "catalog",
            "cluster",
            "config",
            "digest",
            "exit",
            "input",
            "inventory",
            "kubeadm",
            "kubernetes",
            "profile",
            "secrets",
            "shipped",
            "target",
        ],
    ),
    ("seed", &["cloud_init", "cluster", "digest", "exit", "render", "secrets"]),
    (
        "pack",
        &[
            "arch",
            "catalog",
            "clock",
            "cluster",
            "digest",
            "exit",
            "fetch",
            "input",
            "kubernetes",
            "lock",
            "registry",
            "render",
            "report",
            "store",
            "target",
        ],
    ),
    ("deliver", &["cluster", "digest", "exit", "iso", "lock", "pack", "render", "report", "store", "target"]),
    // Beside the pipeline: what reads its results.
    ("inspect", &["clock", "deliver", "digest", "exit", "pack", "render"]),
    (
        "node",
        &[
            "clock",
            "cluster",
            "digest",
            "exit",
            "input",
            "inspect",
            "kubeadm",
            "kubernetes",
            "pack",
            "render",
            "report",
            "resolve",
            "secrets",
            "target",
        ],
    ),
    (
        "lab",
        &[
            "arch", "catalog", "clock", "cluster", "deliver", "digest", "exit", "inspect", "render", "report",
            "shipped", "target",
        ],
    ),
    (
        "image",
        &[
            "arch", "clock", "cluster", "digest", "disk", "exit", "lock", "node", "pack", "render", "report", "store",
            "target",
        ],
    ),
    (
        "serve",
        &["arch", "clock", "cluster", "deliver", "digest", "exit", "input", "inspect", "node", "render", "report"],
    ),
    ("transfer", &["deliver", "digest", "exit", "input", "inspect", "pack", "render", "report", "store"]),
    ("artifact", &["deliver", "digest", "exit", "input", "inspect", "lock", "registry", "render", "report", "store"]),
    ("bill", &["digest", "exit", "inspect", "lock", "pack"]),
    ("schema", &["catalog", "cluster", "kubernetes", "lock", "profile"]),
    // What connects the stages, and nobody else may know.
    (
        "pipeline",
        &[
            "arch",
            "catalog",
            "cluster",
            "config",
            "deliver",
            "exit",
            "fetch",
            "image",
            "input",
            "inspect",
            "inventory",
            "lock",
            "mirrors",
            "net",
            "pack",
            "profile",
            "registry",
            "render",
            "report",
            "resolve",
            "secrets",
            "seed",
            "store",
            "target",
            "transfer",
        ],
    ),
];

/// Lines of a source file, its inline tests included.
const LONGEST: usize = 400;

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = walkdir::WalkDir::new(&root).sort_by_file_name().into_iter().map(|entry| entry.expect("readable"));
    let files = files.filter(|entry| entry.path().extension().is_some_and(|end| end == "rs"));
    files
        .map(|entry| {
            let path = entry.path().strip_prefix(&root).expect("below").to_owned();
            (path, fs::read_to_string(entry.path()).expect("text"))
        })
        .collect()
}

/// The module of the library that a file belongs to; `None` for the program's own files.
fn module(path: &Path) -> Option<String> {
    let name = path.iter().next()?.to_str()?.trim_end_matches(".rs");
    (!matches!(name, "lib" | "main" | "cli")).then(|| name.to_owned())
}

fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(at, line)| (at + 1, line))
}

/// The modules that a line names by `crate::…`.
fn named(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let group = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or(rest, |(group, _)| group);
        let words = if rest.starts_with('{') { group.split(',').collect() } else { vec![rest] };
        for word in words {
            let word: String = word.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            found.extend((!word.is_empty()).then_some(word));
        }
    }
    found
}

#[test]
fn modules_know_only_what_the_table_says() {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources() {
        let Some(from) = module(&path) else { continue };
        let uses = used.entry(from.clone()).or_default();
        uses.extend(code(&text).flat_map(|(_, line)| named(line)).filter(|to| *to != from));
    }
    let table: BTreeMap<String, BTreeSet<String>> = MODULES
        .iter()
        .map(|(from, uses)| ((*from).to_owned(), uses.iter().map(|to| (*to).to_owned()).collect()))
        .collect();
    for (from, uses) in &used {
        let allowed = table.get(from).unwrap_or_else(|| panic!("src/{from} is not in the table"));
        assert_eq!(uses, allowed, "what src/{from} uses (left) is not what the table says (right)");
    }
    assert_eq!(used.len(), table.len(), "the table names a module that is gone");
}

#[test]
fn nobody_looks_up() {
    let place = |name: &str| MODULES.iter().position(|(module, _)| *module == name).expect("in the table");
    for (from, uses) in MODULES {
        let upwards: Vec<_> = uses.iter().filter(|to| place(to) >= place(from)).collect();
        assert!(upwards.is_empty(), "src/{from} uses {upwards:?}, which stand above it");
    }
}

#[test]
fn only_the_program_knows_the_command_line() {
    for (path, text) in sources().into_iter().filter(|(path, _)| module(path).is_some()) {
        for (at, line) in code(&text) {
            let foreign =
                ["clap::", "indicatif::", "anstream::", "crate::cli"].iter().find(|word| line.contains(**word));
            assert_eq!(foreign, None, "{}:{at}", path.display());
        }
    }
}

#[test]
fn files_stay_short_and_free_of_leftovers() {
    for (path, text) in sources() {
        let shown = path.display();
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{shown} has {lines} lines: split it on a noun");
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let vague = path.iter().filter_map(|part| part.to_str()).chain([stem]);
        for name in vague {
            assert!(
                !["util", "utils", "common", "helpers", "misc"].contains(&name),
                "{shown} says nothing by its name"
            );
        }
        for (at, line) in text.lines().enumerate() {
            let leftover = ["TODO", "FIXME", "XXX", "HACK", "todo!", "dbg!"].iter().find(|word| line.contains(**word));
            assert_eq!(leftover, None, "{shown}:{}", at + 1);
        }
    }
}

#[test]
fn nothing_panics_outside_of_tests() {
    for (path, text) in sources() {
        if path.file_name().is_some_and(|name| name == "tests.rs") {
            continue;
        }
        for (at, line) in code(&text).take_while(|(_, line)| !line.starts_with("#[cfg(test)]")) {
            let panics = [".unwrap()", ".expect(\"", "panic!(", "unreachable!(", "unimplemented!("];
            assert_eq!(panics.iter().find(|word| line.contains(**word)), None, "{}:{at}", path.display());
        }
    }
}
