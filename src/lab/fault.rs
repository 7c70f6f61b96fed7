//! What can happen to machines, by name.

use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::error::LabError;
use super::interrupt::Interrupt;
use super::record::Lab;
use super::{boot, cgroup, disk, enter, network};

/// The kernel keeps this many characters of a program's name (proc(5), `comm`).
const LONGEST_NAME: usize = 15;

/// One fault, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The power fails. What was written to the disk stays.
    PowerOff,
    /// The power comes back.
    PowerOn,
    /// The disk is thrown away, and the same seed put on a new one. A node that was on is off then.
    Wipe,
    /// The node can reach nobody but the others that are cut off. Its cable is still plugged in.
    Partition,
    /// The end of a partition.
    Heal,
    /// Every frame from and to the node takes so many milliseconds longer; 0 ends it.
    Delay(u32),
    /// Every process of this program gets SIGKILL.
    KillService(String),
    /// The disk has no room left.
    FillDisk,
    /// The disk has room again.
    FreeDisk,
}

/// Lets `fault` happen to each of `nodes`.
///
/// # Errors
/// A node that there is not, one that is off and cannot be hurt, or a kernel that cannot do it.
pub fn fault(lab: &Lab, nodes: &[String], fault: &Fault, interrupt: &Interrupt) -> Result<(), LabError> {
    let _exclusive = lab.lock()?;
    for node in nodes {
        lab.machine(node)?;
    }
    for node in nodes {
        interrupt.check()?;
        one(lab, node, fault, interrupt)?;
    }
    Ok(())
}

fn one(lab: &Lab, node: &str, fault: &Fault, interrupt: &Interrupt) -> Result<(), LabError> {
    let (index, machine) = lab.machine(node)?;
    let needs_power = !matches!(fault, Fault::PowerOn | Fault::Wipe | Fault::FreeDisk);
    if needs_power && enter::leader(lab, node)?.is_none() {
        return Err(LabError::Off { node: node.to_owned() });
    }
    match fault {
        Fault::PowerOff => boot::off(lab, node),
        Fault::PowerOn => boot::on(lab, node, interrupt),
        Fault::Wipe => boot::off(lab, node).and_then(|()| disk::wipe(lab, node)),
        Fault::Partition => network::isolate(&lab.place, index, true),
        Fault::Heal => network::isolate(&lab.place, index, false),
        Fault::Delay(milliseconds) => network::delay(&lab.place, index, machine, *milliseconds),
        Fault::KillService(service) => kill_service(lab, node, service),
        Fault::FillDisk => disk::fill(lab, node),
        Fault::FreeDisk => disk::free(lab, node),
    }
}

/// Programs in containers count as well: a static pod's API server is no unit of systemd.
fn kill_service(lab: &Lab, node: &str, service: &str) -> Result<(), LabError> {
    let name: String = service.strip_suffix(".service").unwrap_or(service).chars().take(LONGEST_NAME).collect();
    let mut killed = 0;
    for pid in cgroup::processes(&lab.place, Some(node))?.into_iter().filter_map(Pid::from_raw) {
        // First a hold on the process, then a look at it: its number may be another's by now.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        let comm = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).unwrap_or_default();
        if comm.trim_end() == name && pidfd_send_signal(&process, Signal::KILL).is_ok() {
            killed += 1;
        }
    }
    if killed == 0 {
        return Err(LabError::NoService { node: node.to_owned(), service: service.to_owned() });
    }
    Ok(())
}
