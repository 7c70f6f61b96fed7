//! rpm's way.
//!
//! rpm itself, and neither yum nor dnf: it is on every machine of the family, needs no repository, and does the whole set in one
//! transaction whose order and conflicts it has checked before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Ours, Present};
use crate::node::command;
use crate::node::error::NodeError;
use crate::node::status::Journal;
use crate::node::unpack::Unpacked;
use crate::pack::contents::PackageEntry;

/// `%{EPOCHNUM}` is younger than CentOS 7's rpm.
const FORMAT: &str = "--queryformat=%{INSTALLTIME}\t%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n";

/// Puts right what an earlier run left half-way. A transaction that was cut off has packages in two versions: the new one is
/// there, the old one not removed yet. Nor is a package of `ours` that a new one of another name has taken the place of.
pub(super) fn finish(bundle: &Unpacked, ours: &Ours, journal: &Journal<'_>) -> Result<(), NodeError> {
    let known = known()?;
    let format = "--queryformat=[%{=NAME}\t%{OBSOLETENAME}\n]";
    let mut query = Command::new("rpm");
    query.args(["--query", "--package", "--nosignature", format]);
    let packages = &bundle.contents.packages;
    let replacements = command::run(query.args(packages.iter().map(|package| bundle.path.join(&package.file))))?;
    let replaced: BTreeSet<&str> = replacements
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter(|(new, old)| known.contains_key(*new) && known.contains_key(*old))
        .map(|(_, old)| old)
        .filter(|old| ours.iter().any(|(name, _)| name == old) && packages.iter().all(|package| package.name != *old))
        .collect();
    for name in replaced {
        journal.note(format!("{name} was cut off while it was replaced"));
        command::output("rpm", &["--erase", "--nodeps", "--noscripts", name])?;
    }
    for (name, versions) in known {
        // Kernels and keys are meant to be there several times.
        let [rest @ .., _newest] = &versions[..] else { continue };
        if rest.is_empty() || name.starts_with("kernel") || name == "gpg-pubkey" {
            continue;
        }
        journal.note(format!("{name} was cut off while it was upgraded"));
        for version in rest {
            let package = format!("{name}-{}", version.split_once(':').map_or(version.as_str(), |(_, rest)| rest));
            // The files are those of the newest by now; what only the old one had goes.
            command::output("rpm", &["--erase", "--nodeps", "--noscripts", &package])?;
        }
    }
    Ok(())
}

/// The versions of packages, by name.
pub(super) fn present() -> Result<Present, NodeError> {
    Ok(known()?.into_iter().filter_map(|(name, versions)| Some((name, versions.last()?.clone()))).collect())
}

/// The versions of each package in the order of their installation. One for several architectures counts once.
fn known() -> Result<BTreeMap<String, Vec<String>>, NodeError> {
    let arguments = ["--query", "--all", FORMAT];
    let said = match command::output("rpm", &arguments) {
        Ok(said) => said,
        // A power cut can hit rpm's database anywhere; the packages' headers in it are whole.
        Err(_) => {
            command::output("rpm", &["--rebuilddb"])?;
            command::output("rpm", &arguments)?
        }
    };
    let mut installed: Vec<(u64, &str, &str)> = Vec::new();
    for line in said.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        if let [time, name, version] = fields[..] {
            installed.push((time.parse().unwrap_or_default(), name, version.strip_prefix("0:").unwrap_or(version)));
        }
    }
    installed.sort();
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (_, name, version) in installed {
        let versions = known.entry(name.to_owned()).or_default();
        if !versions.iter().any(|other| other == version) {
            versions.push(version.to_owned());
        }
    }
    Ok(known)
}

/// Brings all of `packages` in one transaction. The files were proven by their digests, so rpm need not know who signed them.
///
/// Where that fails, those of `others` go that are there, packages of other bundles that this one does not have: one may have taken
/// the place of a package that is to come back.
pub(super) fn install(
    bundle: &Unpacked,
    packages: &[&PackageEntry],
    others: &[&str],
    journal: &Journal<'_>,
) -> Result<(), NodeError> {
    let with_files = |arguments: &[&str]| {
        let mut command = Command::new("rpm");
        command.args(arguments).args(packages.iter().map(|package| bundle.path.join(&package.file)));
        command::run(&mut command)
    };
    let owned = with_files(&["--query", "--package", "--list", "--nosignature"])?;
    remove_halves(owned.lines().map(Path::new))?;
    let upgrade = || with_files(&["--upgrade", "--oldpackage", "--replacepkgs", "--nosignature"]).map(drop);
    let Err(error) = upgrade() else { return Ok(()) };
    let present = present()?;
    let in_the_way: Vec<&str> = others.iter().copied().filter(|name| present.contains_key(*name)).collect();
    if in_the_way.is_empty() {
        return Err(error);
    }
    journal.note(format!("removing {}, which this bundle does not have: {error}", in_the_way.join(", ")));
    let mut erase = Command::new("rpm");
    command::run(erase.args(["--erase", "--nodeps"]).args(&in_the_way))?;
    upgrade()
}

/// Removes what a transaction that was cut off has left beside the files of packages. rpm unpacks each as `<name>;<time in hex>`
/// (rpm lib/fsm.c, `fsmFsPath`), and fails where the next transaction of the same second finds that name taken.
fn remove_halves<'a>(files: impl Iterator<Item = &'a Path>) -> Result<(), NodeError> {
    let mut names: BTreeMap<&Path, BTreeSet<&str>> = BTreeMap::new();
    for file in files {
        if let (Some(directory), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) {
            names.entry(directory).or_default().insert(name);
        }
    }
    for (directory, names) in names {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let found = entry.file_name();
            let Some((name, time)) = found.to_str().and_then(|found| found.rsplit_once(';')) else { continue };
            if names.contains(name) && time.len() == 8 && time.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                fs::remove_file(entry.path()).map_err(NodeError::io("remove", &entry.path()))?;
            }
        }
    }
    Ok(())
}
