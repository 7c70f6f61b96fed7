//! rpm's way.
//!
//! rpm itself, and neither yum nor dnf: it is on every machine of the family, needs no repository, and does the whole set in one
//! transaction whose order and conflicts it has checked before.

use std::collections::BTreeMap;
use std::process::Command;

use super::Present;
use crate::node::command;
use crate::node::error::NodeError;
use crate::node::status::Journal;
use crate::node::unpack::Unpacked;
use crate::pack::contents::PackageEntry;

/// `%{EPOCHNUM}` is younger than CentOS 7's rpm.
const FORMAT: &str = "--queryformat=%{INSTALLTIME}\t%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n";

/// Puts right what an earlier run left half-way. A transaction that was cut off has packages in two versions: the new one is
/// there, the old one not removed yet.
pub(super) fn finish(journal: &Journal<'_>) -> Result<(), NodeError> {
    for (name, versions) in known()? {
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
    let upgrade = || {
        let mut command = Command::new("rpm");
        command.args(["--upgrade", "--oldpackage", "--replacepkgs", "--nosignature"]);
        command.args(packages.iter().map(|package| bundle.path.join(&package.file)));
        command::run(&mut command).map(drop)
    };
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
