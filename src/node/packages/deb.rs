//! apt's and dpkg's way.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use super::Present;
use crate::node::command;
use crate::node::durable;
use crate::node::error::NodeError;
use crate::node::status::Journal;
use crate::node::unpack::Unpacked;
use crate::pack::contents::PackageEntry;

/// What `invoke-rc.d` and `deb-systemd-invoke` ask before they start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Where a policy that was there already waits.
const POLICY_ASIDE: &str = "/usr/sbin/policy-rc.d.khimg-saved";

/// "Forbidden", whatever is asked (Debian's `invoke-rc.d(8)`): services start when their configuration is in place, and
/// khimg starts them.
const POLICY_TEXT: &str = "#!/bin/sh\n# khimg is installing a bundle; it starts the services itself.\nexit 101\n";

/// Completes what an earlier run left half-way: a power cut can hit dpkg anywhere.
pub(super) fn finish(bundle: &Unpacked, journal: &Journal<'_>) -> Result<(), NodeError> {
    let keep = ["--force-confdef", "--force-confold"];
    // Cut off while it was unpacked, and apt does nothing at all before that is put right.
    for broken in known()?.into_iter().filter(|package| package.must_reinstall) {
        let name = broken.name.as_str();
        journal.note(format!("{name} was cut off while it was unpacked"));
        if let Some(package) = bundle.contents.packages.iter().find(|package| package.name == name) {
            let file = bundle.path.join(&package.file).display().to_string();
            dpkg(&[&keep[..], &["--force-depends", "--unpack", &file]].concat())?;
        } else {
            dpkg(&["--force-remove-reinstreq", "--force-depends", "--remove", name])?;
        }
    }
    if known()?.iter().any(|package| !package.settled) {
        // What still lacks another package gets it from apt, right after.
        if let Err(error) = dpkg(&[&keep[..], &["--configure", "--pending"]].concat()) {
            journal.note(format!("not everything could be configured yet: {error}"));
        }
    }
    Ok(())
}

/// A package that dpkg knows.
struct Known {
    name: String,
    /// Only where it is installed completely.
    version: Option<String>,
    /// Neither unpacked without being configured nor anything else in between.
    settled: bool,
    must_reinstall: bool,
}

fn known() -> Result<Vec<Known>, NodeError> {
    let format = "--showformat=${Package}\t${Version}\t${db:Status-Eflag}\t${db:Status-Status}\n";
    let said = command::output("dpkg-query", &["--show", format])?;
    let mut known = Vec::new();
    for line in said.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        if let [name, version, flag, status] = fields[..] {
            known.push(Known {
                name: name.to_owned(),
                version: (flag == "ok" && status == "installed").then(|| version.to_owned()),
                settled: matches!(status, "installed" | "not-installed" | "config-files"),
                must_reinstall: flag == "reinstreq",
            });
        }
    }
    Ok(known)
}

/// The versions of packages that are installed completely, by name.
pub(super) fn present() -> Result<Present, NodeError> {
    Ok(known()?.into_iter().filter_map(|package| Some((package.name, package.version?))).collect())
}

fn dpkg(arguments: &[&str]) -> Result<String, NodeError> {
    let mut command = Command::new("dpkg");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command::run(&mut command)
}

/// apt finds the order, removes what conflicts, and asks nobody; it sees no repository at all.
pub(super) fn install(bundle: &Unpacked, packages: &[&PackageEntry], scratch: &Path) -> Result<(), NodeError> {
    durable::remove(scratch)?;
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").env("DEBIAN_PRIORITY", "critical").env("NEEDRESTART_MODE", "l");
    command.args([
        "--yes",
        "--quiet=2",
        "--no-install-recommends",
        "--allow-downgrades",
        "--allow-change-held-packages",
    ]);
    for option in [
        "Dir::Etc::SourceList=/dev/null",
        "Dir::Etc::SourceParts=/dev/null",
        // The packages lie where only root may look.
        "APT::Sandbox::User=root",
        "APT::Get::Fix-Broken=true",
        "Acquire::Languages=none",
        "DPkg::Lock::Timeout=300",
        // What is in place stays: the bundle's own files come right after.
        "Dpkg::Options::=--force-confdef",
        "Dpkg::Options::=--force-confold",
        "Dpkg::Use-Pty=false",
    ] {
        command.args(["-o", option]);
    }
    for (name, directory) in [("Dir::State::Lists", "lists"), ("Dir::Cache", "cache")] {
        let path = scratch.join(directory);
        durable::directory(&path.join("partial"))?;
        durable::directory(&path.join("archives/partial"))?;
        command.args(["-o", &format!("{name}={}", path.display())]);
    }
    command.arg("install");
    command.args(packages.iter().map(|package| bundle.path.join(&package.file)));
    command::run(&mut command)?;
    durable::remove(scratch)
}

/// No service starts while this lives. After a power cut the file is still there; the next run takes it for its own.
pub(super) struct Quiet;

impl Quiet {
    pub(super) fn begin() -> Result<Self, NodeError> {
        let (policy, aside) = (Path::new(POLICY), Path::new(POLICY_ASIDE));
        match fs::read(policy) {
            Ok(text) if text == POLICY_TEXT.as_bytes() => return Ok(Self),
            Ok(_) => durable::rename(policy, aside)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(NodeError::io("read", policy)(error)),
        }
        durable::write(policy, 0o755, |file| file.write_all(POLICY_TEXT.as_bytes()))?;
        Ok(Self)
    }

    pub(super) fn end(self) -> Result<(), NodeError> {
        let (policy, aside) = (Path::new(POLICY), Path::new(POLICY_ASIDE));
        if aside.exists() { durable::rename(aside, policy) } else { durable::remove(policy) }
    }
}
