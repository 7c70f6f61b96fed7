//! Packages of a bundle, by the system's own package manager, from the bundle's files alone.

mod deb;
mod rpm;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::command;
use super::error::NodeError;
use super::status::Journal;
use super::unpack::Unpacked;
use crate::pack::contents::PackageEntry;
use crate::resolve::version::Scheme;

/// Names and versions of packages that came with a bundle.
pub(super) type Ours = BTreeSet<(String, String)>;

/// The versions of packages that are installed completely, by name.
type Present = BTreeMap<String, String>;

/// The package manager of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    /// apt and dpkg.
    Deb,
    /// rpm.
    Rpm,
}

/// Brings the bundle's packages onto the machine. Only what is among `ours` is taken back to an older version. Gives the
/// names of those that were changed.
pub(super) fn install(
    bundle: &Unpacked,
    ours: &Ours,
    scratch: &Path,
    journal: &Journal<'_>,
) -> Result<Vec<String>, NodeError> {
    let packages = &bundle.contents.packages;
    let Some(manager) = Manager::of(packages)? else { return Ok(Vec::new()) };
    match manager {
        Manager::Deb => {
            let quiet = deb::Quiet::begin()?;
            let changed = complete(manager, bundle, ours, scratch, journal);
            // Also after a failure: whoever mends it by hand wants services that start.
            quiet.end()?;
            changed
        }
        // Scriptlets of rpm packages start nothing.
        Manager::Rpm => complete(manager, bundle, ours, scratch, journal),
    }
}

impl Manager {
    /// The one that these packages are for; `None` where there are none.
    fn of(packages: &[PackageEntry]) -> Result<Option<Self>, NodeError> {
        let Some(first) = packages.first() else { return Ok(None) };
        let (manager, ending, programs) = if first.file.ends_with(".rpm") {
            (Self::Rpm, ".rpm", &["rpm"][..])
        } else {
            (Self::Deb, ".deb", &["apt-get", "dpkg-query"][..])
        };
        let is_there = programs.iter().all(|program| command::exists(program));
        match packages.iter().find(|package| !is_there || !package.file.ends_with(ending)) {
            Some(other) => Err(NodeError::Package { file: other.file.clone() }),
            None => Ok(Some(manager)),
        }
    }

    fn scheme(self) -> Scheme {
        match self {
            Self::Deb => Scheme::Deb,
            Self::Rpm => Scheme::Rpm,
        }
    }

    fn present(self) -> Result<Present, NodeError> {
        match self {
            Self::Deb => deb::present(),
            Self::Rpm => rpm::present(),
        }
    }
}

/// Installs what is missing and looks once more.
fn complete(
    manager: Manager,
    bundle: &Unpacked,
    ours: &Ours,
    scratch: &Path,
    journal: &Journal<'_>,
) -> Result<Vec<String>, NodeError> {
    let packages = &bundle.contents.packages;
    match manager {
        Manager::Deb => deb::finish(bundle, journal)?,
        Manager::Rpm => rpm::finish(bundle, ours, journal)?,
    }
    let missing = missing(manager, packages, ours, &manager.present()?, journal);
    if !missing.is_empty() {
        journal.note(format!("installing {}", list(&missing)));
        match manager {
            Manager::Deb => deb::install(bundle, &missing, scratch)?,
            Manager::Rpm => {
                let wanted: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
                let others: BTreeSet<&str> = ours.iter().map(|(name, _)| name.as_str()).collect();
                let others: Vec<&str> = others.difference(&wanted).copied().collect();
                rpm::install(bundle, &missing, &others, journal)?;
            }
        }
        let still = self::missing(manager, packages, ours, &manager.present()?, journal);
        if let Some(package) = still.first() {
            let output = format!("it left {} {} not installed", package.name, package.version);
            let command = if manager == Manager::Deb { "apt-get install" } else { "rpm --upgrade" };
            return Err(NodeError::Command { command: command.to_owned(), status: "incomplete".to_owned(), output });
        }
    }
    Ok(missing.into_iter().map(|package| package.name.clone()).collect())
}

fn list(packages: &[&PackageEntry]) -> String {
    packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect::<Vec<_>>().join(", ")
}

/// Those that the machine does not have as the bundle wants them.
fn missing<'a>(
    manager: Manager,
    wanted: &'a [PackageEntry],
    ours: &Ours,
    present: &Present,
    journal: &Journal<'_>,
) -> Vec<&'a PackageEntry> {
    let mut missing = Vec::new();
    for package in wanted {
        let Some(version) = present.get(&package.name) else {
            missing.push(package);
            continue;
        };
        match manager.scheme().compare(version, &package.version) {
            Ordering::Equal => {}
            // Somebody else's newer package may be what others here were built against.
            Ordering::Greater if !ours.contains(&(package.name.clone(), version.clone())) => {
                journal.note(format!(
                    "{} {version} stays: it is newer than the bundle's {}",
                    package.name, package.version
                ));
            }
            Ordering::Greater | Ordering::Less => missing.push(package),
        }
    }
    missing
}
