//! Power: a node boots as a systemd-nspawn container, and dies as a machine dies whose cable is pulled.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};

use super::error::LabError;
use super::interrupt::Interrupt;
use super::machine::Machine;
use super::record::Lab;
use super::{cgroup, disk, enter, network, program};
use crate::clock;

/// How long systemd may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long systemd-nspawn may take to clean up after its container.
const FAREWELL: Duration = Duration::from_secs(5);

/// How often it is looked whether systemd runs.
const LOOK: Duration = Duration::from_millis(20);

/// What a node sees of the delivery: where stage 0 looks for local media.
const DEPOT: &str = "/var/lib/khimg/depot";

/// Where systemd-nspawn leaves a directory for each machine that it was not allowed to clean up after.
const LEFTOVERS: &str = "/run/systemd/nspawn/propagate";

/// More nodes than any lab has.
pub(super) const MOST_NODES: usize = 256;

/// Gives the node power and waits until its systemd runs.
pub(super) fn on(lab: &Lab, name: &str, interrupt: &Interrupt) -> Result<(), LabError> {
    let (index, machine) = lab.machine(name)?;
    if enter::leader(lab, name)?.is_some() {
        return Err(LabError::On { node: name.to_owned() });
    }
    disk::attach(lab, name)?;
    network::plug(&lab.place, index, machine)?;
    let entrances = cgroup::make(&lab.place, name)?;
    let mark = power_mark(lab, name);
    fs::write(&mark, clock::now().to_string()).map_err(LabError::io("write", &mark))?;
    let mut nspawn = spawn(lab, index, machine, &entrances)?;
    let leader = wait_for_systemd(lab, name, &mut nspawn, interrupt)?;
    open_controllers(leader)
}

/// Since when the node has had power, if it ever had.
pub(super) fn powered(lab: &Lab, name: &str) -> Option<Timestamp> {
    fs::read_to_string(power_mark(lab, name)).ok()?.parse().ok()
}

fn power_mark(lab: &Lab, name: &str) -> PathBuf {
    lab.place.node(name).join("powered")
}

/// Takes the node's power: no process of it runs another instruction, and no frame leaves it. Its disk stays as it is.
pub(super) fn off(lab: &Lab, name: &str) -> Result<(), LabError> {
    let (index, machine) = lab.machine(name)?;
    // The cable first: the kernel would still answer for a machine whose processes are dead.
    let leader = enter::leader(lab, name)?;
    network::unplug(&lab.place, index, machine)?;
    if let Some(leader) = leader.and_then(Pid::from_raw) {
        // With the first process, the kernel kills all of its namespace. Whoever has ended in between is what we want.
        let _ = kill_process(leader, Signal::KILL);
        cgroup::wait_empty(&lab.place, name, FAREWELL)?;
    }
    cgroup::kill(&lab.place, Some(name))?;
    cgroup::remove(&lab.place, Some(name))?;
    forget(&lab.place.machine(index));
    Ok(())
}

/// Removes what systemd-nspawn leaves of a machine when it is killed.
pub(super) fn forget(machine: &str) {
    // Not there, or not empty: another's, and harmless.
    let _ = fs::remove_dir(Path::new(LEFTOVERS).join(machine));
}

fn spawn(lab: &Lab, index: usize, machine: &Machine, entrances: &[PathBuf]) -> Result<Child, LabError> {
    let console = lab.console(&machine.name);
    let opened = File::options().create(true).append(true).open(&console);
    let log = opened.map_err(LabError::io("open", &console))?;
    let again = log.try_clone().map_err(LabError::io("open", &console))?;
    let mut command = cgroup::command_in(entrances, "nsenter");
    // nspawn shall find itself in the node's network, not join it late: the /sys that it mounts shows the interfaces of the
    // namespace in which it is then, and cloud-init looks for them there.
    let namespace = network::path(&lab.place.node_namespace(&machine.name));
    command.arg(format!("--net={}", namespace.display())).args(["--", "systemd-nspawn"]);
    // Everything that Kubernetes needs of a machine, and nspawn takes away by default.
    command.env("SYSTEMD_SECCOMP", "0").env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "yes");
    command.args(["--quiet", "--boot", "--settings=no", "--register=no", "--keep-unit", "--console=read-only"]);
    command.args(["--link-journal=no", "--resolv-conf=off", "--timezone=off", "--bind=/dev/kmsg"]);
    // All but the clock, which is the whole machine's: chrony on a node must not turn it.
    command.args(["--capability=all", "--drop-capability=CAP_SYS_TIME"]);
    command.arg(format!("--machine={}", lab.place.machine(index))).arg(format!("--hostname={}", machine.name));
    command.arg(format!("--directory={}", lab.root(&machine.name).display()));
    command.arg(format!("--bind-ro={}:{DEPOT}", escaped(&lab.place.depot())));
    for (from, to) in disk::plain_directories(lab, &machine.name) {
        command.arg(format!("--bind={}:{to}", escaped(&from)));
    }
    command.stdout(log).stderr(again);
    command.spawn().map_err(LabError::io("start", Path::new("systemd-nspawn")))
}

/// A path in nspawn's options, where `:` separates.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace('\\', r"\\").replace(':', r"\:")
}

fn wait_for_systemd(lab: &Lab, node: &str, nspawn: &mut Child, interrupt: &Interrupt) -> Result<i32, LabError> {
    let begun = Instant::now();
    loop {
        interrupt.check()?;
        if let Some(pid) = enter::leader(lab, node)?
            && fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "systemd")
        {
            return Ok(pid);
        }
        let ended = nspawn.try_wait().ok().flatten();
        if ended.is_some() || begun.elapsed() > PATIENCE {
            let console = fs::read_to_string(lab.console(node)).unwrap_or_default();
            let reason = match ended {
                Some(status) => format!("systemd-nspawn ended ({status}): {}", program::tail(&console)),
                None => format!("no systemd after {} s: {}", PATIENCE.as_secs(), program::tail(&console)),
            };
            return Err(LabError::Boot { node: node.to_owned(), reason });
        }
        std::thread::sleep(LOOK);
    }
}

/// nspawn mounts the controllers of cgroup version 1 read-only, and the kubelet has to write there.
fn open_controllers(leader: i32) -> Result<(), LabError> {
    let target = format!("--target={leader}");
    for controller in cgroup::controllers_v1()? {
        let path = format!("/sys/fs/cgroup/{controller}");
        // A bind remount: the file system itself is the whole machine's, and busy.
        program::run("nsenter", &[&target, "--mount", "--root", "mount", "-o", "remount,bind,rw", &path])?;
    }
    Ok(())
}
