//! systemd units: which are switched on, and, where systemd runs this machine, what they do now.

use std::path::Path;

use super::command;
use super::error::NodeError;
use super::status::Journal;
use crate::pack::contents::Units;

/// State of a unit that does not exist.
const GONE: &str = "not-found";

/// Whether systemd runs this machine (`sd_booted(3)`); not so in a chroot, or in a container without an init.
pub(super) fn booted() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Switches units on and off so that those of `to` are on; `from` are those of the bundle before. Gives how many changed.
pub(super) fn switch(from: &Units, to: &Units, journal: &Journal<'_>) -> Result<usize, NodeError> {
    if !command::exists("systemctl") {
        if !(to.enable.is_empty() && to.mask.is_empty()) {
            journal.warn("there is no systemd here: no unit was enabled".to_owned());
        }
        return Ok(0);
    }
    let mut changed = 0;
    let mut apply =
        |verb: &'static str, units: &mut dyn Iterator<Item = &String>, done: &[&str]| -> Result<(), NodeError> {
            for unit in units {
                if !done.contains(&state_of(unit).as_str()) {
                    // First, because systemd takes a masked unit that runs for a failed one. One that does not exist
                    // cannot be stopped and need not be.
                    if booted() && matches!(verb, "mask" | "disable") && state_of(unit) != GONE {
                        command::output("systemctl", &["stop", unit])?;
                    }
                    command::output("systemctl", &[verb, unit])?;
                    changed += 1;
                }
            }
            Ok(())
        };
    // What is gone with its bundle is off already.
    let off = ["disabled", GONE, "static", "masked"];
    apply(
        "unmask",
        &mut from.mask.iter().filter(|unit| !to.mask.contains(unit)),
        &["disabled", GONE, "static", "enabled"],
    )?;
    apply("disable", &mut from.enable.iter().filter(|unit| !to.enable.contains(unit)), &off)?;
    apply("mask", &mut to.mask.iter(), &["masked"])?;
    apply("enable", &mut to.enable.iter(), &["enabled", "static", "alias", "indirect", "generated"])?;
    Ok(changed)
}

/// What `systemctl is-enabled` says; it fails for everything that is not enabled, which is an answer too.
fn state_of(unit: &str) -> String {
    match command::output("systemctl", &["is-enabled", unit]) {
        Ok(said) => said.trim().to_owned(),
        // "Failed to get unit file state", where there is none.
        Err(NodeError::Command { output, .. }) if output.starts_with("Failed") => GONE.to_owned(),
        Err(NodeError::Command { output, .. }) => output.split_whitespace().next().unwrap_or_default().to_owned(),
        Err(_) => GONE.to_owned(),
    }
}

/// Makes systemd and the kernel see new files.
pub(super) fn reload(journal: &Journal<'_>) -> Result<(), NodeError> {
    command::output("systemctl", &["daemon-reload"])?;
    for unit in ["systemd-modules-load.service", "systemd-sysctl.service"] {
        // In a container there may be nothing to load into.
        if let Err(error) = command::output("systemctl", &["restart", unit]) {
            journal.warn(format!("{unit}: {error}"));
        }
    }
    Ok(())
}

/// Makes the users and directories that the files of a bundle declare, as systemd does at every boot.
pub(super) fn declare(files: &[&str]) -> Result<(), NodeError> {
    let below = |directory: &'static str| files.iter().filter(move |path| path.starts_with(directory));
    for path in below("/usr/lib/sysusers.d/") {
        command::output("systemd-sysusers", &[path])?;
    }
    for path in below("/usr/lib/tmpfiles.d/") {
        command::output("systemd-tmpfiles", &["--create", path])?;
    }
    Ok(())
}

/// Starts a unit and waits until it has started.
pub(super) fn start(unit: &str, anew: bool) -> Result<(), NodeError> {
    command::output("systemctl", &[if anew { "restart" } else { "start" }, unit]).map(drop)
}

/// Asks for units to be started, or to take in their new configuration, and does not wait: some of them wait for others.
pub(super) fn refresh(units: &[&String]) -> Result<(), NodeError> {
    units.iter().try_for_each(|unit| command::output("systemctl", &["reload-or-restart", "--no-block", unit]).map(drop))
}
